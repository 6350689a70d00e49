"""From the maps of a Jepsen history to operations. EDN, JSON and text logs all come through here.

    {:process 0, :type :invoke, :f :write, :value 1}      ->  Op(process=0, INVOKE, "write", value=1)
    {:process 0, :type :ok,     :f :write, :value 1}      ->  its completion: the open call of process 0

Order is the order of the records, as one thread recorded them. `:time` is a reading of many threads and may run backwards: it is pulled up to a
nanosecond after the record before. Without `:time` the records are a nanosecond apart. `:index` may have gaps, but must grow.

`nil` where a call has no argument, or where a `fail` or `info` has no result, is MISSING. `:key` is the key; or else, when the first call of a
read is `[k nil]`, every call's value is Jepsen's independent tuple `[k v]`, and its first part is the key. A completion may leave the key out.

A call whose value is a list of micro-operations `[:r k v]` is a transaction, whatever its `:f`. Fields that are not listed here are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from checkers.formats.edn import Keyword
from checkers.formats.edn_text import write_value
from checkers.jsonl import HistoryError, encode_op
from checkers.op import MISSING, Op, Type

Record = dict[str, Any]
NEMESIS: Final = "nemesis"
TRANSACTION: Final = "txn"
_INTEGER_MAX: Final = 1 << 62
_TYPES: Final = {kind.word: kind for kind in Type}
_MICRO: Final = frozenset(("r", "w", "append", "read", "write"))
# Calls without an argument: under independent keys their value is [k nil].
_READS: Final = frozenset(
    ("read", "get", "dequeue", "pop", "peek", "poll", "take", "drain", "acquire", "release")
)
# Calls to which nil is an argument like any other.
_WRITES: Final = frozenset(("write", "put", "set", "cas", "add", "append", "enqueue", "push", "offer"))


def to_lines(records: Iterable[Any], where: Callable[[], str]) -> Iterator[bytes]:
    """The operations of the records as JSON lines; `where` tells the place of the record that came last.

    Records are held back only until it is clear whether values are `[k v]`: the first read tells, or the first value that is no pair.
    """
    source = iter(records)
    head: list[tuple[Any, str]] = []
    keyed = _is_keyed(source, where, head)
    pairing = _Pairing(keyed)
    for record, told in chain(head, ((record, "") for record in source)):
        try:
            line = encode_op(pairing.op(record))
        except HistoryError as error:
            raise HistoryError(f"{told or where()}: {error}") from None
        except RecursionError:
            raise HistoryError(
                f"{told or where()}: values are nested too deep; record flatter ones"
            ) from None
        yield line
    if both := pairing.words & pairing.texts:
        word = min(both)
        raise HistoryError(
            f"the history has both the keyword :{word} and the text {word!r} as values, which would become one; rename one"
        )


def _is_keyed(source: Iterator[Any], where: Callable[[], str], head: list[tuple[Any, str]]) -> bool:
    """Are the values `[k v]`? What had to be read to know it goes to `head`."""
    nested = False
    for record in source:
        head.append((record, where()))
        record = _unwrapped(record)
        if not isinstance(record, dict) or record.get("type") != "invoke" or record.get("process") == NEMESIS:
            continue
        if "key" in record or "f" not in record:
            return False
        f, value = record["f"], record.get("value")
        if not isinstance(value, list) or len(value) != 2:
            return False
        if isinstance(f, str) and f in _READS:
            return value[1] is None
        if f == "cas" and not (isinstance(value[1], list) and len(value[1]) == 2):
            return False
        nested = nested or f == "cas"
    return nested


@dataclass(slots=True)
class _Call:
    """A call that is open: what its completion must repeat."""

    f: Any
    op: Op


@dataclass(slots=True)
class _Pairing:
    """What is known while records come in order."""

    keyed: bool
    time_ns: int = -1
    index: int = -1
    open: dict[int, _Call] = field(default_factory=dict)
    retired: set[int] = field(default_factory=set)
    unnamed: bool | None = None  # do client records lack a process?
    fresh: int = 0
    words: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)

    def op(self, record: Any) -> Op:
        """The operation of one record. HistoryError without the place."""
        record = _unwrapped(record)
        if not isinstance(record, dict):
            raise HistoryError(
                f"a map such as {{:process 0, :type :ok, :f :read}} expected, not {_shown(record)}"
            )
        word = record.get("type")
        kind = _TYPES.get(word) if isinstance(word, str) else None
        if kind is None:
            raise HistoryError(f":type is {_shown(word)}; one of :invoke, :ok, :fail, :info expected")
        self._advance(record)
        f, process, error = record.get("f"), record.get("process"), _error(record.get("error"))
        if process == NEMESIS:
            name = _function(f, MISSING)
            return Op(-1, self.time_ns, NEMESIS, kind, name, None, record.get("value", MISSING), error)
        if kind is Type.INVOKE:
            return self._call(record, f, self._process_of_call(process))
        return self._completion(record, kind, f, self._process_of_end(process, f), error)

    def _advance(self, record: Record) -> None:
        """Go on by index and time."""
        index, time = record.get("index"), record.get("time")
        if index is not None:
            if type(index) is not int or not self.index < index < _INTEGER_MAX:
                raise HistoryError(
                    f":index is {_shown(index)} after {self.index}; a growing integer expected: sort the records by it"
                )
            self.index = index
        if time is None:
            self.time_ns += 1
        elif type(time) is int and abs(time) < _INTEGER_MAX:
            self.time_ns = max(self.time_ns + 1, time)
        else:
            raise HistoryError(f":time is {_shown(time)}; an integer of nanoseconds expected")

    def _call(self, record: Record, f: Any, process: int) -> Op:
        value = record.get("value", MISSING)
        name = _function(f, value)
        key, value = self._parted(record, value)
        if value is None and name not in _WRITES:
            value = MISSING
        self._notice(value)
        op = Op(-1, self.time_ns, process, Type.INVOKE, name, key, value)
        self.open[process] = _Call(f, op)
        return op

    def _completion(self, record: Record, kind: Type, f: Any, process: int, error: str | None) -> Op:
        call = self.open.pop(process, None)
        if call is None:
            raise HistoryError(
                f"process {process} has no open call that this completes; :invoke expected first"
            )
        if f != call.f:
            raise HistoryError(
                f":f is {_shown(f)}; {_shown(call.f)} expected, as in the call of process {process}"
            )
        key, value = call.op.key, record.get("value", MISSING)
        if not self.keyed:
            found = record.get("key", key)
        elif isinstance(value, list) and len(value) == 2:
            found, value = value
        else:
            found, value = key, value if kind is Type.OK else MISSING
        if found != key or type(found) is not type(key):
            raise HistoryError(f"the key is {_shown(found)}; {_shown(key)} expected, as in the call")
        if value is None and (kind is not Type.OK or call.op.f in _WRITES):
            value = MISSING
        self._notice(value)
        if kind is Type.INFO:
            self.retired.add(process)
        return Op(-1, self.time_ns, process, kind, call.op.f, key, value, error)

    def _parted(self, record: Record, value: Any) -> tuple[Any, Any]:
        """Key and value."""
        if not self.keyed:
            key = record.get("key")
            self._notice(key)
            return key, value
        if not isinstance(value, list) or len(value) != 2:
            raise HistoryError(f":value is {_shown(value)}; [key value] expected, as in the records before")
        self._notice(value[0])
        return value[0], value[1]

    def _process_of_call(self, process: Any) -> int:
        self._named(process)
        if process is None:
            process, self.fresh = self.fresh, self.fresh + 1
        if process in self.open:
            raise HistoryError(
                f"process {process} has a call still open; its :ok, :fail or :info expected first"
            )
        if process in self.retired:
            raise HistoryError(f"process {process} goes on after its :info; a fresh process expected")
        return int(process)

    def _process_of_end(self, process: Any, f: Any) -> int:
        """Of a record without a process: the only open call of that f."""
        self._named(process)
        if process is not None:
            return int(process)
        found = [number for number, call in self.open.items() if call.f == f]
        if len(found) != 1:
            raise HistoryError(
                f"there are {len(found)} open calls of {_shown(f)} that this could complete; a :process in every record expected"
            )
        return found[0]

    def _named(self, process: Any) -> None:
        if process is not None and not (type(process) is int and abs(process) < _INTEGER_MAX):
            raise HistoryError(f":process is {_shown(process)}; an integer or :nemesis expected")
        if self.unnamed is None:
            self.unnamed = process is None
        if self.unnamed != (process is None):
            raise HistoryError(
                "some records of clients have a :process and some have none; one in every record expected"
            )

    def _notice(self, value: Any) -> None:
        """Remember which values are keywords and which are text: they must not become one."""
        if type(value) is str:
            self.texts.add(value)
        elif type(value) is Keyword:
            self.words.add(value)
        elif type(value) is list:
            self.texts.update(item for item in value if type(item) is str)
            self.words.update(item for item in value if type(item) is Keyword)


def _unwrapped(record: Any) -> Any:
    """The map in `#jepsen.history.Op{…}`."""
    if isinstance(record, dict) and len(record) == 1:
        [(name, inner)] = record.items()
        if isinstance(name, str) and name.startswith("#") and name.endswith("Op"):
            return inner
    return record


def _function(f: Any, value: Any) -> str:
    """The name of the function; `txn` for a list of micro-operations."""
    if isinstance(value, list) and value and all(map(_is_micro, value)):
        return TRANSACTION
    if not isinstance(f, str):
        raise HistoryError(f":f is {_shown(f)}; the function's name expected, such as :read")
    return str(f)


def _is_micro(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 3 and isinstance(item[0], str) and item[0] in _MICRO


def _error(error: Any) -> str | None:
    """An error in words: a keyword's name, or the EDN of what is not text."""
    if error is None:
        return None
    return str(error) if isinstance(error, str) else write_value(error)


def _shown(value: Any) -> str:
    """A value in a sentence, cut short."""
    if value is None or value is MISSING:
        return "absent"
    try:
        text = f":{value}" if type(value) is Keyword else repr(value)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__} too big to show"
    return text if len(text) < 60 else text[:60] + "…"
