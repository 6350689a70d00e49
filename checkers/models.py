"""Which models `check` knows, and the one door to them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any, Final

from checkers.bespoke.table import BESPOKE, Model
from checkers.formats import AUTO, load
from checkers.history import History
from checkers.jsonl import HistoryError
from checkers.keys import keyed_by
from checkers.linearizable import EngineError, check_object
from checkers.op import MISSING, Op, Type
from checkers.search import Budget
from checkers.sequential import check_sequential
from checkers.verdict import Result, Verdict

UNKNOWN: Final = "unknown"
VACUOUS: Final = (UNKNOWN, "valid")
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
    "fetch-and-add": "fetch-add 1 -> n before it; read -> n",
    "revisions": "write v -> revision; read -> [revision, v]",
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
            partial(check_object, model=_OBJECTS.get(name, name), clock=time.monotonic),
            shape,
            _SAME,
            name == "multi-register",
            True,
        )
        for name, shape in _SHAPES.items()
    },
    "sequential": Model(
        partial(check_sequential, clock=time.monotonic),
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
    engine: str = "auto",
    budget: Budget | None = None,
    initial: Any = MISSING,
    key_by: str | None = None,
    vacuous: str = UNKNOWN,
) -> Result:
    """Judge a history, or the file of one in any format. UnknownModel, or HistoryError for a file that cannot be trusted.

    `engine`, `budget` (time, memory, threads) and `initial`, the first value, are for objects with a sequential meaning: ValueError for a model
    that is checked in one pass, and for what does not fit the object. `key_by` says where the key is (`checkers.keys`). `vacuous` is the
    verdict on a history in which nothing succeeded: "unknown", or "valid" as other checkers say.
    """
    judge = judging(model, engine, budget, initial, vacuous)
    history = source if isinstance(source, History) else load(source, form)
    history = keyed_by(history, key_by) if key_by is not None else history
    return judge(refuse_transactions(history, model))


def judging(
    model: str,
    engine: str = "auto",
    budget: Budget | None = None,
    initial: Any = MISSING,
    vacuous: str = UNKNOWN,
) -> Callable[[History], Result]:
    """How to judge a history. UnknownModel; ValueError (EngineError) for what does not fit the model, before any history is read."""
    if vacuous not in VACUOUS:
        raise EngineError(
            f"vacuous is {vacuous!r}; a history in which nothing succeeded is one of {', '.join(VACUOUS)}"
        )
    judge = _judging(model, engine, budget, initial)
    return judge if vacuous == UNKNOWN else partial(_as_others_say, judge)


def _as_others_say(judge: Callable[[History], Result], history: History) -> Result:
    """The verdict; VALID instead of UNKNOWN if nothing succeeded, so that there is nothing to refute."""
    result = judge(history)
    if result.verdict is not Verdict.UNKNOWN or any(
        op.type is Type.OK and isinstance(op.process, int) for op in history
    ):
        return result
    reason = f"nothing succeeded, so there is nothing to refute, and nothing was tested: {result.reason}"
    return Result(result.checker, Verdict.VALID, reason, stats=result.stats)


def _judging(model: str, engine: str, budget: Budget | None, initial: Any) -> Callable[[History], Result]:
    named = model_named(model)
    if not named.is_object:
        if engine != "auto" or budget is not None or initial is not MISSING:
            text = f"the model {model!r} is checked in one way, which needs no budget"
            raise EngineError(f"{text}; leave the engine, the first value and the budget out")
        return named.check
    given: dict[str, Any] = {"engine": engine, "budget": budget}
    if initial is not MISSING:
        if model == "sequential":
            raise EngineError("the model 'sequential' has no first value to choose; leave it out")
        given["initial"] = initial
    judge = partial(named.check, **given)
    judge(History.from_ops([Op(0, 0, 0, Type.INVOKE, "?")]))
    return judge
