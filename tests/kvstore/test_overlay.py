"""The overlay against a model: what a node reads before a commit is what the engine holds after it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvstore.engine_memory import MemoryEngine
from kvstore.events import Erase, Record, Tag
from kvstore.forest import Forest
from kvstore.overlay import Overlay

KEYS = [b"a", b"b"]
rows = st.builds(
    lambda erase, key, hlc: (
        Erase("b", key, Tag(hlc, "n", 1)) if erase else Record("b", key, Tag(hlc, "n", 1), b"%d" % hlc)
    ),
    st.booleans(), st.sampled_from(KEYS), st.integers(1, 4),
)  # fmt: skip
steps = st.lists(st.one_of(st.just("commit"), st.lists(rows, min_size=1, max_size=3)), max_size=12)


@given(steps, st.booleans())
def test_what_is_read_early_is_what_is_committed(
    plan: list[str | list[Record | Erase]], remembers: bool
) -> None:
    engine = MemoryEngine()
    overlay = Overlay(engine, Forest(b"c", lambda bucket: "lww"))
    read = overlay.look if remembers else overlay.get
    for step in [*plan, "commit"]:
        if isinstance(step, str):
            early = {key: read("b", key)[0] for key in KEYS}
            engine.sync()
            overlay.commit(overlay.ticket)
            assert early == {key: engine.get("b", key) for key in KEYS}
            assert all(read("b", key)[1] == 0 for key in KEYS)
        else:
            newer = {key: read("b", key)[0] for key in KEYS}
            rising = []
            for row in step:  # a node writes a record only over an older one
                old = newer[row.key]
                if isinstance(row, Erase) or old is None or row.tag > old.tag:
                    rising.append(row)
                    if isinstance(row, Record):
                        newer[row.key] = row
                    elif old is not None and old.tag <= row.tag:
                        newer[row.key] = None
            engine.stage(overlay.write_rows(rising).rows)
            assert {key: read("b", key)[0] for key in KEYS} == newer
