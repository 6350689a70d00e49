"""Whether this is a copy of the packages whose busiest modules are machine code, and whether it is still what they say.

    the packages ── scripts/compiled.py ──► build/compiled/  the same files, an extension module beside some of them,
                                            quorate-compiled.json {modules, packages, sources, digest}

Python takes the extension module where there is one, whatever has become of the source since. So nothing is ever compiled among the
sources: it is in a copy, which has to be started by its own name, and each command of the copy first compares the sources that it was
made of with what they were then. Where they are gone there is nothing to compare: the copy goes on.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Final

FACTS: Final = "quorate-compiled.json"
LEFT_OUT: Final = frozenset({"__pycache__", "core"})  # folders: what Python makes, and the sources in Rust
COPY: Final = Path(__file__).resolve().parents[1]


def digest(root: Path, packages: Sequence[str]) -> str:
    """A digest of every file of the packages: modules, templates, and the checkers' core as it was built."""
    whole = hashlib.sha256()
    for path in sorted(path for package in packages for path in _files(root / package)):
        whole.update(f"{path.relative_to(root).as_posix()}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for each in folder.iterdir():
        if not each.is_dir():
            yield each
        elif each.name not in LEFT_OUT:
            yield from _files(each)


def facts(copy: Path = COPY) -> dict[str, Any] | None:
    """What a compiled copy says of itself; None of what is none."""
    path = copy / FACTS
    return dict(json.loads(path.read_text())) if path.exists() else None


def sources(copy: Path = COPY) -> Path:
    """Where the sources are that run here, or that what runs here was made of."""
    told = facts(copy)
    return copy if told is None else Path(told["sources"])


def outdated(copy: Path = COPY) -> str:
    """Why a compiled copy must not be used any more; nothing if it may be."""
    told = facts(copy)
    if told is None or not Path(told["sources"]).is_dir():
        return ""
    if digest(Path(told["sources"]), told["packages"]) == told["digest"]:
        return ""
    return f"{copy} was compiled from other sources than {told['sources']} has now: run `make compiled` there, or use `quorate` itself"


def how(copy: Path = COPY) -> str:
    """Whether what runs here is compiled, in a word or two. Another Python than the copy was compiled for runs its sources."""
    told = facts(copy)
    if told is None or not any(
        (copy / told["marker"]).with_suffix(end).exists() for end in EXTENSION_SUFFIXES
    ):
        return "interpreted"
    return f"{len(told['modules'])} modules compiled for {sys.implementation.cache_tag}"
