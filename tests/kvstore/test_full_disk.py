"""A disk without room: the node ends, or does not start, with one line; with room again it has all that it acknowledged."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore import __main__ as program
from kvstore.engine import FILE, PARTIAL, SqliteEngine
from kvstore.engine_errors import EngineError
from kvstore.engine_snapshot import restore, take
from kvstore.events import Meta, Record, Snapshot, Tag
from tests.kvstore.live import READY_S, LiveCluster, ask, free_ports

KIB = 1024
ROOM = "make room"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "quorate-test", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this account may not mount a file system of 1 MiB")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, left: int = 0) -> Path:
    """Leave so many bytes of room; the file to remove for more."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(b"\0" * (free.f_bavail * free.f_frsize - left))
    return filler


def configured(folder: Path, data: Path, peers: str = "") -> Path:
    """The configuration of one node."""
    client, peer = free_ports(2)
    path = folder / "n1.toml"
    path.write_text(
        f'name = "n1"\ndata = "{data}"\nclient = "127.0.0.1:{client}"\npeer = "127.0.0.1:{peer}"\n[bucket]\nmode = "quorum"\nn = 1\n'
    )
    return path


@pytest.mark.parametrize("left", [0, 4 * KIB, 8 * KIB, 20 * KIB, 40 * KIB])
def test_a_node_does_not_start_on_a_full_disk_and_says_what_to_do(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], left: int
) -> None:
    config, filler = configured(tmp_path, disk / "n1"), fill(disk, left)
    assert program.serve(config) == 255
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(disk / "n1") in told
    assert ROOM in told
    assert "choose another `data`" not in told  # it may have one that is needed
    filler.unlink()
    with contextlib.closing(SqliteEngine(disk / "n1")) as engine:
        assert list(engine.records()) == []


def test_a_store_is_found_whole_after_starts_that_found_no_room(disk: Path) -> None:
    rows = [Record("default", b"%d" % n, Tag(1, "n1", 1), b"v" * 100) for n in range(500)]
    with contextlib.closing(SqliteEngine(disk / "n1")) as engine:
        engine.commit([*rows, Meta("incarnation", b"3")])
    filler = fill(disk)
    for _ in range(3):
        with pytest.raises(EngineError, match=ROOM):
            SqliteEngine(disk / "n1")
    filler.unlink()
    with contextlib.closing(SqliteEngine(disk / "n1")) as engine:
        assert {each.key: each for each in engine.records()} == {each.key: each for each in rows}
        assert engine.meta("incarnation") == b"3"


def test_what_could_not_be_restored_whole_leaves_nothing(disk: Path, tmp_path: Path) -> None:
    with contextlib.closing(SqliteEngine(tmp_path / "data")) as engine:
        engine.commit([Record("default", b"k", Tag(1, "n1", 1), b"v" * 200 * KIB)])
        _, place = take(tmp_path / "data", tmp_path, "n1", Snapshot("monday-1", (), (), ()))
    filler = fill(disk, 100 * KIB)
    with pytest.raises(EngineError, match=ROOM):
        restore(place, disk / "n1", "n1")
    assert not (disk / "n1" / (FILE + PARTIAL)).exists()
    filler.unlink()
    assert restore(place, disk / "n1", "n1")["records"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["always", "group:2"])
def test_a_node_that_runs_out_of_room_ends_and_has_lost_nothing_it_acknowledged(
    disk: Path, tmp_path: Path, durability: str
) -> None:
    made = LiveCluster(tmp_path, 1, bucket=f'mode = "quorum"\nn = 1\ndurability = "{durability}"')
    config = tmp_path / "n1.toml"
    config.write_text(config.read_text().replace(str(tmp_path / "n1"), str(disk / "n1")))
    acknowledged: set[bytes] = set()
    try:
        for size in (300, 3_000):  # through the log, and to their place at once
            made.start_all()
            filler = fill(disk, 100 * KIB)
            with contextlib.suppress(OSError):
                for number in range(10_000):
                    key = b"%d/%d" % (size, number)
                    assert ask(made.ports["n1"], [b"SET", key, key * (size // len(key))]) == [b"OK"]
                    acknowledged.add(key)
            assert made.running.pop("n1").wait(READY_S) == 255
            last = (tmp_path / "n1.log").read_text().splitlines()[-1]
            assert "stops at once: Storage failed" in last  # no trace: it is no fault of the node's
            assert ROOM in last
            filler.unlink()
        made.start_all()
        for key in acknowledged:
            assert ask(made.ports["n1"], [b"STRLEN", key]) != [0]
        assert len(acknowledged) > 20
    finally:
        made.stop_all()


@pytest.mark.parametrize("fact", ["clock_lease", "incarnation", "ring", "births", "actors", "buckets"])
def test_a_node_does_not_start_on_a_damaged_fact_about_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fact: str
) -> None:
    data = tmp_path / "n1"
    with contextlib.closing(SqliteEngine(data)) as engine:
        engine.commit([Meta("incarnation", b"3"), Meta(fact, b"3")])
    with contextlib.closing(sqlite3.connect(data / FILE)) as db, db:
        db.execute("UPDATE meta SET value = x'34' WHERE name = ?", (fact,))
        before = db.execute("SELECT * FROM meta").fetchall()
    assert program.serve(configured(tmp_path, data)) == 255
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"fact {fact} in {data / FILE} does not match its checksum" in told
    assert "empty `data` and --replace" in told
    with contextlib.closing(sqlite3.connect(data / FILE)) as db:
        assert db.execute("SELECT * FROM meta").fetchall() == before


def test_a_node_does_not_start_on_a_file_with_a_damaged_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "n1"
    with contextlib.closing(SqliteEngine(data)) as engine:
        engine.commit([Meta("incarnation", b"3")])
    with contextlib.closing(sqlite3.connect(data / FILE)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'meta'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with (data / FILE).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    assert program.serve(configured(tmp_path, data)) == 255
    told = capsys.readouterr().err
    assert told.startswith(f"{data / FILE} is damaged (database disk image is malformed)")
    assert told.endswith("start with an empty `data` and --replace.\n")
    assert told.count("\n") == 1
