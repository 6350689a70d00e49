"""`python -m checkers FILE… --model M`: verdicts without the rest of quorate; the options and the JSON are those of `quorate check`.

Exit status of the worst file: 1 INVALID, 255 a crash, 254 bad input, 2 UNKNOWN, 0 VALID. A reader of stdout who leaves (`| head -1`) changes none of that.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from checkers.explain import draw_core, explain
from checkers.formats import AUTO, FORMATS, load
from checkers.history import History
from checkers.jsonl import HistoryError
from checkers.judged import (
    BAD_INPUT,
    BROKEN,
    PRECEDENCE,
    Judged,
    budget_of,
    count_calls,
    failed,
    first_value,
    line_of,
)
from checkers.keys import keyed_by
from checkers.linearizable import ENGINES, EngineError
from checkers.models import MODELS, VACUOUS, UnknownModel, judging, refuse_transactions
from checkers.verdict import Result


class Parser(argparse.ArgumentParser):
    """A parser whose complaints end with the status of bad input."""

    def error(self, message: str) -> NoReturn:
        """Say it on one line."""
        raise SystemExit(ended(f"{message}; see `python -m checkers --help`", BAD_INPUT, sys.argv))


def parser() -> Parser:
    """The options."""
    made = Parser(
        prog="python -m checkers",
        description="Judge recorded histories.",
        epilog=f"models: {', '.join(MODELS)}",
    )
    made.add_argument("files", nargs="+", metavar="FILE")
    made.add_argument("--model", default="register")
    made.add_argument("--format", default=AUTO, dest="form", choices=(AUTO, *FORMATS))
    made.add_argument("--engine", default="auto", help=f"one of {', '.join(ENGINES)}")
    made.add_argument("--timeout", type=float, metavar="S", help="seconds a search may take")
    made.add_argument("--memory", type=float, metavar="MB", help="megabytes a search may use")
    made.add_argument("--initial", metavar="V", help="the first value, as JSON")
    made.add_argument("--key-by", metavar="F", help="where the key is in the values: a position, or a name")
    made.add_argument(
        "--vacuous", default="unknown", help=f"the verdict if nothing succeeded: {', '.join(VACUOUS)}"
    )
    made.add_argument("--explain", action="store_true", help="say why, operation by operation")
    made.add_argument("--json", action="store_true", help="one object a line")
    return made


def ended(sentence: str, status: int, arguments: Sequence[str]) -> int:
    """Say why there is no verdict, as JSON too if that was asked for; return the status."""
    print(f"error: {sentence}", file=sys.stderr)
    with contextlib.suppress(OSError):  # a full disk, which may be why
        if "--json" in arguments:
            tell(json.dumps({"error": sentence, "status": status}, ensure_ascii=False))
    return status


def main(arguments: list[str]) -> int:
    """Judge each file; returns the exit status of the worst."""
    asked = parser().parse_args(arguments)
    try:
        budget = budget_of(asked.timeout, asked.memory)
        judge = judging(asked.model, asked.engine, budget, first_value(asked.initial), asked.vacuous)
    except (UnknownModel, EngineError) as error:
        return ended(str(error), BAD_INPUT, arguments)
    statuses = []
    for name in asked.files:
        one = judged(name, asked, judge)
        statuses.append(one.status)
        if one.history is None:
            print(f"error: {one.result.reason}", file=sys.stderr)
        if asked.json:
            line = line_of(one, asked.model, explained=asked.explain)
            tell(json.dumps(line, ensure_ascii=False, default=str))
        elif one.history is not None:
            show(one, one.history, asked.explain)
    return min(statuses, key=PRECEDENCE.index)


def judged(name: str, asked: argparse.Namespace, judge: Callable[[History], Result]) -> Judged:
    """Judge one file. What cannot be read is an outcome too."""
    began = time.perf_counter()
    try:
        history = load(name, asked.form)
        try:
            history = history if asked.key_by is None else keyed_by(history, asked.key_by)
            result = judge(refuse_transactions(history, asked.model))
        except HistoryError as error:
            raise HistoryError(f"{name}: {error}") from None
    except (HistoryError, EngineError) as error:
        return failed(name, str(error), time.perf_counter() - began, BAD_INPUT)
    return Judged(name, history, result, time.perf_counter() - began, result.verdict.exit_status)


def show(one: Judged, history: History, explained: bool) -> None:
    """The verdict for a person."""
    for warning in history.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    tell(f"{one.result.verdict.name} {one.name}  ({count_calls(history):,} operations, {one.seconds:.2f} s)")
    for sentence in explain(history, one.result) if explained else [one.result.reason]:
        tell(f"  {sentence}")
    if drawing := draw_core(history, one.result):
        tell(drawing)


def tell(text: str) -> None:
    """Text on stdout; once its reader has left, nowhere."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def entry() -> NoReturn:
    """Judge, and leave with a status that says so."""
    from checkers.knossos import leave

    with Path(os.devnull).open("w") as nowhere:
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere  # None: closed by who called us
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            leave(main(sys.argv[1:]))
        except KeyboardInterrupt:
            ended("stopped by Ctrl-C", BROKEN, sys.argv)
        except Exception as error:  # status 1, Python's own, would say INVALID
            ended(f"the checkers themselves failed ({type(error).__name__}: {error})", BROKEN, sys.argv)
        leave(BROKEN)


if __name__ == "__main__":
    entry()
