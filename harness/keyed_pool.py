"""Key by key in a pool: one history's verdict, its keys judged in many processes or on many machines.

    history ──► its keys in groups of like size ──► pool: judge each ──► answers in the history's own numbers ──► the same Result

Locality (Herlihy and Wing 1990, theorem 1): a history is linearizable exactly if each key's part is, so no group needs to know of another. `KeyedColumns`
stands where the columns of a history do: what is judged by key is sent away, everything else is asked of the columns themselves, so whoever asks makes the
same sentences, cores and certificates of the answers. Deadline and memory of a search are each group's own, from its beginning.

What it costs: the records are written out again and read by whoever judges them, some microseconds an operation. A search may take longer than that by far;
zones never do (`docs/scale.md`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from checkers._core import Columns
from checkers.history import History
from checkers.models import model_named
from checkers.verdict import Result
from harness.pool import AHEAD, Pool, in_order

Ids = npt.NDArray[np.uint32]
NONE: Final = 2**32 - 1
TYPES: Final = (b"invoke", b"ok", b"fail", b"info")
TEXTS: Final = ("process", "f", "key", "value")
NUMBER: Final = re.compile(r"#(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """The records of some keys. `texts` has each distinct text once, `at` says which of them a record has; NONE: none."""

    time: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    texts: dict[str, list[bytes]]
    at: dict[str, Ids]


def by_key(model: str, engine: str) -> bool:
    """Whether the model is judged key by key, in this process."""
    return model_named(model).is_object and model != "sequential" and engine != "knossos"


def spread(judge: Callable[[History], Result], pool: Pool) -> Callable[[History], Result]:
    """The same judgement, the keys judged in the pool."""
    return lambda history: judge(History(cast("Columns", KeyedColumns(history.columns, pool))))


class KeyedColumns:
    """The columns of a history whose keys are judged in a pool."""

    def __init__(self, columns: Columns, pool: Pool) -> None:
        self._columns, self._pool = columns, pool
        self._ids = {name: np.frombuffer(columns.column(name), np.uint32) for name in TEXTS}
        self._time = np.frombuffer(columns.column("time"), np.int64)
        self._kind = np.frombuffer(columns.column("type"), np.uint8)
        self._key = self._ids["key"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._columns, name)

    def __len__(self) -> int:
        return len(self._columns)

    def zones(self, threads: int = 0) -> list[Any]:
        """See `Columns`, here and below: `threads` is the pool's affair."""
        return self._judged("zones")

    def cas_zones(self, failed_cas: bool, threads: int = 0) -> list[Any]:
        """Of registers with compare-and-set."""
        return self._judged("cas_zones", failed_cas)

    def special(self, model: str, threads: int = 0) -> list[Any]:
        """Of objects with a polynomial case."""
        return self._judged("special", model)

    def search(self, model: str, *how: Any) -> list[Any]:
        """Of any object; the last of `how` are the threads."""
        return self._judged("search", model, *how[:-1])

    def _judged(self, method: str, *how: Any) -> list[Any]:
        """The answers of all keys, in the order of their numbers."""
        tasks = ((group, (self._part(group), method, (*how, 1))) for group in self._groups())
        answers = list[Any]()
        with closing(in_order(judge_part, tasks, self._pool)) as made:
            for group, found in made:
                keys = list(dict.fromkeys(self._key[group].tolist()))  # as whoever read them numbered them
                answers += [_renumbered(answer, keys, group) for answer in found]
        return sorted(answers, key=lambda answer: answer["key"] if isinstance(answer, dict) else answer[0])

    def _groups(self) -> Iterator[Ids]:
        """The places of the records of whole keys, about as many in each group."""
        client = np.frombuffer(self._columns.clients(), np.uint8).astype(bool)
        mine = np.flatnonzero(client[self._ids["process"]]).astype(np.uint32)
        mine = mine[np.argsort(self._key[mine], kind="stable")]
        ends = np.append(np.flatnonzero(np.diff(self._key[mine])) + 1, len(mine))
        begin, least = 0, len(mine) / (AHEAD * self._pool.size)
        for end in ends.tolist():
            if end - begin >= least or end == len(mine):
                yield np.sort(mine[begin:end])
                begin = end

    def _part(self, group: Ids) -> Part:
        texts, at = dict[str, list[bytes]](), dict[str, Ids]()
        for name in TEXTS:
            distinct, where = np.unique(self._ids[name][group], return_inverse=True)
            texts[name] = [b"" if each == NONE else self._columns.text(name, each) for each in distinct.tolist()]  # fmt: skip
            at[name] = where.astype(np.uint32)
        return Part(self._time[group], self._kind[group], texts, at)


def judge_part(part: Part, method: str, how: tuple[Any, ...]) -> list[Any]:
    """The answers for some keys, in whichever process, in the numbers of the part."""
    answers: list[Any] = getattr(Columns.stream(_lines(part)), method)(*how)
    return answers


def _lines(part: Part) -> Iterator[bytes]:
    """The records as JSON lines."""
    columns = [[part.texts[name][each] for each in part.at[name].tolist()] for name in TEXTS]
    for time, kind, process, f, key, value in zip(part.time.tolist(), part.kind.tolist(), *columns, strict=True):  # fmt: skip
        given = b',"value":' + value if value else b""
        yield b'{"time":%d,"type":"%s","process":%s,"f":%s,"key":%s%s}\n' % (time, TYPES[kind], process, f, key, given)  # fmt: skip


def _renumbered(answer: Any, keys: list[int], group: Ids) -> Any:
    """An answer in the numbers of the whole history."""

    def told(text: str) -> str:
        return NUMBER.sub(lambda found: f"#{group[int(found[1])]}", text)

    if not isinstance(answer, dict):
        key, word, text, packed, size, seen = answer
        ops = group[np.frombuffer(packed, np.uint32)].tobytes()
        return keys[key], word, told(text) if word == "unknown" else text, ops, size, seen
    stuck = [(state, group[order].tolist()) for state, order in answer["stuck"]]
    blocking = None if answer["blocking"] is None else int(group[answer["blocking"]])
    ops = group[answer["ops"]].tolist()
    return {**answer, "key": keys[answer["key"]], "ops": ops, "blocking": blocking, "stuck": stuck, "reason": told(answer["reason"])}  # fmt: skip
