"""What a client can ask of the store: each call as data, that is the words to send and how to read the answer.

    get(b"k") ──► Call(words = GET k, read = bytes | None, key = k, writes = False)

`kvstore.client_core` says where a call goes and whether it may be tried again, `kvstore.cluster_client` sends it. Keys and values are bytes;
text is taken as UTF-8. Which buckets can do what is in docs/store.md; what a bucket cannot do it refuses (`-WRONGCLASS`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
Data = bytes | str
CAS, CRDT = "cas", "crdt"
REMEMBERED: Final = 64  # clients whose last change a key remembers (`kvstore.envelope`)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `once`: the modes in which it takes a request id, so that a second try is not a second change."""

    words: tuple[bytes, ...]
    read: Callable[[Any], T]
    writes: bool = False
    once: frozenset[str] = frozenset()
    never: Callable[[str], bool] = lambda text: (
        False
    )  # -CASFAIL with this text: can no try, earlier or later, have made it true?
    by_mode: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)  # other words in this mode

    @property
    def key(self) -> bytes | None:
        """What it is about; None: nothing in particular, any node will do."""
        return self.words[1] if len(self.words) > 1 else None


@dataclass(frozen=True)
class Versions:
    """What a read saw. `values`: none if there is no such key, several in mode siblings.

    `context` (modes siblings and crdt) is what a write passes that replaces what was seen; `version` is the tag, in mode cas a count.
    """

    values: tuple[bytes, ...]
    version: int | None = None
    tag: str | None = None
    context: bytes | None = None


@dataclass(frozen=True)
class Written:
    """What a write tells: how many replicas hold it durably, and its version, as in Versions."""

    acks: int
    version: int | None = None
    tag: str | None = None
    context: bytes | None = None


# ---- any mode ------------------------------------------------------------------------------------------------------


def get(key: Data) -> Call[bytes | None]:
    """The value, None if there is none. Raises (SIBLINGS) if there are several."""
    return Call((b"GET", raw(key)), _maybe_bytes)


def read(key: Data, *, level: str | None = None) -> Call[Versions]:
    """All values with their version or context. `level`: one, quorum or all, in place of the bucket's R."""
    return Call((b"KV.GET", raw(key), *_level(level)), _versions)


def put(
    key: Data,
    value: Data,
    *,
    context: bytes | None = None,
    level: str | None = None,
    ttl_ms: int | None = None,
) -> Call[Written]:
    """Write. In mode siblings it replaces what `context` has seen and nothing else. `ttl_ms`: until so long after the node has it."""
    ttl = () if ttl_ms is None else (b"PX", b"%d" % ttl_ms)
    words = (b"KV.PUT", raw(key), raw(value), *_context(context), *ttl, *_level(level))
    return Call(words, _written, writes=True, once=frozenset((CAS,)))


def delete(key: Data, *, context: bytes | None = None) -> Call[bool]:
    """Delete; whether there was anything."""
    words = (b"KV.DEL", raw(key), *_context(context))
    return Call(words, lambda answer: bool(_fields(answer)["existed"]), writes=True, once=frozenset((CAS,)))


def command(*words: Data, writes: bool = True) -> Call[Any]:
    """Any other command; its second word is the key. A write is not tried again once it may have taken effect."""
    return Call(tuple(map(raw, words)), lambda answer: answer, writes=writes)


# ---- mode cas ------------------------------------------------------------------------------------------------------


def cas(key: Data, value: Data, version: int | None) -> Call[Written]:
    """Write if the key is at this version; None: if there is no value. Raises ConditionFailed with the version there is."""
    condition = (b"ABSENT",) if version is None else (b"VERSION", b"%d" % version)
    words = (b"KV.CAS", raw(key), *condition, raw(value))

    def never(text: str) -> bool:
        return version is not None and version < version_told(text) <= version + REMEMBERED

    return Call(words, _written, writes=True, once=frozenset((CAS,)), never=never)


def incr(key: Data, amount: int = 1) -> Call[int]:
    """Add to a counter (modes cas, crdt); the sum: in mode crdt as one replica knows it."""
    rest = (raw(key), b"%d" % amount)
    return Call(
        (b"KV.INCR", *rest),
        int,
        writes=True,
        once=frozenset((CAS, CRDT)),
        by_mode={CRDT: (b"KV.COUNTER.ADD", *rest)},
    )


def append(key: Data, suffix: Data) -> Call[int]:
    """Append; the length after (mode cas)."""
    return Call((b"KV.APPEND", raw(key), raw(suffix)), int, writes=True, once=frozenset((CAS,)))


# ---- mode crdt -----------------------------------------------------------------------------------------------------


def add(key: Data, *elements: Data) -> Call[None]:
    """Add to an or-set."""
    return Call((b"KV.SET.ADD", raw(key), *map(raw, elements)), _nothing, writes=True)


def remove(key: Data, *elements: Data, context: bytes | None = None) -> Call[None]:
    """Remove from an or-set what R replicas show, or the adds that `context` has seen."""
    words = (b"KV.SET.REM", raw(key), *map(raw, elements), *_context(context))
    return Call(words, _nothing, writes=True)


def members(key: Data) -> Call[frozenset[bytes]]:
    """The elements of an or-set."""
    return Call((b"SMEMBERS", raw(key)), frozenset)


def count(key: Data) -> Call[int]:
    """What a counter of mode crdt or cas says, 0 if there is none."""
    return Call((b"GET", raw(key)), lambda answer: int(answer or 0))


def flag(key: Data, on: bool) -> Call[None]:
    """Turn a flag on or off."""
    return Call((b"KV.FLAG", raw(key), b"ON" if on else b"OFF"), _nothing, writes=True)


def is_on(key: Data) -> Call[bool]:
    """Whether a flag is on."""
    return Call((b"GET", raw(key)), lambda answer: answer == b"1")


def map_set(key: Data, name: Data, value: Data) -> Call[None]:
    """Set a register field of an or-map."""
    return Call((b"KV.MAP.SET", raw(key), raw(name), raw(value)), _nothing, writes=True)


def map_add(key: Data, name: Data, *elements: Data) -> Call[None]:
    """Add to a set field of an or-map."""
    return Call((b"KV.MAP.ADD", raw(key), raw(name), *map(raw, elements)), _nothing, writes=True)


def map_delete(key: Data, *fields: Data) -> Call[None]:
    """Reset fields of an or-map, each written as `map_get` names it: r:name, s:name or f:name."""
    return Call((b"KV.MAP.DEL", raw(key), *map(raw, fields)), _nothing, writes=True)


def map_get(key: Data) -> Call[dict[str, tuple[bytes, ...]]]:
    """The fields of an or-map: r:name registers, s:name sets, f:name flags."""
    return Call(
        (b"KV.MAP.GET", raw(key)),
        lambda answer: {name.decode(): tuple(values) for name, values in _fields(answer, text=False).items()},
    )


# ---- words and answers ---------------------------------------------------------------------------------------------


def version_told(text: str) -> int:
    """The version in the text of -CASFAIL."""
    found = re.search(r"version (\d+)", text)
    return int(found[1]) if found else 0


def raw(data: Data) -> bytes:
    """Text as UTF-8."""
    return data.encode() if isinstance(data, str) else data


def _level(level: str | None) -> tuple[bytes, ...]:
    return () if level is None else (b"CL", level.encode())


def _context(context: bytes | None) -> tuple[bytes, ...]:
    return () if context is None else (b"CTX", context)


def _fields(answer: Any, *, text: bool = True) -> dict[Any, Any]:
    """A map as RESP 2 has it, a flat list."""
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return {name.decode() if text else name: value for name, value in pairs}


def _nothing(answer: Any) -> None:
    return None


def _maybe_bytes(answer: Any) -> bytes | None:
    if isinstance(answer, int):
        return b"%d" % answer
    assert answer is None or isinstance(answer, bytes)
    return answer


def _seen(fields: dict[str, Any]) -> dict[str, Any]:
    tag = fields.get("tag")
    text = None if tag is None else tag.decode()
    version = int(text) if text and text.isdigit() else None
    return {"version": version, "tag": text, "context": fields.get("ctx")}


def _versions(answer: Any) -> Versions:
    fields = _fields(answer)
    return Versions(tuple(fields["values"]), **_seen(fields))


def _written(answer: Any) -> Written:
    fields = _fields(answer)
    return Written(fields["acks"], **_seen(fields))
