"""Runs on a host, on the standard library alone: damages files of a system, and says what they were and are, by SHA-256.

    flip SHARE SEED FILE…    one bit in a share of the pages of 4096 bytes, one page at least       left    those that are flipped still
    cut SHARE FILE…          the last share of each file is cut off, and kept aside                 undo    flips them back; puts back what
    keep FILE…               a copy of each                                                                 was cut off a file that nobody
    restore FILE…            the copies take the files' places; a file that had none is removed             has written since

What is needed later is in the folder KEPT. No process may have a file open meanwhile, but for `left` and `keep`, for which one that has must
be stopped. A page is where disks and file systems fail (Bairavasundaram et al., FAST 2008).

    python3 file_program.py KEPT COMMAND …

It prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from typing import Any

PAGE = 4096
FLIPS, CUTS, COPIES = "flips.json", "cuts.json", "copies"


def digest(path: str) -> str:
    """The SHA-256 of a file, nothing if there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def size(path: str) -> int:
    """How long a file is; 0 if there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def synced(file: Any) -> None:
    """On the disk, not only in its cache."""
    file.flush()
    os.fsync(file.fileno())


def write(kept: str, name: str, value: object) -> None:
    """Remember something."""
    os.makedirs(kept, exist_ok=True)
    with open(os.path.join(kept, name), "w") as file:
        json.dump(value, file)


def read(kept: str, name: str) -> Any:
    """What is remembered, nothing if nothing is."""
    try:
        with open(os.path.join(kept, name)) as file:
            return json.load(file)
    except FileNotFoundError:
        return []


def flip(kept: str, share: str, seed: str, *paths: str) -> dict[str, object]:
    """Damage them."""
    rng = random.Random(seed)
    flips, files = [], {}
    for path in filter(size, paths):
        before = digest(path)
        starts = range(0, size(path), PAGE)
        with open(path, "r+b") as file:
            for start in sorted(rng.sample(starts, max(1, round(float(share) * len(starts))))):
                at = rng.randrange(start, min(start + PAGE, size(path)))
                was = os.pread(file.fileno(), 1, at)[0]
                now = was ^ 1 << rng.randrange(8)
                os.pwrite(file.fileno(), bytes([now]), at)
                flips.append([path, at, was, now])
            synced(file)
        files[path] = [before, digest(path)]
    write(kept, FLIPS, flips)
    return {"flips": [f"{path}@{at}" for path, at, *_ in flips], "files": files}


def still(kept: str) -> list[list[Any]]:
    """The flips that nobody has written over."""
    found = []
    for path, at, was, now in read(kept, FLIPS):
        if at < size(path):
            with open(path, "rb") as file:
                if os.pread(file.fileno(), 1, at) == bytes([now]):
                    found.append([path, at, was, now])
    return found


def left(kept: str) -> dict[str, object]:
    """Those that are flipped still."""
    return {"left": [f"{path}@{at}" for path, at, *_ in still(kept)]}


def cut(kept: str, share: str, *paths: str) -> dict[str, object]:
    """Cut off their ends."""
    cuts, files = [], {}
    os.makedirs(kept, exist_ok=True)
    for place, path in enumerate(filter(size, paths)):
        before, length = digest(path), size(path)
        end = length - max(1, round(float(share) * length))
        with open(path, "r+b") as file:
            file.seek(end)
            with open(os.path.join(kept, f"tail-{place}"), "wb") as tail:
                shutil.copyfileobj(file, tail)
            file.truncate(end)
            synced(file)
        cuts.append([path, digest(path), f"tail-{place}"])
        files[path] = {"bytes_before": length, "bytes_after": end, "before": before, "after": digest(path)}
    write(kept, CUTS, cuts)
    return {"files": files}


def undo(kept: str) -> dict[str, object]:
    """Take back what nobody has written over."""
    flips, put_back = still(kept), []
    for path, at, was, _ in flips:
        with open(path, "r+b") as file:
            os.pwrite(file.fileno(), bytes([was]), at)
            synced(file)
    for path, after, tail in read(kept, CUTS):
        if digest(path) == after:
            with open(path, "ab") as file, open(os.path.join(kept, tail), "rb") as end:
                shutil.copyfileobj(end, file)
                synced(file)
            put_back.append(path)
        os.unlink(os.path.join(kept, tail))
    for name in (FLIPS, CUTS):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(kept, name))
    return {"flipped_back": len(flips), "put_back": put_back}


def keep(kept: str, *paths: str) -> dict[str, object]:
    """Copy them."""
    copies = os.path.join(kept, COPIES)
    shutil.rmtree(copies, ignore_errors=True)
    os.makedirs(copies)
    for place, path in enumerate(paths):
        if os.path.exists(path):
            shutil.copy2(path, os.path.join(copies, str(place)))
    return {"files": {path: digest(path) for path in paths}}


def restore(kept: str, *paths: str) -> dict[str, object]:
    """Put the copies back. Where none were made nothing is done."""
    copies, files = os.path.join(kept, COPIES), {}
    for place, path in enumerate(paths):
        before, copy = digest(path), os.path.join(copies, str(place))
        if os.path.exists(copy):
            with open(copy, "rb") as source, open(path, "r+b" if before else "wb") as file:
                shutil.copyfileobj(source, file)
                file.truncate()
                synced(file)
        elif before and os.path.isdir(copies):
            os.unlink(path)
        files[path] = [before, digest(path)]
    shutil.rmtree(copies, ignore_errors=True)
    return {"files": files}


if __name__ == "__main__":
    commands: dict[str, Callable[..., dict[str, object]]] = {
        "flip": flip,
        "left": left,
        "cut": cut,
        "undo": undo,
        "keep": keep,
        "restore": restore,
    }
    print(json.dumps(commands[sys.argv[2]](sys.argv[1], *sys.argv[3:])))
