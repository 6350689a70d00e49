"""Porcupine, built from its published module by the Go toolchain, where there is one; run in a process of its own with a limit of time and memory."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MODULE = "github.com/anishathalye/porcupine"
GIB = 1 << 30


@dataclass(frozen=True)
class Said:
    """`seconds` None: not within the limit, for the reason in `text`."""

    text: str
    seconds: float | None = None


def built(folder: Path) -> tuple[Path | None, str]:
    """The program and the module's version; or None and why not."""
    if shutil.which("go") is None:
        return None, "no Go toolchain here"
    (folder / "go.mod").write_text("module table\n\ngo 1.19\n")
    shutil.copy(Path(__file__).parent / "porcupine.go", folder / "main.go")
    for command in (["go", "get", f"{MODULE}@latest"], ["go", "build", "-o", "table", "."]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return None, f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}"
    version = next(line.split()[-1] for line in done_list(folder) if line.startswith(MODULE))
    return folder / "table", f"Porcupine {version}"


def done_list(folder: Path) -> list[str]:
    listing = ["go", "list", "-m", "all"]
    return subprocess.run(listing, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()


def run(program: Path, files: Sequence[Path], limit_s: float, memory_gib: float) -> Said:
    """Its answer, time and memory. The memory is a limit of the data segment, so that address space that is only reserved does not count."""

    def capped() -> None:
        size = int(memory_gib * GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))

    command = [str(program), f"{limit_s}", *map(str, files)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2 * limit_s + 30, preexec_fn=capped, check=False
        )
    except subprocess.TimeoutExpired:
        return Said(f"> {limit_s:g} s")
    if done.returncode:
        return Said(
            f"> {memory_gib:g} GiB"
            if "out of memory" in done.stderr or "cannot allocate" in done.stderr
            else "failed"
        )
    said = json.loads(done.stdout)
    if said["result"] == "Unknown":
        return Said(f"> {limit_s:g} s, {said['mb']:.0f} MB")
    return Said(f"{said['seconds']:.4f} s, {said['mb']:.0f} MB, {said['result']}", said["seconds"])
