"""What plain asyncio code would do to this machine, in whichever way: Python itself tells of it before it does it (PEP 578).

    shutil.rmtree(path) in a node ──► os.rmdir ──► the event "os.rmdir" ──► LeakError: store.py, line 41, calls os.rmdir() …

The guard puts others in the place of functions that it knows by name. A file is opened, made and removed in more ways than have names, some of them in C.
What listens to events cannot be taken away again: it is put there with the first such program, and does nothing while none runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import FrameType
from typing import Any, Final

from harness.named import is_library

FILES: Final = (
    "open", "os.chmod", "os.chown", "os.link", "os.listdir", "os.lockf", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir", "os.symlink",
    "os.truncate", "os.utime", "fcntl.flock", "fcntl.lockf", "sqlite3.connect",
)  # fmt: skip
OUTSIDE: Final = (
    "os.chdir", "os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.posix_spawn", "os.system", "subprocess.Popen", "socket.__new__",
    "socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname", "socket.gethostname", "socket.getnameinfo",
)  # fmt: skip
EVENTS: Final = frozenset({*FILES, *OUTSIDE})
READERS: Final = ("_frozen_importlib", "importlib", "zipimport", "linecache", "encodings", "zoneinfo")
"""What of Python's library reads for itself: modules, their lines for a traceback, time zones."""
IN_MEMORY: Final = ("", ":memory:")


@cache
def listen(on_event: Callable[[str, tuple[Any, ...]], None]) -> None:
    """Have it told of all that Python is about to do, once and for ever."""
    sys.addaudithook(on_event)


def harmless(event: str, arguments: tuple[Any, ...], caller: FrameType) -> bool:
    """Whether it is of no consequence for a run: Python reads its own files, or a database is in memory."""
    if event == "sqlite3.connect":
        return arguments[0] in IN_MEMORY
    own = (str(frame.f_globals.get("__name__")) for frame in _library_of(caller))
    return event in FILES and any(name.startswith(READERS) for name in own)


def asking(caller: FrameType) -> FrameType:
    """Whose code has Python's library, or a package's, call what is called; that of the library if it is nobody's."""
    *_, last = [caller, *_library_of(caller)]
    outer = last.f_back if is_library(last.f_code.co_filename) else last
    ours = outer is None or str(outer.f_globals.get("__name__")).startswith("harness.")
    return caller if ours or outer is None else outer


def _library_of(caller: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = caller
    while frame is not None and is_library(frame.f_code.co_filename):
        yield frame
        frame = frame.f_back
