"""What goes wrong with storage, as one sentence for whoever runs the node: what, where, and what to do.

    SQLite, the system ──► opening(error, file)    the node does not start; nothing is lost by that
                      └──► stopping(error, file)   the node ends; what was not yet acknowledged may be lost

A disk without room is told apart from all else, for it needs neither another `data` nor a restoration, and whoever tried one would
give up a store that is whole. SQLite does not always say so: where it has no room for its shared memory it tells of an I/O error.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

SHORT_BYTES: Final = (
    128 << 10
)  # a start needs about 60 KiB; with less free an I/O error is taken for a want of room
_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_ANEW: Final = "start with an empty `data` and --replace"


class EngineError(Exception):
    """Storage cannot be used: one sentence with the path and what to do."""


class SchemaError(EngineError):
    """The file is not a store's, or was written by another version of the store."""


def opening(error: sqlite3.Error | OSError, file: Path) -> EngineError:
    """Why a store cannot be opened."""
    what = error.strerror if isinstance(error, OSError) else error
    if _full(error, file):
        return EngineError(
            f"{file} cannot be opened, for its disk is full ({what}); make room there, and start again: nothing of it is lost."
        )
    if isinstance(error, OSError):
        return EngineError(
            f"The data directory {file.parent} cannot be used ({what}); choose another `data`."
        )
    if _code(error) == sqlite3.SQLITE_CORRUPT:
        return EngineError(f"{file} is damaged ({what}), so acknowledged writes may be lost here; {_ANEW}.")
    if not isinstance(error, sqlite3.OperationalError):
        return SchemaError(
            f"{file} cannot be opened as a store ({what}); restore it, or choose another `data`."
        )
    return EngineError(
        f"{file} cannot be opened ({what}); mend the disk, or who may read and write there, and start again."
    )


def stopping(error: sqlite3.Error, file: Path) -> EngineError:
    """Why a node that runs must end."""
    if _full(error, file):
        then = "The disk is full: make room there, and start it again."
    elif _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        then = f"The file is damaged: {_ANEW}."
    else:
        then = "Mend the disk, and start it again."
    return EngineError(
        f"Storage failed ({error}) in {file}; what was not yet acknowledged may be lost, so the node must stop. {then}"
    )


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code; 0 if it is no error of SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _full(error: sqlite3.Error | OSError, file: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in _ROOM
    if _code(error) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return _code(error) == sqlite3.SQLITE_FULL
    try:
        found = os.statvfs(file.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < SHORT_BYTES or (found.f_files > 0 and found.f_favail == 0)
