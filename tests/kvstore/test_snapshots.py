"""Snapshots: a cluster begins anew from what was written, never with a name it had before, and never with half of it."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvstore.birth import LIFE_SHIFT
from kvstore.config import bucket
from kvstore.document import Change, unpacked
from kvstore.engine import EngineError, SchemaError, SqliteEngine
from kvstore.engine_memory import MemoryEngine
from kvstore.engine_snapshot import COPY, MANIFEST, restore, take
from kvstore.events import Failure, Meta, Record, Snapshot, Tag
from kvstore.membership import DOCUMENT
from kvstore.snapshots import without_past
from tests.kvstore.cluster import Cluster

NAMES = "abc"


def cluster(mode: str = "register", **options: Any) -> Cluster:
    made = Cluster(NAMES, bucket("default", mode, **({"type": "pn-counter"} if mode == "crdt" else {})), first_start=True, **options)  # fmt: skip
    made.idle(1_000.0)
    return made


def snapshot(made: Cluster, name: str = "monday") -> dict[str, Any]:
    answer = made.ask("a", "KV.CLUSTER", "SNAPSHOT", name)
    assert isinstance(answer, dict), answer
    return answer


def put_back(made: Cluster, names: str, number: int = -1) -> None:
    """The disk of each node is one made of its snapshot; the nodes stay down."""
    for name in names:
        machine = made.machines[name]
        machine.node = None
        machine.life += 1  # what is on its way to the old one gets lost
        machine.disk = MemoryEngine()
        source = machine.snapshots[number]
        machine.disk.commit([*source.records(), *(Meta(each, value) for each, value in source._meta.items())])


def boot(made: Cluster, names: str, **how: bool) -> None:
    for name in names:
        made.boot(name, **how)
    made.idle(1_000.0)


# ---- a whole cluster begins anew ----


@pytest.mark.parametrize("mode", ["register", "cas", "quorum", "siblings"])
def test_all_nodes_begin_anew_from_what_was_written(mode: str) -> None:
    made = cluster(mode)
    for number in range(20):
        made.ask(NAMES[number % 3], "SET", f"k{number}", f"old-{number}")
    told = snapshot(made)
    assert sorted(told["nodes"]) == ["a", "b", "c"]
    before = {name: made.node(name).incarnation for name in NAMES}
    made.ask("a", "SET", "later", "x")
    put_back(made, NAMES)
    boot(made, NAMES)
    for number in range(20):
        assert made.ask(NAMES[(number + 1) % 3], "GET", f"k{number}") == b"old-%d" % number
    assert made.ask("a", "GET", "later") is None
    made.ask("b", "SET", "new", "y")
    assert made.ask("c", "GET", "new") == b"y"
    for name in NAMES:
        assert made.node(name).incarnation >> LIFE_SHIFT > before[name] >> LIFE_SHIFT
        made.crash(name)
        made.boot(name)
    made.idle(1_000.0)
    assert made.ask("a", "GET", "new") == b"y"
    assert made.node("a").incarnation == (1 << LIFE_SHIFT) + 2  # an ordinary start


def test_a_single_node_begins_anew_too() -> None:
    made = Cluster("a", bucket("default", n=1))
    made.idle(500.0)
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    put_back(made, "a")
    boot(made, "a")
    assert made.ask("a", "GET", "k") == b"1"
    assert made.node("a").incarnation == (1 << LIFE_SHIFT) + 1


def test_no_dot_or_ballot_of_the_lost_time_is_used_again() -> None:
    """After the snapshot the node goes on as before, and others see it; then all of it is undone on the node's own disk."""
    made = cluster("siblings")
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    lost = _dots(made, "a", "SET", "k", "2")
    put_back(made, NAMES)
    boot(made, NAMES)
    again = _dots(made, "a", "SET", "k", "3")
    assert not lost & again
    assert {dot[0] for dot in lost} == {dot[0] for dot in again} == {b"a"}


def _dots(made: Cluster, node: str, *words: str) -> set[tuple[bytes, int, int]]:
    """The dots that a command adds to what a read sees."""

    def seen() -> set[tuple[bytes, int, int]]:
        answer = made.ask(node, "KV.GET", "k")
        assert isinstance(answer, dict)
        told: Any = made.ask(node, "KV.CTX", "k", answer["ctx"])  # type: ignore[arg-type]
        return {tuple(dot) for dot in [*told["vector"], *told["cloud"]]}

    before = seen()
    made.ask(node, *words)
    return seen() - before


def test_members_can_change_after_a_restoration() -> None:
    made = cluster()
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    put_back(made, NAMES)
    boot(made, NAMES)
    made.add("d")
    made.idle(500.0)
    assert isinstance(made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    made.idle(20_000.0)
    for name in "abcd":
        document = made.node(name).view.document
        assert (document.change, document.names) == (None, ("a", "b", "c", "d"))
    assert made.ask("d", "GET", "k") == b"1"


def test_who_begins_anew_are_the_members_of_that_time_and_not_those_of_the_configuration() -> None:
    made = cluster()
    made.add("d")
    made.idle(500.0)
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    made.idle(20_000.0)
    made.ask("b", "KV.CLUSTER", "LEAVE", "a")
    made.idle(20_000.0)
    assert made.node("d").view.document.names == ("b", "c", "d")
    made.ask("c", "SET", "k", "1")
    made.ask("d", "KV.CLUSTER", "SNAPSHOT", "monday")
    made.crash("a")
    put_back(made, "bcd")
    boot(made, "bcd")
    assert [made.node(name).ready for name in "bcd"] == [True, True, True]
    assert made.ask("d", "GET", "k") == b"1"


# ---- what does not begin together ----


@pytest.mark.parametrize("replace", [False, True])
def test_one_restored_node_does_not_take_part_in_a_cluster_that_lives(replace: bool) -> None:
    made = cluster()
    snapshot(made)
    made.ask("a", "SET", "k", "1")
    put_back(made, "a")
    boot(made, "a", replace=replace)
    assert any("a is restored from snapshot monday-" in line and "is not, or has seen" in line for line in made.logs)  # fmt: skip
    assert not made.node("a").ready
    assert made.ask("b", "GET", "k") == b"1"


def test_a_restored_node_is_not_replaced_by_itself() -> None:
    """Its disk would have to be empty: what it holds is older than deletions that the others have forgotten."""
    made = cluster()
    snapshot(made)
    put_back(made, "a")
    made.network.cut = {("a", "b"), ("a", "c")}  # it hears, and nobody can tell it that it was here before
    made.boot("a", replace=True)
    made.ask("b", "KV.CLUSTER", "REPLACE", "a")
    made.idle(3_000.0)
    assert made.node("b").view.document.change == Change("replace", "a", "a")
    assert not made.node("a").ready


def test_a_node_with_an_empty_disk_does_not_take_part_in_a_restored_cluster() -> None:
    made = cluster()
    snapshot(made)
    put_back(made, NAMES)
    made.wipe("c")
    boot(made, NAMES)
    assert any("c has an empty disk" in line for line in made.logs)
    assert not made.node("c").ready


def test_nodes_of_two_snapshots_do_not_begin_together() -> None:
    made = cluster()
    snapshot(made)
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    put_back(made, "ab")
    put_back(made, "c", 0)
    boot(made, NAMES)
    assert any("restore every node, each once" in line for line in made.logs)
    assert not made.node("c").ready


def test_a_second_disk_made_of_the_same_copy_is_refused() -> None:
    made = cluster()
    snapshot(made)
    put_back(made, NAMES)
    boot(made, NAMES)
    made.ask("a", "SET", "k", "1")
    assert all(made.node(name).ready for name in NAMES)
    put_back(made, "c")
    boot(made, "c")
    assert any("c is restored from snapshot" in line and "another disk" in line for line in made.logs)
    assert not made.node("c").ready


def test_a_restored_cluster_is_another_than_the_one_it_was() -> None:
    made = cluster()
    made.ask("b", "KV.CLUSTER", "REPLACE", "c")  # so that there is a register of the document
    made.idle(20_000.0)
    snapshot(made)
    old = made.node("a").view.document
    new = {unpacked(made.machines[name].snapshots[-1].meta(DOCUMENT) or b"") for name in NAMES}
    (document,) = new  # alike on all nodes
    assert document.cluster != old.cluster
    assert [member.lives for member in document.members] == [1, 1, 2]
    for name in NAMES:
        disk = made.machines[name].snapshots[-1]
        assert [row for row in disk.records() if "!ring" in row.bucket] == []
        assert [disk.meta(fact) for fact in ("incarnation", "birth", "actors")] == [None, None, None]


def test_there_is_no_snapshot_while_members_change() -> None:
    made = cluster()
    made.add("d")
    made.idle(500.0)
    made.send("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    while made.node("a").view.document.change is None and made.now_ms < 10_000.0:
        made.idle(1.0)
    assert made.node("a").view.document.change == Change("join", "d")
    answer = made.ask("a", "KV.CLUSTER", "SNAPSHOT", "monday")
    assert isinstance(answer, Failure)
    assert "the members are changing" in answer.text


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a.partial", "a b"])
def test_a_name_that_could_be_another_path_is_refused(name: str) -> None:
    answer = cluster().ask("a", "KV.CLUSTER", "SNAPSHOT", name)
    assert isinstance(answer, Failure)
    assert answer.code == "BADARG"


# ---- files ----

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
        (_altered("format", 2), "has format 2 and schema 3, but this store reads format 1"),
        (_altered("schema", 4), "has format 1 and schema 4, but this store reads format 1 and schema 3"),
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


@pytest.mark.parametrize("script", ["CREATE TABLE other (x)", "UPDATE about SET value = 4"])
def test_a_file_of_another_form_is_refused_unchanged(tmp_path: Path, script: str) -> None:
    file = tmp_path / "store.sqlite3"
    if "UPDATE" in script:
        SqliteEngine(tmp_path).close()
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        db.execute(script)
    with contextlib.closing(sqlite3.connect(file)) as db:
        before = db.execute("SELECT * FROM sqlite_schema").fetchall()
    with pytest.raises(SchemaError, match="this store reads schema 3"):
        SqliteEngine(tmp_path)
    with contextlib.closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT * FROM sqlite_schema").fetchall() == before
