"""Which models `check` knows, and the one door to them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from checkers.bespoke.table import BESPOKE, Model
from checkers.formats import AUTO, load
from checkers.history import History
from checkers.jsonl import HistoryError
from checkers.register import check_linearizable
from checkers.verdict import Result

MODELS: Final[Mapping[str, Model]] = {
    "register": Model(
        check_linearizable, "read -> v; write v; cas [old, new]", "Each key behaves like a single copy."
    ),
    **BESPOKE,
}


class UnknownModel(ValueError):
    """There is no such model; the sentence lists those there are."""


def model_named(name: str) -> Model:
    """The model with this name. UnknownModel if there is none."""
    if name not in MODELS:
        near = get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {near[0]!r}? There are: " if near else "use one of: "
        raise UnknownModel(f"there is no model {name!r}; {hint}{', '.join(MODELS)}")
    return MODELS[name]


def refuse_transactions(history: History, model: str) -> History:
    """The history, if the model can judge its operations: transactions judged as single operations would get a verdict that means nothing."""
    functions = {history.function(at) for at in range(history.columns.sizes()[1])}
    if "txn" in functions and not model_named(model).transactions:
        raise HistoryError(
            "the operations are transactions ('txn'), and transactions are not checked yet; give single operations, "
            "or use the model 'long-fork'"
        )
    return history


def check(source: str | os.PathLike[str] | History, model: str = "register", form: str = AUTO) -> Result:
    """Judge a history, or the file of one in any format. UnknownModel, or HistoryError for a file that cannot be trusted."""
    judge = model_named(model)
    history = source if isinstance(source, History) else load(source, form)
    return judge.check(refuse_transactions(history, model))
