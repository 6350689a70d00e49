"""`python -m checkers register FILE [--format F]`: print the verdict; exit 0 VALID, 1 INVALID, 2 UNKNOWN, 254 bad input."""

from __future__ import annotations

import sys

from checkers.explain import draw_core
from checkers.formats import AUTO, FORMATS, load
from checkers.jsonl import HistoryError
from checkers.models import MODELS, UnknownModel, check


def main(arguments: list[str]) -> int:
    """Check one file; returns the exit status."""
    form = AUTO
    if len(arguments) == 4 and arguments[2] == "--format":
        *arguments, _, form = arguments
    if len(arguments) != 2:
        forms = "|".join((AUTO, *FORMATS))
        print(f"usage: python -m checkers MODEL FILE [--format {forms}]", file=sys.stderr)
        print(f"models: {', '.join(MODELS)}", file=sys.stderr)
        return 254
    model, path = arguments
    try:
        history = load(path, form)
        result = check(history, model)
    except (HistoryError, UnknownModel) as error:
        print(error, file=sys.stderr)
        return 254
    for warning in history.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{result.verdict.value.upper()}  {result.reason}")
    if drawing := draw_core(history, result):
        print(drawing)
    return result.verdict.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
