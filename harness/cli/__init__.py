"""The command `quorate`. This file turns whatever happens into an exit status and one sentence.

    0 VALID    1 INVALID    2 UNKNOWN    254 bad arguments or input    255 our own crash, or the infrastructure's

No command prints a traceback: a bad input says what to do, and a crash says where its trace was put. Whoever asked for JSON gets the sentence as
JSON too, `{"error": "…", "status": 254}` on stdout, so that a program which reads the answer always reads one.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.cli.console import BAD_INPUT, BROKEN, complain, emit, report_crash
from harness.cli.streams import last


def main() -> None:
    """Entry point of the console script."""
    last()
    heard()
    status = status_of(sys.argv[1:])
    if "checkers.knossos" in sys.modules:
        from checkers.knossos import leave

        leave(status)
    sys.exit(status)


def heard() -> None:
    """SIGTERM, and the SIGHUP of a terminal that is closed, end a command as Ctrl-C does: in order, with a sentence. `nohup` goes on."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) == signal.SIG_DFL:
            signal.signal(each, _stop)


def _stop(number: int, _: object) -> None:
    _Told.by = signal.Signals(number).name
    raise KeyboardInterrupt


class _Told:
    """What told us to stop: typer passes on that we were, not by what."""

    by = "Ctrl-C"


def status_of(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status. Ctrl-C is heard from the first import on."""
    try:
        return _status_of(arguments)
    except KeyboardInterrupt:
        return ended(f"stopped by {_Told.by}; what a run had recorded until then is kept", BROKEN, arguments)


def ended(sentence: str, status: int, arguments: Sequence[str]) -> int:
    """Say why there is no answer, to a person and to a program that asked; return the status."""
    complain(sentence)
    if wants_json(arguments):
        emit({"error": " ".join(sentence.split()), "status": status})
    return status


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the answer was asked for as JSON. `check --format json` is about its input."""
    options = list(arguments)[: arguments.index("--")] if "--" in arguments else list(arguments)
    answers = "report" in options[:2] and "json" in options
    return "--json" in options or answers or ("report" in options[:2] and "--format=json" in options)


def _status_of(arguments: Sequence[str]) -> int:
    import typer
    from typer.exceptions import TyperException

    from harness.cli.reading_app import app
    from harness.compiled import outdated

    if refusal := outdated():
        return ended(refusal, BROKEN, arguments)
    try:
        status = typer.main.get_command(app).main(
            list(arguments) or ["--help"], prog_name="quorate", standalone_mode=False
        )
    except TyperException as error:
        said = error.format_message().rstrip(".")
        if error.exit_code == BROKEN:
            return ended(said, BROKEN, arguments)
        return ended(f"{said}; see `{help_of(error)} --help`", BAD_INPUT, arguments)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except ImportError as error:
        if error.name != "checkers._core":
            return status_of_error(error, debug="--debug" in arguments, arguments=arguments)
        said = f"the compiled core of the checkers cannot be used ({error}): `quorate doctor` says what to do"
        return ended(said, BROKEN, arguments)
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
    from harness.client import SpoiltRunError
    from harness.completion import InterpreterError
    from harness.plan import PlanError
    from harness.system import SystemFault
    from harness.worlds import WorldError

    if isinstance(error, PlanError | HistoryError):
        return ended(str(error), BAD_INPUT, arguments)
    if isinstance(error, WorldError | SystemFault | SpoiltRunError | InterpreterError):
        return ended(str(error), BROKEN, arguments)
    if isinstance(error, OSError) and error.filename is not None:
        said = f"{error.filename}: {error.strerror}; check that the path is right and that you may use it"
        return ended(said, BAD_INPUT if given(error, arguments) else BROKEN, arguments)
    if isinstance(error, OSError) and error.errno in FULL:
        said = f"{error.strerror}: what was printed or written is not whole; make room and do it again"
        return ended(said, BROKEN, arguments)
    return ended(report_crash(error, debug=debug), BROKEN, arguments)


def help_of(error: Exception) -> str:
    """The command whose help explains the error."""
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "quorate"
