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
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from kvstore.events import CorruptRecord, Damaged, Erase, Meta, Reader, Record, Tag
from kvstore.ring import partition_of

SCHEMA = 3  # raise it when the tables below change their meaning
SCHEMAS_BEFORE = (
    2,
)  # whose content means the same here: 2 has no tags with deadlines. Such a file becomes one of SCHEMA
FILE = "store.sqlite3"
PARTIAL = ".partial"  # ends the name of what is not whole yet
_NO_VALUE = 0xFFFF_FFFF  # the length that says "tombstone"

Row = Record | Meta | Erase


class EngineError(Exception):
    """Storage cannot be used: one sentence with the path and what to do."""


class SchemaError(EngineError):
    """The file is not a store's, or was written by another version of the store."""


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


def pack_tag(tag: Tag) -> bytes:
    """A tag as bytes that compare as the tags do:

    hlc, then node (its name holds no NUL), then incarnation, then, if there is a deadline or was one, touched and expires_ms.
    """
    head = b"%b%b\0%b" % (tag.hlc.to_bytes(8, "big"), tag.node.encode(), tag.incarnation.to_bytes(8, "big"))
    if tag.touched or tag.expires_ms:
        return head + tag.touched.to_bytes(8, "big") + tag.expires_ms.to_bytes(8, "big")
    return head


def unpack_tag(packed: bytes) -> Tag:
    """The inverse of `pack_tag`."""
    hlc, nul = int.from_bytes(packed[:8], "big"), packed.index(b"\0", 8)
    numbers = (int.from_bytes(packed[at : at + 8], "big") for at in range(nul + 1, len(packed), 8))
    return Tag(hlc, packed[8:nul].decode(), *numbers)


def checksum(bucket: str, key: bytes, tag: bytes, value: bytes | None) -> int:
    """CRC-32 of a whole record, the lengths included, so that no byte can move from one field to the next."""
    name = bucket.encode()
    size = _NO_VALUE if value is None else len(value)
    head = struct.pack("<IIII", len(name), len(key), len(tag), size)
    return zlib.crc32(b"".join((head, name, key, tag, value or b"")))


_TABLES = """
    CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS meta (
        name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS records (
        bucket TEXT NOT NULL, partition INTEGER NOT NULL, key BLOB NOT NULL, tag BLOB NOT NULL, value BLOB,
        checksum INTEGER NOT NULL, PRIMARY KEY (bucket, partition, key)
    ) WITHOUT ROWID;
"""
_PUT = """
    INSERT INTO records VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (bucket, partition, key) DO UPDATE
    SET tag = excluded.tag, value = excluded.value, checksum = excluded.checksum
    WHERE excluded.tag >= records.tag
"""
_BARRIER = """
    INSERT INTO about VALUES ('barriers', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1
"""
_ERASE = "DELETE FROM records WHERE bucket = ? AND partition = ? AND key = ? AND tag <= ?"
_GET = "SELECT tag, value, checksum FROM records WHERE bucket = ? AND partition = ? AND key = ?"
_ALL = "SELECT bucket, key, tag, value, checksum FROM records ORDER BY bucket, partition, key"
_SCAN = """
    SELECT key, tag, value, checksum FROM records
    WHERE bucket = ? AND partition = ? AND key {after} ? ORDER BY key LIMIT ?
"""


class SqliteEngine:
    """An Engine in the directory `path`: SQLite in WAL mode, each commit fsynced (synchronous=FULL) unless it is loose (NORMAL).

    NORMAL still fsyncs before and after a checkpoint, so a crash leaves a prefix of the commits, whole.
    """

    def __init__(self, path: Path) -> None:
        """Open, creating what is missing. Raises EngineError (in use, not writable) or SchemaError."""
        file = path / FILE
        with contextlib.ExitStack() as opened:
            try:
                path.mkdir(parents=True, exist_ok=True)
                self._lock = opened.enter_context(_locked(path))
                _check_whole(path)
                self._writer = opened.enter_context(contextlib.closing(_connect(file)))
                self._prepare(file)
                self._reader = opened.enter_context(contextlib.closing(_connect(file)))
                _sync_directory(path)
            except sqlite3.DatabaseError as error:
                raise SchemaError(
                    f"{file} cannot be opened as a store ({error}); restore it, or choose another `data`."
                ) from None
            except OSError as error:
                raise EngineError(
                    f"The data directory {path} cannot be used ({error.strerror}); choose another `data`."
                ) from None
            self._opened = opened.pop_all()
        self._find = self._reader.cursor()
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
            f"INSERT OR REPLACE INTO about VALUES ('schema', {SCHEMA}); COMMIT"
        )

    def share_reads(self) -> None:
        """Let the reads from now on share one view of the file: a read of its own costs twice as much, for its locks."""
        self._share = True

    def release_reads(self) -> None:
        """Give the view up. Do so soon: while it is held, the write-ahead log cannot begin anew."""
        self._share = False
        self._renew()

    def _renew(self) -> None:
        self._old = False
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
        row = self._find.execute(_GET, (bucket, partition_of(key), key)).fetchone()
        return None if row is None else _record(bucket, key, *row)

    def meta(self, name: str) -> bytes | None:
        """A committed fact about the node itself. Raises CorruptRecord."""
        self._renew()
        row = self._find.execute("SELECT value, checksum FROM meta WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        value: bytes = row[0]
        if checksum("", name.encode(), b"", value) != row[1]:
            raise CorruptRecord(f"The node's own fact {name} does not match its checksum.")
        return value

    def records(self) -> Iterator[Record]:
        """Every committed record, ordered by bucket, partition and key.

        Raises CorruptRecord at the first damaged one.
        """
        self._renew()
        with contextlib.closing(self._reader.cursor()) as cursor:
            for row in cursor.execute(_ALL):
                yield _record(*row)

    def scan(self, bucket: str, partition: int, after: bytes | None, limit: int) -> list[Record | Damaged]:
        """At most `limit` committed records of one partition, by key, beginning behind `after`."""
        self._renew()
        query = _SCAN.format(after=">=" if after is None else ">")
        with contextlib.closing(self._reader.cursor()) as cursor:
            rows = cursor.execute(query, (bucket, partition, after or b"", limit)).fetchall()
        found: list[Record | Damaged] = []
        for key, *rest in rows:
            try:
                found.append(_record(bucket, key, *rest))
            except CorruptRecord:
                found.append(Damaged(bucket, key))
        return found

    def buckets(self) -> list[str]:
        """Every bucket that has a committed record, sorted."""
        self._renew()
        with contextlib.closing(self._reader.cursor()) as cursor:
            return [name for (name,) in cursor.execute("SELECT DISTINCT bucket FROM records ORDER BY bucket")]

    def stage(self, rows: Iterable[Row], *, loose: bool = False) -> None:
        """Write rows into the open transaction, in order; loose rows join one that is not loose."""
        with _named_failure():
            self._begin(loose=loose)
            for kind, group in groupby(rows, type):
                statement, bound = _STATEMENTS[kind]
                self._writer.executemany(statement, map(bound, group))

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
        with _named_failure():
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


def _put(row: Record) -> tuple[object, ...]:
    tag = pack_tag(row.tag)
    crc = checksum(row.bucket, row.key, tag, row.value)
    return row.bucket, partition_of(row.key), row.key, tag, row.value, crc


def _erase(row: Erase) -> tuple[object, ...]:
    return row.bucket, partition_of(row.key), row.key, pack_tag(row.tag)


def fact_row(row: Meta) -> tuple[object, ...]:
    """A row of the table `meta`."""
    return row.name, row.value, checksum("", row.name.encode(), b"", row.value)


_STATEMENTS: dict[type, tuple[str, Callable[[Any], tuple[object, ...]]]] = {
    Record: (_PUT, _put),
    Erase: (_ERASE, _erase),
    Meta: ("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", fact_row),
}


def _record(bucket: str, key: bytes, tag: bytes, value: bytes | None, found: int) -> Record:
    if checksum(bucket, key, tag, value) != found:
        raise CorruptRecord(f"The record of key {key!r} in bucket {bucket} does not match its checksum.")
    return Record(bucket, key, unpack_tag(tag), value)


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
def _named_failure() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise EngineError(
            f"Storage failed ({error}); what was not yet acknowledged may be lost, so the node must stop."
        ) from error
