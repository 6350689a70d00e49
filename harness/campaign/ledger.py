"""The ledger: one SQLite file with every night and every run. A run that is in it is not made again; each is written in a transaction of its own.

nights  number, when it began and ended, the version of quorate
runs    night, item, run  (the key: nothing can be counted twice)  ─► what it came to
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from harness.plan import PlanError

FORMAT: Final = 1
SCHEMA: Final = """
create table nights (number integer primary key, began text not null, ended text, version text not null);
create table runs (night integer not null references nights, item text not null, run integer not null, record blob not null,
                   primary key (night, item, run)) without rowid;
"""


class Record(msgspec.Struct, frozen=True):
    """What a run came to. `outcome` is one of `harness.results.CLASSES`; `broken` has (claim, anomaly, pattern of the core), `shapes` what those cores
    come down to (`harness.campaign.shape`), `told` of each, if there are several, its sentence, drawing, and size. `folder`: of a run on hosts that is kept, from the ledger's; only there can it be seen again.
    """

    night: int
    item: str
    run: int
    seed: int
    outcome: str
    reason: str
    broken: tuple[tuple[str, str, str], ...] = ()
    shapes: tuple[str, ...] = ()
    configuration: str = ""
    ops: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    faults: dict[str, int] = {}  # kind -> how often it bit
    p99_ms: float | None = None
    core_ops: int = 0
    sentence: str = ""
    drawing: str = ""  # these three of the gravest
    digest: str = ""
    tries: int = 1  # more than one: the others ended in trouble with the infrastructure
    world: str = "sim"
    folder: str = ""
    real_s: float = 0.0
    count: int = 1  # of clean runs that it stands for, once its night is old (`harness.campaign.prune`)
    told: tuple[tuple[str, str, int], ...] = ()


class Night(msgspec.Struct, frozen=True):
    """A night. `ended` is None while it goes on, or if it was cut off."""

    number: int
    began: str
    ended: str | None
    version: str


class Ledger:
    """An open ledger. Make it with `opened`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def nights(self) -> list[Night]:
        """All of them, in order."""
        rows = self._connection.execute("select number, began, ended, version from nights order by number")
        return [Night(*row) for row in rows]

    def begin(self, now: str, version: str) -> Night:
        """The night that was cut off, to be gone on with, or a new one."""
        nights = self.nights()
        if nights and nights[-1].ended is None:
            return nights[-1]
        number = nights[-1].number + 1 if nights else 0
        with self._connection:
            self._connection.execute("insert into nights values (?, ?, null, ?)", (number, now, version))
        return Night(number, now, None, version)

    def end(self, night: Night, now: str) -> None:
        """The night is over."""
        with self._connection:
            self._connection.execute("update nights set ended = ? where number = ?", (now, night.number))

    def add(self, record: Record) -> None:
        """Write a run, durably. It must not be there."""
        row = (record.night, record.item, record.run, msgspec.json.encode(record))
        with self._connection:
            self._connection.execute("insert into runs values (?, ?, ?, ?)", row)

    def small(self, before: int, fold: Callable[[list[Record]], list[Record]]) -> int:
        """Fold the nights before this one, each in a transaction of its own; how many records fewer there are."""
        fewer = 0
        for night in (each.number for each in self.nights() if each.number < before):
            records = list(self.records(night))
            kept = fold(records)
            if len(kept) == len(records):
                continue
            fewer += len(records) - len(kept)
            rows = [(each.night, each.item, each.run, msgspec.json.encode(each)) for each in kept]
            with self._connection:
                self._connection.execute("delete from runs where night = ?", (night,))
                self._connection.executemany("insert into runs values (?, ?, ?, ?)", rows)
        return fewer

    def made(self, night: int) -> set[tuple[str, int]]:
        """(item, run) of all runs of a night."""
        rows = self._connection.execute("select item, run from runs where night = ?", (night,))
        return {(item, run) for item, run in rows}

    def seeds_before(self, night: int) -> dict[str, int]:
        """The last seed that each item had in the nights before this one."""
        used: dict[str, int] = {}
        for record in self.records():
            if record.night < night:
                used[record.item] = max(record.seed, used.get(record.item, record.seed))
        return used

    def records(self, night: int | None = None) -> Iterator[Record]:
        """All runs, or those of a night, in the order of nights, items and runs."""
        query = "select record from runs" + ("" if night is None else " where night = ?")
        given = () if night is None else (night,)
        for (record,) in self._connection.execute(query + " order by night, item, run", given):
            yield msgspec.json.decode(record, type=Record)


def unusable(error: sqlite3.DatabaseError) -> str:
    """Why a file cannot be used as a ledger, and what to do."""
    name = error.sqlite_errorname
    if name.startswith("SQLITE_BUSY"):
        return "another program writes to it just now; wait until that is done"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return "cannot be opened for writing by this user, or is a directory; mend that, or give --out another folder"
    return "is no ledger of a campaign, or a damaged one; give --out another folder"


@contextmanager
def opened(path: Path, *, make: bool = False) -> Iterator[Ledger]:
    """The ledger at a path. Raises PlanError: there is none, it is no ledger, or it is of another format."""
    if not make and not path.exists():
        raise PlanError(f"{path.parent} holds no campaign; begin one with `quorate campaign run FILE --out {path.parent}`")  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = sqlite3.connect(path)
    except sqlite3.OperationalError as error:
        raise PlanError(f"{path}: {unusable(error)}") from None
    try:
        try:
            found = _format_of(connection)
            if found == 0:
                with connection:
                    connection.execute("begin immediate")  # another may be making the tables just now
                    found = _format_of(connection)
                    if found == 0 and not connection.execute("select 1 from sqlite_master").fetchone():
                        for statement in (
                            *filter(str.strip, SCHEMA.split(";")),
                            f"pragma user_version = {FORMAT}",
                        ):
                            connection.execute(statement)
                        found = FORMAT
        except sqlite3.DatabaseError as error:
            raise PlanError(f"{path}: {unusable(error)}") from None
        if found != FORMAT:
            raise PlanError(
                f"{path}: is a ledger of format {found}, and this is quorate with format {FORMAT}; give --out another folder"
            )
        connection.execute("pragma synchronous = full")
        yield Ledger(connection)
    finally:
        connection.close()


def _format_of(connection: sqlite3.Connection) -> int:
    """0 of a file in which nothing was made."""
    (found,) = connection.execute("pragma user_version").fetchone()
    return int(found)
