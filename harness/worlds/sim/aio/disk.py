"""The disk of a node that is written with asyncio: files that outlive a crash as far as they were synced.

    write, append, remove ──► what the program reads      (the page cache)
                                  │ await sync()          0.2 to 1 ms, longer on a slow disk
                                  ▼
                              what a crash leaves         and of what was not synced a drawn beginning, the last `append` of it torn

`write` puts a whole file in the place of another, as writing it beside and renaming it does: after a crash it is the old one or the new one. What can be lost is
what POSIX lets a file system lose (Pillai and others, "All file systems are not created equal", 2014), but for one thing: changes are lost from the end, in the
order in which they were made.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from harness.system import SimulatedEnv
from harness.worlds.sim.sansio import COMMIT_MS_MAX, COMMIT_MS_MIN

FILES: Final = "files"


class Change(NamedTuple):
    """One change of a file. `data` is what is in it from now on, None for no file; or what is appended."""

    name: str
    data: bytes | None
    append: bool = False


def apply(files: dict[str, bytes], change: Change) -> None:
    """Make the change."""
    if change.data is None:
        files.pop(change.name, None)
    elif change.append:
        files[change.name] = files.get(change.name, b"") + change.data
    else:
        files[change.name] = change.data


class Disk:
    """Files by name. A name is any text; there are no folders."""

    def __init__(self, env: SimulatedEnv, after: Callable[..., None]) -> None:
        self._env, self._after = env, after
        self._durable: dict[str, bytes] = env.disk.setdefault(FILES, {})
        self._seen = dict(self._durable)
        self._staged: deque[Change] = deque()
        self._made = self._failed = 0  # changes made, and syncs that failed
        self._free_ms = 0.0  # when the last sync will be through

    def __repr__(self) -> str:
        return f"{len(self._seen)} files, {len(self._staged)} changes not synced"

    def names(self) -> list[str]:
        """The files that there are, the oldest first."""
        return list(self._seen)

    def read(self, name: str) -> bytes | None:
        """What is in a file, None if there is none. Raises OSError on a broken disk."""
        if self._env.disk_refuses() == "EIO":
            raise _error("EIO", name)
        return self._seen.get(name)

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, in place of another of this name. Raises OSError when the disk takes nothing."""
        self._change(Change(name, _content(data)))

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file, which is made if there is none. Raises OSError."""
        self._change(Change(name, _content(data), append=True))

    def remove(self, name: str) -> None:
        """Take a file away, if there is one. Raises OSError."""
        self._change(Change(name, None))

    async def sync(self) -> None:
        """Return once all changes up to now will survive a crash. Raises OSError: then all that was not durable is gone, and not read either."""
        env, (now_ms, _) = self._env, self._env.clock_ms()
        takes_ms = COMMIT_MS_MIN + (COMMIT_MS_MAX - COMMIT_MS_MIN) * env.rng.random() + env.disk_stall_ms()
        self._free_ms = max(self._free_ms, now_ms + takes_ms)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._after(self._free_ms - now_ms, self._flush, self._made, self._failed, done)
        await done

    def _change(self, change: Change) -> None:
        if refused := self._env.disk_refuses():
            raise _error(refused, change.name)
        apply(self._seen, change)
        self._staged.append(change)
        self._made += 1

    def _flush(self, upto: int, failed: int, done: asyncio.Future[None]) -> None:
        """Make durable what was changed until the sync began; of these changes, an earlier sync may have taken some along."""
        refused = self._env.disk_refuses()
        if refused and self._staged:
            self._staged.clear()
            self._seen = dict(self._durable)
            self._failed += 1
        while self._staged and self._made - len(self._staged) < upto:
            self._take()
        if done.done():
            return
        if refused or failed != self._failed:
            done.set_exception(_error(refused or "EIO", "sync"))
        else:
            done.set_result(None)

    def _take(self) -> None:
        apply(self._durable, self._staged.popleft())

    def settle(self) -> None:
        """The process ends, the machine does not: its kernel writes what is left."""
        while self._staged:
            self._take()

    def crash(self) -> int:
        """The power goes: how many changes are lost, one of which may be kept in part."""
        for _ in range(self._env.rng.randint(0, len(self._staged))):
            self._take()
        if self._staged and self._staged[0].append:
            torn, lost = self._staged[0], self._staged[0].data or b""
            apply(self._durable, torn._replace(data=lost[: self._env.rng.randint(0, max(0, len(lost) - 1))]))
        return len(self._staged)


def _content(data: object) -> bytes:
    """As it is now, whatever becomes of the buffer. Of a number `bytes` would make as many zeros."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a bytes-like object is required, not {type(data).__name__!r}")
    return bytes(data)


def _error(name: str, where: str) -> OSError:
    code = int(getattr(errno, name))
    return OSError(code, os.strerror(code), where)
