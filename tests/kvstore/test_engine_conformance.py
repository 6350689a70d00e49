"""Both engines keep one contract. The real one is damaged by SQL, its twin by `corrupt`."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.engine import Engine, SqliteEngine
from kvstore.engine_errors import EngineError, SchemaError
from kvstore.engine_memory import MemoryEngine
from kvstore.engine_rows import pack_tag, unpack_tag
from kvstore.events import CorruptRecord, Damaged, Erase, Meta, Record, Tag, full, size_of
from kvstore.ring import PARTITIONS, partition_of
from tests.kvstore.test_durability import NothingKept


class Disk:
    """A place where an engine lives, that outlives it."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind, self.path = kind, path
        self.memory = MemoryEngine()

    def open(self) -> Engine:
        return SqliteEngine(self.path) if self.kind == "sqlite" else self.memory

    def damage(self, bucket: str, key: bytes) -> None:
        """Flip one bit of a stored record, with the engine closed."""
        if self.kind == "memory":
            self.memory.corrupt(bucket, key)
            return
        SqliteEngine(self.path).close()  # a start brings what is in the log to its place
        with contextlib.closing(sqlite3.connect(self.path / "store.sqlite3")) as db, db:
            (value,) = db.execute(
                "SELECT value FROM records WHERE bucket=? AND key=?", (bucket, key)
            ).fetchone()
            flipped = bytes([value[0] ^ 1]) + value[1:]
            db.execute("UPDATE records SET value=? WHERE bucket=? AND key=?", (flipped, bucket, key))


@pytest.fixture(params=["sqlite", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(request.param, tmp_path / "data")


@contextlib.contextmanager
def opened(disk: Disk) -> Iterator[Engine]:
    engine = disk.open()
    try:
        yield engine
    finally:
        engine.close()


def record(key: bytes = b"k", hlc: int = 1, value: bytes | None = b"v", node: str = "n1") -> Record:
    return Record("b", key, Tag(hlc, node, 1), value)


TAGS = st.builds(
    Tag,
    st.integers(0, 2**64 - 1) | st.integers(0, 2),
    st.sampled_from(["", "a", "ab", "b", "é", "n1", "n10", "𐀀"]),
    st.integers(0, 2**64 - 1) | st.integers(0, 2),
    st.integers(0, 2**64 - 1) | st.integers(0, 2),
    st.integers(0, 2**48) | st.integers(0, 2),
)
RECORDS = st.builds(
    Record, st.sampled_from(["a", "b", "bé"]), st.sampled_from([b"", b"k", b"\0", b"\xff"]), TAGS,
    st.none() | st.binary(max_size=20),
)  # fmt: skip
ERASES = RECORDS.map(lambda each: Erase(each.bucket, each.key, each.tag))
ROWS = st.lists(
    RECORDS | ERASES | st.builds(Meta, st.sampled_from(["x", "y"]), st.binary(max_size=5)), max_size=4
)
STEPS = st.lists(st.tuples(st.sampled_from(["stage", "loose", "commit", "reopen"]), ROWS), max_size=12)


def contents(engine: Engine) -> tuple[list[Record], bytes | None, bytes | None]:
    return list(engine.records()), engine.meta("x"), engine.meta("y")


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_both_engines_read_the_same_after_any_steps(
    steps: list[tuple[str, list[Record | Erase | Meta]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        disks = Disk("sqlite", Path(folder)), Disk("memory", Path(folder))
        engines = [disk.open() for disk in disks]
        try:
            for step, rows in steps:
                if step == "reopen":
                    for engine in engines:
                        engine.close()
                    engines = [disk.open() for disk in disks]
                else:
                    for engine in engines:
                        engine.stage(rows, loose=step == "loose")
                        if step != "stage":
                            engine.sync()
                assert contents(engines[0]) == contents(engines[1])
                assert engines[0].buckets() == engines[1].buckets()
                for row in rows:
                    if isinstance(row, Record):
                        assert engines[0].get(row.bucket, row.key) == engines[1].get(row.bucket, row.key)
        finally:
            for engine in engines:
                engine.close()


@given(st.lists(TAGS, min_size=2, max_size=2))
def test_packed_tags_compare_as_tags(tags: list[Tag]) -> None:
    one, two = tags
    assert (pack_tag(one) < pack_tag(two)) == (one < two)
    assert unpack_tag(pack_tag(one)) == one


def test_staged_rows_are_read_only_after_sync(disk: Disk) -> None:
    with opened(disk) as engine:
        engine.stage([record(), Meta("x", b"1")])
        assert engine.get("b", b"k") is None
        assert engine.meta("x") is None
        engine.sync()
        assert engine.get("b", b"k") == record()
        assert engine.meta("x") == b"1"


def test_reopened_twice_reads_the_same(disk: Disk) -> None:
    rows = [record(b"a"), record(b"b", value=None), record(b"c", value=b"")]
    with opened(disk) as engine:
        engine.commit([*rows, Meta("x", b"1")])
        engine.stage([record(b"lost")])
    for _ in range(2):
        with opened(disk) as engine:
            assert contents(engine) == (sorted(rows, key=lambda each: partition_of(each.key)), b"1", None)


def test_a_lower_version_never_replaces_a_higher_one(disk: Disk) -> None:
    with opened(disk) as engine:
        engine.commit([record(hlc=2, value=b"new")])
        engine.commit([record(hlc=1, value=b"old")])
        engine.commit([record(hlc=2, node="n0", value=b"old")])
        assert engine.get("b", b"k") == record(hlc=2, value=b"new")


def test_an_erased_record_is_gone_unless_it_is_newer(disk: Disk) -> None:
    with opened(disk) as engine:
        engine.commit([record(b"gone"), record(b"newer", hlc=2)])
        engine.commit([Erase("b", key, Tag(1, "n1", 1)) for key in (b"gone", b"newer", b"never")])
        assert list(engine.records()) == [record(b"newer", hlc=2)]
        engine.commit([record(b"gone", hlc=1), Erase("b", b"gone", Tag(9, "", 0)), record(b"gone", hlc=1)])
        assert engine.get("b", b"gone") == record(b"gone", hlc=1)  # rows of one batch take effect in order


def test_scans_of_all_partitions_page_through_every_record_once(disk: Disk) -> None:
    rows = [record(b"{%d}%d" % (tag, n)) for tag in range(3) for n in range(7)]
    with opened(disk) as engine:
        engine.commit([*rows, Record("other", b"{0}0", Tag(1, "n1", 1), b"v")])
        found = []
        for partition in range(PARTITIONS):
            after = None
            while page := engine.scan("b", partition, after, 3):
                assert len(page) <= 3
                assert {partition_of(each.key) for each in page} == {partition}
                found += page
                after = page[-1].key
        assert found == list(engine.records())[: len(rows)]
        assert sorted(found, key=lambda each: each.key) == sorted(rows, key=lambda each: each.key)


def test_a_scan_ends_behind_the_record_with_which_it_has_its_bytes(disk: Disk) -> None:
    rows = [record(b"{t}%d" % n) for n in range(9)]
    with opened(disk) as engine:
        engine.commit(rows)
        each = size_of(rows[:1])
        where = partition_of(b"{t}"), None, 9
        for bytes_max, count in (
            (1, 1),
            (each, 1),
            (each + 1, 2),
            (3 * each, 3),
            (9 * each, 9),
            (10 * each, 9),
        ):
            found = engine.scan("b", *where, bytes_max)
            assert found == rows[:count]
            assert full(found, 10, bytes_max) == (count * each >= bytes_max)
        assert [full(rows, limit) for limit in (8, 9, 10)] == [True, True, False]


def test_a_scan_names_the_damaged_record_and_goes_on(disk: Disk) -> None:
    with opened(disk) as engine:
        engine.commit([record(b"{t}1"), record(b"{t}2"), record(b"{t}3")])
    disk.damage("b", b"{t}2")
    with opened(disk) as engine:
        found = engine.scan("b", partition_of(b"{t}"), None, 10)
        assert found == [record(b"{t}1"), Damaged("b", b"{t}2"), record(b"{t}3")]


def test_a_damaged_record_is_an_error_until_it_is_written_again(disk: Disk) -> None:
    with opened(disk) as engine:
        engine.commit([record(b"bad"), record(b"good")])
    disk.damage("b", b"bad")
    with opened(disk) as engine:
        with pytest.raises(CorruptRecord, match="bad"):
            engine.get("b", b"bad")
        with pytest.raises(CorruptRecord):
            list(engine.records())
        assert engine.get("b", b"good") == record(b"good")
        engine.commit([record(b"bad", hlc=0)])
        with pytest.raises(CorruptRecord):
            engine.get("b", b"bad")
        engine.commit([record(b"bad")])
        assert engine.get("b", b"bad") == record(b"bad")


@given(st.lists(st.sampled_from(["stage", "loose", "sync"]), max_size=12), st.integers(0, 2**32))
def test_a_crash_keeps_what_was_synced_and_a_prefix_of_the_rest(steps: list[str], seed: int) -> None:
    engine, staged, durable, firm = MemoryEngine(), 0, 0, False
    for step in steps:
        if step == "sync":
            engine.sync()
            assert len(list(engine.records())) == staged  # all can be read, durable or not
            durable, firm = staged if firm else durable, False
        else:
            engine.stage([record(staged.to_bytes())], loose=step == "loose")
            staged += 1
            firm |= step == "stage"
    lost = engine.crash(Random(seed))
    kept = sorted(each.key for each in engine.records())
    assert kept == [number.to_bytes() for number in range(staged - lost)]
    assert len(kept) >= durable
    engine.crash(Random(seed))
    assert sorted(each.key for each in engine.records()) == kept  # what has survived is on the disk


@given(ROWS, st.lists(ROWS, max_size=4))
def test_a_crash_takes_back_whatever_loose_rows_have_changed(
    before: list[Record | Erase | Meta], loose: list[list[Record | Erase | Meta]]
) -> None:
    engine = MemoryEngine()
    engine.commit(before)
    was = contents(engine), [engine.scan(b, p, None, 9) for b in ("a", "b", "bé") for p in range(PARTITIONS)]
    for rows in loose:
        engine.stage(rows, loose=True)
        engine.sync()
    assert engine.crash(NothingKept()) == len(loose)
    now = contents(engine), [engine.scan(b, p, None, 9) for b in ("a", "b", "bé") for p in range(PARTITIONS)]
    assert now == was


def test_a_sync_of_what_changes_nothing_still_reaches_the_disk_for_what_was_loose(tmp_path: Path) -> None:
    """SQLite does not fsync for a transaction that has changed no page; so ours always changes one."""
    with contextlib.closing(SqliteEngine(tmp_path)) as engine:
        log = tmp_path / "store.sqlite3-wal"

        def grows(rows: list[Record | Erase | Meta], *, loose: bool) -> bool:
            before = log.stat().st_size
            engine.stage(rows, loose=loose)
            engine.sync()
            return log.stat().st_size > before

        absent = Erase("b", b"absent", Tag(1, "n", 1))
        assert grows([record(b"k")], loose=True)
        assert not grows([absent], loose=True)
        assert grows([absent], loose=False)
        assert not grows([absent], loose=False)  # nothing is loose any more


def test_a_crash_can_keep_none_some_and_all() -> None:
    def crashed(seed: int) -> int:
        engine = MemoryEngine()
        for number in range(2):
            engine.stage([record(number.to_bytes())])
        return engine.crash(Random(seed))

    assert {crashed(seed) for seed in range(40)} == {0, 1, 2}


def test_what_sqlite_synced_survives_kill_9(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from kvstore.engine import SqliteEngine; "
        "from kvstore.events import Record, Tag; e = SqliteEngine(Path(sys.argv[1])); "
        "e.commit([Record('b', b'kept', Tag(1, 'n', 1), b'v')]); "
        "e.stage([Record('b', b'loose', Tag(1, 'n', 1), b'v')], loose=True); e.sync(); "
        "e.stage([Record('b', b'lost', Tag(1, 'n', 1), b'v')]); "
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with contextlib.closing(SqliteEngine(tmp_path)) as engine:
        assert {each.key for each in engine.records()} == {
            b"kept",
            b"loose",
        }  # the system has it: power was not lost


def test_a_data_directory_has_one_owner(tmp_path: Path) -> None:
    with (
        contextlib.closing(SqliteEngine(tmp_path)),
        pytest.raises(EngineError, match="in use by another node"),
    ):
        SqliteEngine(tmp_path)
    SqliteEngine(tmp_path).close()


def _other_schema(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE about SET value = 99")


def _no_database(file: Path) -> None:
    file.write_bytes(b"this is not a database, nor was it ever one" * 100)


@pytest.mark.parametrize(
    ("spoil", "said"), [(_other_schema, "schema 99"), (_no_database, "cannot be opened")]
)
def test_a_foreign_file_is_refused_by_name(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    SqliteEngine(tmp_path).close()
    spoil(tmp_path / "store.sqlite3")
    with pytest.raises(SchemaError, match=said):
        SqliteEngine(tmp_path)


@pytest.mark.parametrize("schema", [2, 3])
def test_a_file_of_the_schema_before_is_taken_over(tmp_path: Path, schema: int) -> None:
    """Schema 2 has no deadlines in its tags, 3 no log. A store that reads no more than it must refuse schema 4, for it would miss the log."""
    file = tmp_path / "store.sqlite3"
    with contextlib.closing(SqliteEngine(tmp_path)) as engine:
        engine.commit([record()])
    SqliteEngine(tmp_path).close()
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        assert len(db.execute("SELECT tag FROM records").fetchone()[0]) == 8 + len("n1") + 1 + 8
        db.execute("UPDATE about SET value = ?", (schema,))
        db.execute("DROP TABLE log")
    with contextlib.closing(SqliteEngine(tmp_path)) as engine:
        assert engine.get("b", b"k") == record()
    with contextlib.closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone() == (4,)


@pytest.mark.parametrize("schema", [0, 1, 5])
def test_no_other_schema_is_taken_over(tmp_path: Path, schema: int) -> None:
    SqliteEngine(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite3")) as db, db:
        db.execute("UPDATE about SET value = ?", (schema,))
    with pytest.raises(SchemaError, match=f"has schema {schema}, but this store reads schema 4"):
        SqliteEngine(tmp_path)


def test_shared_reads_see_what_was_committed_before_anybody_is_told(tmp_path: Path) -> None:
    with contextlib.closing(SqliteEngine(tmp_path)) as engine:
        for hlc in range(1, 50):
            engine.share_reads()
            assert engine.get("b", b"other") is None  # the view is taken here, before the commit
            engine.stage([record(hlc=hlc), Meta("fact", b"%d" % hlc)])
            assert engine.get("b", b"k") == (record(hlc=hlc - 1) if hlc > 1 else None)
            engine.sync()
            assert engine.get("b", b"k") == record(hlc=hlc)
            assert engine.meta("fact") == b"%d" % hlc
            assert list(engine.records()) == [record(hlc=hlc)]
            if hlc % 3 == 0:
                engine.release_reads()


def test_reads_that_share_a_view_for_a_turn_do_not_let_the_log_grow(tmp_path: Path) -> None:
    with contextlib.closing(SqliteEngine(tmp_path)) as engine:
        sizes = []
        for hlc in range(1, 1500):
            engine.share_reads()
            engine.get("b", b"k")
            engine.release_reads()
            engine.commit([record(bytes([hlc % 251]), hlc=hlc, value=bytes(2000))])
            sizes.append((tmp_path / "store.sqlite3-wal").stat().st_size)
    assert max(sizes) <= 1.5 * max(sizes[:750])
