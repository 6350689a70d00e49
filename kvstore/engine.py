"""Storage: what is on disk, and the one moment at which it is there.

    loop thread          stage(rows) ─┐                          get, meta, records
                                      ▼                                ▲
    commit thread                   sync()  ── fsync ──►  committed ───┘

*Staged* rows are written but may be lost in a crash and cannot be read; `sync` makes all of them durable and
readable at once. So many writes share one fsync (group commit), and the slow call is the only one that leaves
the loop's thread. Rows that nobody waits for (`kvstore.durability`) are staged *loose*: `sync` then makes them readable and hands
them to the operating system, so that the end of the process does not lose them, but the end of power may. The next `sync` of what
is not loose makes them durable too.

Rule 1. No lower version ever replaces a higher one: the guard is in the engine (`excluded.tag >= tag`), so
that a late message, a bug above or a second writer cannot undo a newer write. The same version may be written
again; that mends a damaged record. Removing a record for good (Erase) obeys the same guard.
Small rows are appended to a log first, and come to their place by key later, in order (`kvstore.memtable`). A start brings there
what is left in the log.
Rule 2. Every record carries a checksum of all it holds. A mismatch raises CorruptRecord, never "not found".
Rule 3. A failed sync is final. After a failed fsync the kernel may have dropped the pages and a second fsync
would report success for data that is gone (PostgreSQL's "fsyncgate"); the process must end.

`kvstore.engine_memory` is the twin for the simulator; both pass `tests/kvstore/test_engine_conformance.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from kvstore.engine_errors import EngineError, SchemaError, opening, stopping
from kvstore.engine_rows import bound, checksum, fact_row, place, unbound
from kvstore.events import ANY_SIZE, CorruptRecord, Damaged, Erase, Meta, Reader, Record, size_of
from kvstore.memtable import ROWS_MAX, TAG, Bound, Memtable, merged
from kvstore.ring import partition_of

SCHEMA = 4  # raise it when the tables below change their meaning
# Whose content means the same here: 2 has no tags with deadlines, 3 no log. Such a file becomes one of SCHEMA
SCHEMAS_BEFORE = (2, 3)
FILE = "store.sqlite3"
PARTIAL = ".partial"  # ends the name of what is not whole yet
DIRECT_BYTES = 1024  # a larger value fills pages of its own, and is not written twice

Row = Record | Meta | Erase


class Engine(Reader, Protocol):
    """Storage of one node.

    All but `sync` are quick; `sync` blocks for an fsync and may run in another thread.
    """

    def stage(self, rows: Iterable[Row], *, loose: bool = False) -> None:
        """Write rows as one batch, not yet durable and not yet readable. Never call it while `sync` runs."""

    def sync(self) -> None:
        """Make everything staged readable, and durable with all before it, unless all that is staged is loose.

        Raises EngineError, after which the process must end.
        """

    def commit(self, rows: Iterable[Row]) -> None:
        """`stage`, then `sync`."""

    def close(self) -> None:
        """Give up what is only staged, and close."""


_ENCODER = msgspec.msgpack.Encoder()
_TABLES = """
    CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS meta (
        name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS records (
        bucket TEXT NOT NULL, partition INTEGER NOT NULL, key BLOB NOT NULL, tag BLOB NOT NULL, value BLOB,
        checksum INTEGER NOT NULL, PRIMARY KEY (bucket, partition, key)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, rows BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
_PUT = """
    INSERT INTO records VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (bucket, partition, key) DO UPDATE
    SET tag = excluded.tag, value = excluded.value, checksum = excluded.checksum
    WHERE excluded.tag >= records.tag
"""
_BARRIER = """
    INSERT INTO about VALUES ('barriers', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1
"""
_FACT = "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)"
_SETTLED = "DELETE FROM log WHERE n <= ?"
_ERASE = "DELETE FROM records WHERE bucket = ? AND partition = ? AND key = ? AND tag <= ?"
_GET = "SELECT tag, value, checksum FROM records WHERE bucket = ? AND partition = ? AND key = ?"
_ALL = "SELECT * FROM records ORDER BY bucket, partition, key"
# From one to the next: DISTINCT would read the whole table
_BUCKETS = """
    WITH RECURSIVE named (bucket) AS (
        SELECT min(bucket) FROM records
        UNION ALL SELECT (SELECT min(bucket) FROM records WHERE bucket > named.bucket) FROM named WHERE bucket IS NOT NULL
    ) SELECT bucket FROM named WHERE bucket IS NOT NULL
"""
_SCAN = """
    SELECT * FROM records
    WHERE bucket = ? AND partition = ? AND key {after} ? ORDER BY key LIMIT ?
"""


class SqliteEngine:
    """An Engine in the directory `path`: SQLite in WAL mode, each commit fsynced (synchronous=FULL) unless it is loose (NORMAL).

    NORMAL still fsyncs before and after a checkpoint, so a crash leaves a prefix of the commits, whole.
    """

    def __init__(self, path: Path, rows_max: int = ROWS_MAX) -> None:
        """Open, creating what is missing; `rows_max` is a generation of the memtable. Raises EngineError (in use, not writable) or SchemaError."""
        file = self.file = path / FILE
        with contextlib.ExitStack() as opened:
            try:
                path.mkdir(parents=True, exist_ok=True)
                self._lock = opened.enter_context(_locked(path))
                _check_whole(path)
                self._writer = opened.enter_context(contextlib.closing(_connect(file)))
                self._prepare(file)
                self._reader = opened.enter_context(contextlib.closing(_connect(file)))
                _sync_directory(path)
            except (sqlite3.Error, OSError) as error:
                raise opening(error, file) from None
            self._opened = opened.pop_all()
        self._find = self._reader.cursor()
        self._memory = Memtable(rows_max)
        self._share = False  # may reads share a snapshot?
        self._held = False  # is there one?
        self._old = False  # has something been committed since?
        self._full = True  # is the writer in synchronous=FULL?
        self._loose = False  # has something been committed that is not durable?

    def _prepare(self, file: Path) -> None:
        """Check what is there before anything is changed."""
        tables = {
            name for (name,) in self._writer.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        if tables:
            about = "SELECT value FROM about WHERE name = 'schema'"
            found = self._writer.execute(about).fetchone() if "about" in tables else None
            if found is None or found[0] not in (SCHEMA, *SCHEMAS_BEFORE):
                written = f"schema {found[0]}" if found else "no schema of a store"
                raise SchemaError(
                    f"{file} has {written}, but this store reads schema {SCHEMA}; use the store that "
                    f"wrote it, or choose another `data`."
                )
        self._writer.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN; {_TABLES}"
            f"INSERT OR REPLACE INTO about VALUES ('schema', {SCHEMA})"
        )
        fold_log(self._writer, file)
        self._writer.execute("COMMIT")

    def share_reads(self) -> None:
        """Let the reads from now on share one view of the file: a read of its own costs twice as much, for its locks."""
        self._share = True

    def release_reads(self) -> None:
        """Give the view up. Do so soon: while it is held, the write-ahead log cannot begin anew."""
        self._share = False
        self._renew()

    def _renew(self) -> None:
        """Read what was committed since."""
        if self._old:
            self._old = False
            self._memory.publish()
        if self._held:
            self._held = False
            self._reader.execute("COMMIT")

    def get(self, bucket: str, key: bytes) -> Record | None:
        """The committed record, None when there is none. Raises CorruptRecord."""
        if self._old:
            self._renew()
        if self._share and not self._held:
            self._held = True
            self._reader.execute("BEGIN")
        shelf = bucket, partition_of(key)
        row = self._find.execute(_GET, (*shelf, key)).fetchone()
        held = self._memory.get(shelf, key)
        if held is not None and (row is None or held[TAG] >= row[0]):
            row = held[TAG:]
        return None if row is None else unbound(bucket, key, *row)

    def meta(self, name: str) -> bytes | None:
        """A committed fact about the node itself. Raises CorruptRecord."""
        self._renew()
        row = self._find.execute("SELECT value, checksum FROM meta WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        value: bytes = row[0]
        if checksum("", name.encode(), b"", value) != row[1]:
            raise CorruptRecord(f"The node's own fact {name} in {self.file} does not match its checksum")
        return value

    def records(self) -> Iterator[Record]:
        """Every committed record, ordered by bucket, partition and key.

        Raises CorruptRecord at the first damaged one.
        """
        self._renew()
        with contextlib.closing(self._reader.cursor()) as cursor:
            for row in merged(self._memory.all(), cursor.execute(_ALL)):
                yield unbound(row[0], *row[2:])

    def scan(
        self, bucket: str, partition: int, after: bytes | None, limit: int, bytes_max: int = ANY_SIZE
    ) -> list[Record | Damaged]:
        """At most `limit` committed records of one partition, and about `bytes_max`, by key, beginning behind `after`."""
        self._renew()
        query = _SCAN.format(after=">=" if after is None else ">")
        found: list[Record | Damaged] = []
        with contextlib.closing(self._reader.cursor()) as cursor:
            rows = cursor.execute(query, (bucket, partition, after or b"", limit))
            for row in islice(merged(self._memory.scan((bucket, partition), after), rows), limit):
                try:
                    found.append(unbound(bucket, *row[2:]))
                except CorruptRecord:
                    found.append(Damaged(bucket, row[2]))
                bytes_max -= size_of(found[-1:])
                if bytes_max <= 0:
                    break
        return found

    def buckets(self) -> list[str]:
        """Every bucket that has a committed record, sorted."""
        self._renew()
        with contextlib.closing(self._reader.cursor()) as cursor:
            stored = {name for (name,) in cursor.execute(_BUCKETS)}
        return sorted(stored | self._memory.buckets())

    def stage(self, rows: Iterable[Row], *, loose: bool = False) -> None:
        """Write rows into the open transaction, in order; loose rows join one that is not loose."""
        if self._old:
            self._renew()
        with _named_failure(self.file):
            self._begin(loose=loose)
            logged: list[tuple[object, ...]] = []
            for row in rows:
                if isinstance(row, Record):
                    self._put(bound(row), logged)
                elif isinstance(row, Erase):
                    self._erase(place(row), logged)
                else:
                    self._writer.execute(_FACT, fact_row(row))
            if logged:
                self._log(logged)

    def _put(self, row: Bound, logged: list[tuple[object, ...]]) -> None:
        value = row[4]
        if value is not None and len(value) > DIRECT_BYTES and not self._memory.holds(row[:2], row[2]):
            self._writer.execute(_PUT, row)
        elif self._memory.put(row):
            logged.append(row)

    def _erase(self, row: tuple[str, int, bytes, bytes], logged: list[tuple[object, ...]]) -> None:
        if self._memory.holds(row[:2], row[2]):  # else the log has nothing that might come back
            self._writer.executemany(_PUT, self._memory.erase(row[:2], row[2]))
            logged.append(row)
        self._writer.execute(_ERASE, row)

    def _log(self, rows: list[tuple[object, ...]]) -> None:
        """Append rows to the log, and bring older ones to their place, twice as many."""
        packed, memory = _ENCODER.encode(rows), self._memory
        self._writer.execute(
            "INSERT INTO log VALUES (?, ?, ?)", (memory.log(len(packed)), packed, zlib.crc32(packed))
        )
        settled = memory.settled
        self._writer.executemany(_PUT, memory.piece(2 * len(rows)))
        if memory.settled != settled:
            self._writer.execute(_SETTLED, (memory.settled,))

    def _begin(self, *, loose: bool) -> None:
        """Have a transaction open, of the kind asked for or a stricter one."""
        writer, full = self._writer, not loose
        if writer.in_transaction:
            if self._full or loose:
                return
            writer.execute("COMMIT")
            self._loose = True
        if full is not self._full:  # cannot be changed within a transaction
            writer.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full
        writer.execute("BEGIN IMMEDIATE")
        if (
            full and self._loose
        ):  # a transaction that changes nothing would not be fsynced, nor what was before it
            writer.execute(_BARRIER)

    def sync(self) -> None:
        """Commit the open transaction; returns after its fsync, if it has one."""
        with _named_failure(self.file):
            if self._writer.in_transaction:
                self._writer.execute("COMMIT")
                self._loose = not self._full
        self._old = True  # set before anybody is told, so that whoever is told reads what was committed

    def commit(self, rows: Iterable[Row]) -> None:
        """`stage`, then `sync`."""
        self.stage(rows)
        self.sync()

    def close(self) -> None:
        """Give up what is only staged, and close both connections."""
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        self._find.close()
        self._opened.close()


def fold_log(db: sqlite3.Connection, file: Path) -> None:
    """Bring all that is in the log to its place, in the transaction that is open. Raises EngineError if some of it is damaged."""
    for number, packed, found in db.execute("SELECT n, rows, checksum FROM log ORDER BY n"):
        if zlib.crc32(packed) != found:
            raise EngineError(
                f"Row {number} of the log in {file} does not match its checksum, so acknowledged writes may be lost here; "
                f"start with an empty `data` and --replace."
            )
        for row in msgspec.msgpack.decode(packed):
            db.execute(_ERASE if len(row) == TAG + 1 else _PUT, row)
    db.execute("DELETE FROM log")


def _connect(file: Path) -> sqlite3.Connection:
    # Two threads use the writer, never at the same time: the loop stages while no sync is running.
    return sqlite3.connect(file, isolation_level=None, check_same_thread=False, cached_statements=32)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold the directory for this process; the lock ends with the process, however it ends."""
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise EngineError(
            f"The data directory {path} is in use by another node; stop that node or choose another `data`."
        ) from None
    try:
        yield lock
    finally:
        os.close(lock)


def _check_whole(path: Path) -> None:
    half = path / (FILE + PARTIAL)
    if half.exists():
        raise EngineError(
            f"{half} is half of a snapshot that was to be restored; remove it, and restore again."
        )


def _sync_directory(path: Path) -> None:
    """Make the files' names durable too: a database whose directory entry is lost is lost."""
    for directory in (path, path.parent):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _named_failure(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise stopping(error, file) from error
