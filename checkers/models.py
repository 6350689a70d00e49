"""Which models `check` knows, and the one door to them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import Final

from checkers.bespoke.table import BESPOKE, Model
from checkers.formats import AUTO, load
from checkers.history import History
from checkers.jsonl import HistoryError
from checkers.linearizable import check_object
from checkers.search import Budget
from checkers.sequential import check_sequential
from checkers.verdict import Result

_SHAPES: Final[Mapping[str, str]] = {
    "register": "read -> v; write v; cas [old, new]",
    "cas-register": "read -> v; write v; cas [old, new]",
    "multi-register": 'txn [["read", k, null], ["write", k, v], …]',
    "mutex": "acquire; release",
    "linearizable-counter": "add n; read -> n",
    "grow-set": "add v; read -> [v, …]",
    "linearizable-set": "add v; remove v; contains v -> [v, there]; read -> [v, …]",
    "fifo-queue": "enqueue v; dequeue -> v or null",
    "stack": "push v; pop -> v or null",
    "priority-queue": "insert n; poll -> the greatest n or null",
    "append-list": "append v; read -> [v, …]",
    "kv": "get -> text; put text; append text",
}
_OBJECTS: Final[Mapping[str, str]] = {
    "linearizable-counter": "counter",
    "linearizable-set": "set",
    "fifo-queue": "queue",
}  # where a bespoke checker has the object's own name
_SAME: Final = "Each key behaves like a single copy."

MODELS: Final[Mapping[str, Model]] = {
    **{
        name: Model(
            partial(check_object, model=_OBJECTS.get(name, name)),
            shape,
            _SAME,
            name == "multi-register",
            True,
        )
        for name, shape in _SHAPES.items()
    },
    "sequential": Model(
        check_sequential,
        "read -> v; write v; cas [old, new]",
        "All keys together behave like a single copy, seen by each process in its own order.",
        is_object=True,
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


def check(
    source: str | os.PathLike[str] | History,
    model: str = "register",
    form: str = AUTO,
    *,
    budget: Budget | None = None,
) -> Result:
    """Judge a history, or the file of one in any format. UnknownModel, or HistoryError for a file that cannot be trusted.

    `budget` says what an object's check may use (time, memory, threads); ValueError for a model that is checked in one pass and takes none.
    """
    judge = model_named(model)
    if budget is not None and not judge.is_object:
        raise ValueError(f"the model {model!r} is checked in one way, which needs no budget; leave it out")
    history = refuse_transactions(source if isinstance(source, History) else load(source, form), model)
    return judge.check(history, budget=budget) if judge.is_object else judge.check(history)
