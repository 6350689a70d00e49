"""Op: the one form of an operation, from the generator to the verdict.

An operation is recorded twice: when it is called, and when something is known of it.

    invoke ──► ok     took effect; `value` is what came back
           ├─► fail   surely had no effect, now or later
           └─► info   unknown: it may have taken effect, or may yet, at any later time

Why a time-out is `info` and never `fail`: the request may sit in a socket buffer or in a coordinator's retry queue,
and take effect an hour after the client gave up.

    A: |--w 1--|                   ok
    B:      |--w 2--- - - - - -    timed out: info
    A:                   |--r 2--| legal: B's write landed late. With B marked `fail` this would be a false alarm.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import msgspec


class Type(IntEnum):
    """What a record says of its operation."""

    INVOKE = 0
    OK = 1
    FAIL = 2
    INFO = 3

    @property
    def word(self) -> str:
        """The word used in JSON: `invoke`, `ok`, `fail`, `info`."""
        return self.name.lower()


class Missing:
    """The type of MISSING: "no value was recorded". `None`, `0`, `""` and `[]` are values like any other."""

    _instance: Missing | None = None

    def __new__(cls) -> Missing:
        """Return the one instance, also after unpickling."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        raise TypeError("MISSING has no truth value; compare with `is MISSING`")


MISSING: Final = Missing()


class Op(msgspec.Struct, frozen=True, gc=False):
    """One record of an operation: its call, or what came of it. `msgspec.structs.replace` makes a changed one.

    Fields: `index` position in the history, -1 until recorded · `time_ns` since the run began, monotonic ·
    `process` the logical client (an int), or `"nemesis"` · `f` the function: `read`, `write`, … or a
    fault's name · `key` None where the operation has no key · `value` argument or result, MISSING when not known ·
    `error` why it is `fail` or `info`.
    """

    index: int
    time_ns: int
    process: int | str
    type: Type
    f: str
    key: Any = None
    value: Any = MISSING
    error: str | None = None

    def ok(self, value: Any = MISSING) -> Op:
        """The completion that says: it took effect, with this result (by default the argument)."""
        if value is MISSING:
            value = self.value
        return Op(self.index, self.time_ns, self.process, Type.OK, self.f, self.key, value, self.error)

    def fail(self, error: str) -> Op:
        """The completion that says: surely no effect. Use only when that is certain."""
        return Op(self.index, self.time_ns, self.process, Type.FAIL, self.f, self.key, self.value, error)

    def info(self, error: str) -> Op:
        """The completion that says: nobody knows."""
        return Op(self.index, self.time_ns, self.process, Type.INFO, self.f, self.key, self.value, error)


def invoke(
    process: int | str, f: str, key: Any = None, value: Any = MISSING, *, time_ns: int = -1, index: int = -1
) -> Op:
    """Return a call, not yet recorded."""
    return Op(index, time_ns, process, Type.INVOKE, f, key, value)
