"""What commands share: where text goes, how waiting is shown, how a failure is said.

stdout   the answer: a table or text for people, JSON and nothing else with --json
stderr   progress and errors, one sentence each
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

BAD_INPUT, BROKEN = 254, 255
WIDE, NARROWEST = 200, 20  # columns of what is piped, and the fewest that a table is drawn in
STYLES = {"valid": "bold green", "invalid": "bold red", "unknown": "bold yellow"}


class Ticker(Protocol):
    """Shows how far something is: a share from 0 to 1 and a few words."""

    def __call__(self, share: float, text: str, /) -> None:
        """Say it. Cheap enough to call often."""


def err() -> Any:
    """The console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def out() -> Any:
    """The console for answers. Piped, it is as wide as it needs to be, so that no line is cut; as `COLUMNS` says, if that is a width."""
    from rich.console import Console

    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isdecimal() and int(asked) >= NARROWEST else WIDE
    return Console(highlight=False, width=None if sys.stdout.isatty() else width)


def emit(value: Any) -> None:
    """One JSON value on a line of stdout."""
    text = json.dumps(value, ensure_ascii=False, default=str) + "\n"
    sys.stdout.write(text.encode(errors="backslashreplace").decode())
    sys.stdout.flush()


def say(text: str) -> None:
    """A line of progress on stderr."""
    err().print(text, markup=False, soft_wrap=True)


def say_amid(text: str) -> None:
    """The same from a handler of signals, which may come amid a print, or amid the loading of what prints."""
    os.write(2, f"{text}\n".encode())


def complain(text: str) -> None:
    """An error on stderr, on one line."""
    console = err()
    console.print("error:", style="bold red", end=" ")
    console.print(" ".join(text.split()), markup=False, soft_wrap=True)


def report_crash(error: BaseException, *, debug: bool) -> str:
    """Our own bug: the sentence for the user. The trace goes into a file; with --debug, or where none can be made, to stderr."""
    what = f"quorate itself failed ({type(error).__name__}: {error})"
    trace = "".join(traceback.format_exception(error))
    with suppress(OSError):
        if not debug:
            handle, path = tempfile.mkstemp(prefix="quorate-crash-", suffix=".log")
            with os.fdopen(handle, "w") as file:
                file.write(trace)
            return f"{what}; the trace is in {path}, please report it"
    sys.stderr.write(trace)
    return f"{what}; please report it with the trace above"


@contextmanager
def waiting(text: str, *, quiet: bool = False) -> Iterator[Ticker]:
    """Show a progress bar on stderr while something runs. Not on a terminal: a line at the start only."""
    console = err()
    if quiet or not console.is_terminal:
        if not quiet:
            say(text)
        yield lambda share, text: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=1.0, words="")

        def tick(share: float, words: str) -> None:
            progress.update(task, completed=min(share, 1.0), words=words)

        yield tick


class Stopping:
    """Whether we are asked to end, and whether that cuts short what is under way."""

    def __init__(self, *, patient: bool) -> None:
        self.asked = False
        self._patient = patient

    def ask(self, *_: object) -> None:
        """What the signals do. The first is KeyboardInterrupt, where we are not patient."""
        if self.asked:
            say_amid("stopping already; `kill -9` ends it at once, and hosts it has made go when the same command is run again")  # fmt: skip
            return
        self.asked = True
        say_amid("stopping: what is under way comes to its end first")
        if not self._patient:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Here it is KeyboardInterrupt, that of a signal which came before too."""
        before, self._patient = self._patient, False
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._patient = before


@contextmanager
def stoppable(*, patient: bool = False) -> Iterator[Stopping]:
    """Ctrl-C, SIGTERM and the SIGHUP of a closed terminal are answered at once; the first is KeyboardInterrupt, which waits for what is under way.

    Patient: only within `at_once()`; elsewhere it is noted, and what is short and must be whole goes on to its end.
    """
    stopping = Stopping(patient=patient)
    polite = [
        each
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(each) != signal.SIG_IGN
    ]
    before = {each: signal.signal(each, stopping.ask) for each in polite}
    try:
        yield stopping
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def readable(path: Path, such_as: str = "plan.toml") -> Path:
    """The path, if it is a file that can be read; otherwise PlanError with what to do."""
    from harness.plan import PlanError

    if path.is_dir():
        raise PlanError(f"{path} is a directory; give the file in it, for example {path / such_as}")
    if not path.exists():
        raise PlanError(f"{path} does not exist; check the spelling, or see `ls {path.parent}`")
    if not os.access(path, os.R_OK):
        raise PlanError(f"{path} cannot be read by this user; mend it with `chmod +r {path}`")
    return path
