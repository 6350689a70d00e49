"""The log, the memtable and the table by key are one store, whatever of it is where, and after every crash."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.engine import DIRECT_BYTES, SqliteEngine
from kvstore.engine_errors import EngineError
from kvstore.engine_memory import MemoryEngine
from kvstore.engine_snapshot import restore, take
from kvstore.events import TOP_TAG, Erase, Record, Snapshot, Tag
from kvstore.ring import partition_of

FILES = ("store.sqlite3", "store.sqlite3-wal")
KEYS = [b"%d" % n for n in range(6)] + [b"{0}%d" % n for n in range(6)]  # some share a partition
LARGE = bytes(DIRECT_BYTES + 1)

Row = Record | Erase
TAGS = st.integers(1, 4).map(lambda hlc: Tag(hlc, "n", 1))
PUTS = st.builds(
    Record, st.sampled_from("ab"), st.sampled_from(KEYS), TAGS, st.sampled_from([None, b"v", LARGE])
)
ERASES = st.builds(Erase, st.sampled_from("ab"), st.sampled_from(KEYS), TAGS | st.just(TOP_TAG))
STEPS = st.lists(
    st.tuples(st.sampled_from(["commit", "commit", "commit", "loose", "stage", "crash"]), st.lists(PUTS | PUTS | ERASES, max_size=5)),
    max_size=30,
)  # fmt: skip


def crashed(data: Path, to: Path) -> Path:
    """The files as they are while the engine is open: what a process leaves that is killed now."""
    to.mkdir()
    for name in FILES:
        shutil.copyfile(data / name, to / name)
    return to


@contextlib.contextmanager
def opened(path: Path, rows_max: int) -> Iterator[SqliteEngine]:
    with contextlib.closing(SqliteEngine(path, rows_max)) as engine:
        yield engine


def logged(data: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"{(data / FILES[0]).as_uri()}?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT count(*) FROM log").fetchone()
        return int(count)


@settings(max_examples=80, deadline=None)
@given(STEPS, st.integers(1, 6))
def test_any_steps_and_crashes_read_as_if_there_were_no_log(
    steps: list[tuple[str, list[Row]]], rows_max: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data, model = Path(folder) / "0", MemoryEngine()
        with contextlib.ExitStack() as stack:
            engine = stack.enter_context(opened(data, rows_max))
            for number, (step, rows) in enumerate(steps):
                if step == "crash":
                    data = crashed(data, Path(folder) / f"{number + 1}")
                    model.close()
                    engine = stack.enter_context(opened(data, rows_max))
                for each in (engine, model):
                    each.stage(rows, loose=step == "loose")
                    if step != "stage":
                        each.sync()
                assert list(engine.records()) == list(model.records())
                assert engine.buckets() == model.buckets()
                for bucket in "ab":
                    for key in KEYS:
                        assert engine.get(bucket, key) == model.get(bucket, key)
                    for after in (None, b"{0}2"):
                        partition = partition_of(b"0")
                        assert engine.scan(bucket, partition, after, 3) == model.scan(
                            bucket, partition, after, 3
                        )


def test_what_is_brought_to_the_table_leaves_the_log(tmp_path: Path) -> None:
    with opened(tmp_path, rows_max=100) as engine:
        counts = []
        for number in range(300):
            engine.commit([Record("b", b"%d" % (10 * number + n), Tag(1, "n", 1), b"v") for n in range(10)])
            counts.append(logged(tmp_path))
        assert max(counts) <= 21  # two generations of ten commits
        assert len(list(engine.records())) == 3000
    with opened(tmp_path, rows_max=100) as engine:
        assert logged(tmp_path) == 0
        assert len(list(engine.records())) == 3000


def test_a_promise_that_is_outbid_in_time_dirties_no_page_by_key(tmp_path: Path) -> None:
    with opened(tmp_path, rows_max=20) as engine:
        for hlc in range(1, 50):
            engine.commit(
                [
                    Record("!promise/b", b"hot", Tag(hlc, "n", 1), None),
                    Record("b", b"%d" % hlc, Tag(1, "n", 1), b"v"),
                ]
            )
            with contextlib.closing(sqlite3.connect(tmp_path / FILES[0])) as db:
                stored = db.execute("SELECT count(*) FROM records WHERE bucket = '!promise/b'").fetchone()
            assert stored == (0,)
            assert engine.get("!promise/b", b"hot") == Record("!promise/b", b"hot", Tag(hlc, "n", 1), None)


def test_a_damaged_log_is_not_started_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with opened(data, 100) as engine:
        engine.commit([Record("b", b"k", Tag(1, "n", 1), b"acknowledged")])
    with contextlib.closing(sqlite3.connect(data / FILES[0])) as db, db:
        (rows,) = db.execute("SELECT rows FROM log").fetchone()
        db.execute("UPDATE log SET rows = ?", (rows.replace(b"k", b"j"),))
    for _ in range(2):
        with pytest.raises(EngineError, match=r"Row 1 of the log in .* does not match its checksum"):
            SqliteEngine(data)
    with pytest.raises(EngineError, match=r"does not match its checksum.*nothing is left of it"):
        take(data, tmp_path / "out", "a", Snapshot("label", (), (), ()))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_snapshot_has_what_is_in_the_log_but_for_what_it_leaves_out(tmp_path: Path) -> None:
    wanted = [Record("b", b"%d" % n, Tag(1, "n", 1), b"v") for n in range(30)]
    with opened(tmp_path / "data", 100) as engine:
        engine.commit([*wanted, Record("!promise/!ring", b"ring", Tag(1, "n", 1), None)])
        _, place = take(
            tmp_path / "data", tmp_path / "out", "a", Snapshot("label", (), (), ("!promise/!ring",))
        )
    assert restore(place, tmp_path / "again", "a")["records"] == 30
    with opened(tmp_path / "again", 100) as engine:
        assert sorted(engine.records(), key=lambda each: each.key) == sorted(
            wanted, key=lambda each: each.key
        )
