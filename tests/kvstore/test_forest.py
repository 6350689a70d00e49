"""Trees that are built while writes go on: the same as if nobody had written meanwhile."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.engine_memory import MemoryEngine
from kvstore.events import Erase, Record, Tag
from kvstore.forest import Forest
from kvstore.overlay import Overlay
from kvstore.ring import partition_of

KEYS = [b"{0}%d" % n for n in range(6)]  # all in one partition
PARTITION = partition_of(b"0")

# a key to write, one to erase, a commit, or a page of the tree
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "write", "erase"]), st.sampled_from(KEYS))
    | st.sampled_from(["commit", "page"]),
    max_size=25,
)


def made(engine: MemoryEngine) -> Overlay:
    return Overlay(engine, Forest(b"c", lambda name: "lww"))


@settings(max_examples=400, deadline=None)
@given(STEPS, st.integers(1, 3))
def test_a_tree_that_grows_under_writes_is_the_tree_of_what_is_there_in_the_end(
    steps: list[str | tuple[str, bytes]], page: int
) -> None:
    engine = MemoryEngine()
    overlay = made(engine)
    for hlc, step in enumerate([*steps, "commit"], 1):
        if step == "commit":
            engine.sync()
            overlay.commit(overlay.ticket)
        elif step == "page":
            if overlay.forest.get("b", PARTITION) is None:
                overlay.grow("b", PARTITION, page)
        else:
            what, key = step
            row = (
                Erase("b", key, Tag(hlc, "n", 1))
                if what == "erase"
                else Record("b", key, Tag(hlc, "n", 1), b"v")
            )
            engine.stage(overlay.write_rows([row]).rows)
    while overlay.forest.get("b", PARTITION) is None:
        overlay.grow("b", PARTITION, page)
    grown, again = overlay.forest.get("b", PARTITION), made(engine)
    assert again.grow("b", PARTITION, len(KEYS) + 1) == list(engine.records())
    anew = again.forest.get("b", PARTITION)
    assert grown is not None
    assert anew is not None
    assert grown.entries == anew.entries
    assert (grown.tree.root, grown.tree.branches()) == (anew.tree.root, anew.tree.branches())
