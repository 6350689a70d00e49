"""Which models `check` knows, and the one door to them."""

from __future__ import annotations

import os
from typing import Final

from checkers.history import History
from checkers.register import check_linearizable
from checkers.verdict import Result

MODELS: Final = ("register",)


class UnknownModel(ValueError):
    """There is no such model; the sentence lists those there are."""


def check(source: str | os.PathLike[str] | History, model: str = "register") -> Result:
    """Judge a history, or the JSONL file of one. UnknownModel, or HistoryError for a file that cannot be trusted."""
    if model not in MODELS:
        raise UnknownModel(f"the model {model!r} is unknown; use one of {', '.join(MODELS)}")
    history = source if isinstance(source, History) else History.load(source)
    return check_linearizable(history)
