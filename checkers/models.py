"""Which models `check` knows, and the one door to them."""

from __future__ import annotations

import os
from typing import Final

from checkers.formats import AUTO, load
from checkers.history import History
from checkers.jsonl import HistoryError
from checkers.register import check_linearizable
from checkers.verdict import Result

MODELS: Final = ("register",)


class UnknownModel(ValueError):
    """There is no such model; the sentence lists those there are."""


def refuse_transactions(history: History) -> History:
    """The history, if it has no transactions: judged as single operations, they would get a verdict that means nothing."""
    functions = {history.function(at) for at in range(history.columns.sizes()[1])}
    if "txn" in functions:
        raise HistoryError(
            "the operations are transactions ('txn'), and transactions are not checked yet; give single operations"
        )
    return history


def check(source: str | os.PathLike[str] | History, model: str = "register", form: str = AUTO) -> Result:
    """Judge a history, or the file of one in any format. UnknownModel, or HistoryError for a file that cannot be trusted."""
    if model not in MODELS:
        raise UnknownModel(f"the model {model!r} is unknown; use one of {', '.join(MODELS)}")
    history = source if isinstance(source, History) else load(source, form)
    return check_linearizable(refuse_transactions(history))
