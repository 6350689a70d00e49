"""The folder of a run: made once, written by name, found again.

    runs/<name>/<time>-<seed>/   plan.toml  history.jsonl  results.json  report.html  faults.jsonl  nodes/<node>/*.log
    runs/<name>/latest        →  the newest of them; replaced in one step, so that it never points nowhere

Files that are written whole are written beside their place and renamed: a reader sees the old one or the new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from harness.compiled import how, sources
from harness.plan import PlanError

DEPENDENCIES: Final = ("quorate", "hiredis", "jinja2", "matplotlib", "msgspec", "paramiko", "uvloop")

GROUNDS: Final = ("plan.toml", "history.jsonl", "faults.jsonl")

NAMED: Final = re.compile(r"\d{8}T\d{6}\.\d{3}-\d+(\.\d+)?")  # the folder of a run, as `create` makes it


def create(out: Path, name: str, seed: int, now: datetime | None = None) -> Path:
    """Make the folder of a new run. Two that start in the same millisecond get folders of their own."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name == "latest":
        raise PlanError(f"the plan's name {name!r} cannot be a folder; use letters, digits, '-', '_' and '.'")
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    parent = out / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for again in range(1000):
            folder = parent / (f"{stamp}-{seed}" if not again else f"{stamp}-{seed}.{again}")
            try:
                folder.mkdir()
                break
            except FileExistsError:
                continue
        else:
            raise PlanError(
                f"{parent} already has a thousand runs of this millisecond; give --out another folder"
            )
        point_to(parent / "latest", folder.name)
    except OSError as error:
        raise PlanError(
            f"no run folder can be made in {parent}: {error.strerror}; give --out a folder you can write to"
        ) from None
    return folder


def point_to(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target`, in one step."""
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def write_text(path: Path, text: str) -> None:
    """Write a whole file in one step; what is no Unicode by its escapes, which JSON reads as what it was."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file in one step."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder if there is none, and hold it: of two processes that go on in one folder each would make, and write down, the same runs.

    Raises PlanError if another holds it. It is free when the process ends, however that comes. A file system without locks holds nobody back.
    A folder that was made here, and in which nothing came to be, is taken away.
    """
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlanError(
                f"{folder}: another process makes runs there just now; wait until it is done, or give --out another folder"
            ) from None
        except OSError:
            pass
        yield
    finally:
        if fresh:
            with suppress(OSError):  # something is in it
                folder.rmdir()
        os.close(handle)


def cut_to(path: Path, lines: Sequence[bytes]) -> None:
    """Leave out what follows the last of a file's whole lines; whatever happens meanwhile, these stay."""
    with path.open("r+b") as file:
        file.truncate(sum(len(line) + 1 for line in lines))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object in one step, indented for people."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file in which a verdict has its ground, of those that are there."""
    paths = [path for name in GROUNDS if (path := folder / name).is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def write_logs(folder: Path, logs: Mapping[str, str]) -> None:
    """Write each node's log to nodes/<node>/system.log."""
    for node, text in logs.items():
        place = folder / "nodes" / node
        place.mkdir(parents=True, exist_ok=True)
        write_text(place / "system.log", text)


@cache
def commit_of(top: Path) -> dict[str, Any]:
    """The commit that a source tree is at, and whether it was changed since (`dirty`); nothing if it is no checkout of its own, or there is no git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(top), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != top.resolve():
            return {}
        changed = git("status", "--porcelain", "--untracked-files=no")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return {}


def before(folder: Path) -> Path | None:
    """The run of the same name before this one that came to its end."""
    folder = folder.resolve()
    if not NAMED.fullmatch(folder.name):
        return None
    others = (path for path in folder.parent.iterdir() if NAMED.fullmatch(path.name) and path.name < folder.name)  # fmt: skip
    return max((path for path in others if (path / "results.json").exists()), default=None)


def environment() -> dict[str, Any]:
    """Versions of what took part in a run on this side; `code` is the commit of this source tree, if it is one; `modules`: are some compiled?"""
    versions = {}
    for package in DEPENDENCIES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "versions": versions,
        "code": commit_of(sources()),
        "modules": how(),
    }


def find(where: Path) -> Path:
    """The folder of a run, from its path, from `runs/<name>` (its latest), or from `runs/<name>/latest`. Raises PlanError."""
    for folder in (where, where / "latest"):
        if (folder / "plan.toml").exists():
            return folder.resolve()
    raise PlanError(f"{where} holds no run; give the folder of one, such as runs/NAME/latest")
