"""What the guard cannot watch where it is, it watches where it is used: names in modules that are not ours and not a package's.

    from time import time              the module has the function under a name of its own: another is there while the run goes on
    from datetime import datetime      a class whose now() is watched; what it makes are real datetimes
    import datetime                    a module that has that class
    id(x), hash("a"), open("f")        built-ins: the module is given its own

A module's names are looked up at each call, so that what is there counts (as `unittest.mock.patch` has it: patch where it is used).
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

from harness.named import is_library

Watch = Callable[[Any, str], Callable[..., Any]]
"""(owner, name) -> what to call in its place."""
PACKAGES: Final = frozenset({"checkers", "harness", "kvstore", "workloads"})
NOTHING: Final = object()
DATES: Final = frozenset({id(datetime), id(datetime.datetime), id(datetime.date)})


def strangers() -> list[ModuleType]:
    """The modules that are loaded and are neither ours nor in a library's folder."""
    return [sys.modules[name] for name in _strange(tuple(sys.modules)) if name in sys.modules]


@lru_cache(maxsize=1)
def _strange(names: tuple[str, ...]) -> list[str]:
    """Their names. Looking through all takes a while: it is done again when there are others."""
    files = [(name, getattr(sys.modules.get(name), "__file__", None)) for name in names]
    return [
        name
        for name, file in files
        if isinstance(file, str) and name.partition(".")[0] not in PACKAGES and not is_library(file)
    ]


@contextmanager
def watched_where_used(others: Mapping[int, Callable[..., Any]], given: Mapping[str, Callable[..., Any]], watch: Watch) -> Iterator[None]:  # fmt: skip
    """Until the end of the block: `others` by the identity of what they stand for, `given` by their name."""
    before: list[tuple[dict[str, Any], str, Any]] = []
    modules = strangers()
    if any(id(value) in DATES for module in modules for value in list(vars(module).values())):
        dates = _dates(watch)
        others = {**others, **{id(real): kind for real, kind in dates.items()}, id(datetime): _library(dates)}
    for module in modules:
        names = vars(module)
        found = {name: others[id(value)] for name, value in names.items() if id(value) in others}
        for name, other in {**given, **found}.items():
            if name in found or name not in names:
                before.append((names, name, names.get(name, NOTHING)))
                names[name] = other
    try:
        yield
    finally:
        for names, name, value in before:
            if value is NOTHING:
                names.pop(name, None)
            else:
                names[name] = value


def _dates(watch: Watch) -> dict[type, Any]:
    class Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, cls.__mro__[1])

        def __subclasscheck__(cls, kind: type) -> bool:
            return issubclass(kind, cls.__mro__[1])

    class Moment(datetime.datetime, metaclass=Kind):
        now, today, utcnow = (
            staticmethod(watch(datetime.datetime, name)) for name in ("now", "today", "utcnow")
        )

        def __new__(cls, *arguments: Any, **named: Any) -> Any:
            return datetime.datetime(*arguments, **named)

    class Day(datetime.date, metaclass=Kind):
        today = staticmethod(watch(datetime.date, "today"))

        def __new__(cls, *arguments: Any, **named: Any) -> Any:
            return datetime.date(*arguments, **named)

    return {datetime.datetime: Moment, datetime.date: Day}


def _library(dates: Mapping[type, Any]) -> Any:
    library = ModuleType("datetime")
    vars(library).update(vars(datetime))
    vars(library).update({real.__name__: kind for real, kind in dates.items()})
    return library
