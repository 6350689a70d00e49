"""Snapshots as files: what is not whole, not ours, or of another form is refused, and nothing is overwritten."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from kvstore.engine import SqliteEngine
from kvstore.engine_errors import EngineError, SchemaError
from kvstore.engine_memory import MemoryEngine
from kvstore.engine_snapshot import COPY, MANIFEST, restore, take
from kvstore.events import Meta, Record, Snapshot, Tag
from kvstore.snapshots import without_past
from tests.kvstore.test_snapshots import cluster

ROWS = [Record("b", b"%d" % n, Tag(n + 1, "n", 1), b"v" * n) for n in range(50)]
PAST = [Meta("incarnation", b"7"), Meta("actors", b"x"), Meta("clock_lease", b"9")]


def a_snapshot() -> Snapshot:
    document = cluster().node("a").view.document
    return without_past("a", "monday-1", document, 7)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of a node that goes on writing."""
    folder = tmp_path_factory.mktemp("snapshots")
    with contextlib.closing(SqliteEngine(folder / "data")) as engine:
        engine.commit([*ROWS, Record("!ring", b"ring", Tag(1, "n", 1), b"document"), *PAST])
        engine.stage([Record("b", b"staged", Tag(1, "n", 1), b"v")])
        size, place = take(folder / "data", folder / "out", "a", a_snapshot())
        engine.sync()
        assert engine.get("b", b"staged") is not None
    assert size == (place / COPY).stat().st_size
    return place


def copy_of(written: Path, tmp_path: Path) -> Path:
    made = tmp_path / "copy"
    made.mkdir()
    for each in written.iterdir():
        (made / each.name).write_bytes(each.read_bytes())
    return made


def test_both_engines_make_the_same_of_a_snapshot(written: Path, tmp_path: Path) -> None:
    memory = MemoryEngine()
    memory.commit([*ROWS, Record("!ring", b"ring", Tag(1, "n", 1), b"document"), *PAST])
    wanted, about = memory.copied(a_snapshot()), restore(written, tmp_path / "data", "a")
    assert about["records"] == len(ROWS)
    with contextlib.closing(SqliteEngine(tmp_path / "data")) as engine:
        assert list(engine.records()) == list(wanted.records())
        assert len(list(engine.records())) == len(ROWS)
        for fact in ("incarnation", "birth", "births", "actors", "clock_lease", "ring", "restored"):
            assert engine.meta(fact) == wanted.meta(fact), fact
        assert engine.meta("clock_lease") == b"9"


def _altered(name: str, value: object) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        about = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({**about, name: value}))

    return alter


def _cut(folder: Path) -> None:
    whole = (folder / COPY).read_bytes()
    (folder / COPY).write_bytes(whole[:-4096])


def _flip(folder: Path) -> None:
    whole = bytearray((folder / COPY).read_bytes())
    whole[len(whole) // 2] ^= 1
    (folder / COPY).write_bytes(whole)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "written last, is missing"),
        (
            lambda folder: (folder / MANIFEST).write_text('{"format": 1'),
            "written last, is missing or damaged",
        ),
        (lambda folder: (folder / COPY).unlink(), "cannot be read"),
        (_cut, "not as it was written"),
        (_flip, "not as it was written"),
        (_altered("format", 2), "has format 2 and schema 4, but this store reads format 1"),
        (_altered("schema", 5), "has format 1 and schema 5, but this store reads format 1 and schema 4"),
        (_altered("node", "b"), "a snapshot of node b, not of a"),
    ],
    ids=["no manifest", "half a manifest", "no copy", "cut", "flipped", "format", "schema", "node"],
)
def test_what_is_not_whole_or_not_ours_is_not_restored(
    written: Path, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    folder = copy_of(written, tmp_path)
    spoil(folder)
    with pytest.raises(EngineError, match=says):
        restore(folder, tmp_path / "data", "a")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("left", ["store.sqlite3", "store.sqlite3-wal"])
def test_a_store_is_not_overwritten_nor_mixed_with_what_is_left_of_one(
    written: Path, tmp_path: Path, left: str
) -> None:
    data = tmp_path / "data"
    with contextlib.closing(SqliteEngine(data)) as engine:
        engine.commit([Meta("incarnation", b"3")])
        kept = (data / left).read_bytes()
    for each in data.iterdir():
        each.unlink()
    (data / left).write_bytes(kept)
    with pytest.raises(EngineError, match=re.escape(f"({left}); move it away")):
        restore(written, data, "a")
    assert [(each.name, each.read_bytes()) for each in data.iterdir()] == [(left, kept)]


def test_a_node_does_not_start_on_half_a_restoration(written: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "store.sqlite3.partial").write_bytes((written / COPY).read_bytes()[:5000])
    with pytest.raises(EngineError, match="half of a snapshot"):
        SqliteEngine(data)
    assert restore(written, data, "a")["records"] == len(ROWS)  # which begins again
    SqliteEngine(data).close()


def test_what_a_killed_node_left_half_written_is_no_snapshot(tmp_path: Path) -> None:
    with contextlib.closing(SqliteEngine(tmp_path / "data")) as engine:
        engine.commit(ROWS)
        half = tmp_path / "out" / "monday-1.partial"
        half.mkdir(parents=True)
        (half / COPY).write_bytes(b"SQLite format 3\0")
        with pytest.raises(EngineError, match="no whole snapshot"):
            restore(half, tmp_path / "other", "a")
        _, place = take(tmp_path / "data", tmp_path / "out", "a", a_snapshot())
        assert (place.name, half.exists()) == ("monday-1", False)
        with pytest.raises(EngineError, match="is there already"):
            take(tmp_path / "data", tmp_path / "out", "a", a_snapshot())
        assert restore(place, tmp_path / "other", "a")["label"] == "monday-1"


def test_a_snapshot_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    SqliteEngine(tmp_path / "data").close()
    (tmp_path / "out").write_text("a file where a directory should be")
    with pytest.raises(EngineError, match="could not be written"):
        take(tmp_path / "data", tmp_path / "out", "a", a_snapshot())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "out"]


@pytest.mark.parametrize("script", ["CREATE TABLE other (x)", "UPDATE about SET value = 5"])
def test_a_file_of_another_form_is_refused_unchanged(tmp_path: Path, script: str) -> None:
    file = tmp_path / "store.sqlite3"
    if "UPDATE" in script:
        SqliteEngine(tmp_path).close()
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        db.execute(script)
    with contextlib.closing(sqlite3.connect(file)) as db:
        before = db.execute("SELECT * FROM sqlite_schema").fetchall()
    with pytest.raises(SchemaError, match="this store reads schema 4"):
        SqliteEngine(tmp_path)
    with contextlib.closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT * FROM sqlite_schema").fetchall() == before
