"""The command `quorate`. This file turns whatever happens into an exit status and one sentence.

    0 VALID    1 INVALID    2 UNKNOWN    254 bad arguments or input    255 our own crash, or the infrastructure's

No command prints a traceback: a bad input says what to do, and a crash says where its trace was put.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.cli.console import BAD_INPUT, BROKEN, complain, report_crash
from harness.cli.streams import last


def main() -> None:
    """Entry point of the console script."""
    last()
    status = status_of(sys.argv[1:])
    if "checkers.knossos" in sys.modules:
        from checkers.knossos import leave

        leave(status)
    sys.exit(status)


def status_of(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status. Ctrl-C is heard from the first import on."""
    try:
        return _status_of(arguments)
    except KeyboardInterrupt:
        complain("stopped by Ctrl-C; what a run had recorded until then is kept")
        return BROKEN


def _status_of(arguments: Sequence[str]) -> int:
    import typer
    from typer.exceptions import TyperException

    from harness.cli.reading_app import app

    try:
        status = typer.main.get_command(app).main(
            list(arguments) or ["--help"], prog_name="quorate", standalone_mode=False
        )
    except TyperException as error:
        complain(f"{error.format_message().rstrip('.')}; see `{help_of(error)} --help`")
        return BAD_INPUT
    except typer.Abort:
        raise KeyboardInterrupt from None
    except ImportError as error:
        if error.name != "checkers._core":
            return status_of_error(error, debug="--debug" in arguments)
        complain(
            f"the compiled core of the checkers cannot be used ({error}): `quorate doctor` says what to do"
        )
        return BROKEN
    except Exception as error:
        return status_of_error(error, debug="--debug" in arguments, arguments=arguments)
    if status == 130:
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0


UNUSABLE: Final = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EROFS,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)
"""What the system says of a path that is no good. A full disk is not among it."""
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def given(error: OSError, arguments: Sequence[str]) -> bool:
    """Whether the error is about a path that the user gave, or what was to be under it."""
    if error.errno not in UNUSABLE:
        return False
    path = Path(os.fsdecode(error.filename))
    paths = [
        Path(argument.partition("=")[2] if argument.startswith("--") else argument) for argument in arguments
    ]
    return any(each == path or each in path.parents for each in paths if each.name)


def status_of_error(error: Exception, *, debug: bool, arguments: Sequence[str] = ()) -> int:
    """254 for what the user can mend in the input, 255 for the infrastructure and for us."""
    from checkers.jsonl import HistoryError
    from harness.plan import PlanError
    from harness.system import SystemFault
    from harness.worlds import WorldError

    if isinstance(error, PlanError | HistoryError):
        complain(str(error))
        return BAD_INPUT
    if isinstance(error, WorldError | SystemFault):
        complain(str(error))
    elif isinstance(error, OSError) and error.filename is not None:
        complain(f"{error.filename}: {error.strerror}; check that the path is right and that you may use it")
        return BAD_INPUT if given(error, arguments) else BROKEN
    elif isinstance(error, OSError) and error.errno in FULL:
        complain(f"{error.strerror}: what was printed or written is not whole; make room and do it again")
    else:
        report_crash(error, debug=debug)
    return BROKEN


def help_of(error: Exception) -> str:
    """The command whose help explains the error."""
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "quorate"
