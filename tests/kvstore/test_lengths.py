"""Whatever a client gives a name to is held, and told to others: it has an end, and is refused before anything is done."""

from __future__ import annotations

import pytest

from kvstore.commands_admin import BUCKETS_MAX
from kvstore.config import BucketConfig, bucket
from tests.kvstore.cluster import Cluster, failed

LONG = b"x" * 100_000


@pytest.mark.parametrize(
    "words",
    [
        ("CLIENT", "SETNAME", LONG), ("HELLO", "3", "SETNAME", LONG), ("KV.BUCKET", "CREATE", LONG), ("KV.BUCKET", "CREATE", b"x" * 129),
        ("KV.CLUSTER", "JOIN", "n9", "h:1", "RACK", LONG), ("KV.CLUSTER", "JOIN", LONG, "h:1"), ("KV.CLUSTER", "JOIN", "n9", LONG + b":1"),
        ("KV.CLUSTER", "SNAPSHOT", LONG), ("GET", LONG), ("SCAN", "0", "MATCH", LONG), ("KV.GET", "k", "TIMEOUT", "3600001"),
        ("KV.PUT", "k", "v", "RID", LONG), ("SCAN", LONG), ("SELECT", LONG), ("KV.USE", LONG), (LONG,), ("KV.GET", "k", LONG, "1"),
        ("CLIENT", LONG), ("CONFIG", LONG, "x"), ("CLUSTER", LONG), ("COMMAND", LONG), ("KV.BUCKET", "CREATE", "b", "MODE", LONG),
        ("KV.BUCKET", "CREATE", "b", "DURABILITY", LONG), ("KV.BUCKET", "CREATE", "b", LONG, "1"), ("KV.SESSION", "RESUME", LONG),
    ],
    ids=lambda words: " ".join(str(each)[:12] for each in words),
)  # fmt: skip
def test_what_is_too_long_is_refused_in_a_short_sentence(words: tuple[str | bytes, ...]) -> None:
    made = Cluster("abc", bucket("default", "cas"), anti_entropy_ms=0.0)
    made.idle(100)
    handle = made.send("a", *words)
    assert failed(made.replies[handle]) in ("ERR", "BADARG", "WRONGCLASS")
    assert len(str(made.replies[handle])) < 600
    assert made.stored == []


def test_buckets_have_an_end() -> None:
    made = Cluster("abc", bucket("default", "quorum"), anti_entropy_ms=0.0, scrub_ms=0.0)
    made.idle(100)
    some: BucketConfig = bucket("some", "quorum")
    known = made.node("a").buckets.opened
    for number in range(BUCKETS_MAX - len(known)):
        known[f"b{number}"] = some
    assert failed(made.ask("a", "KV.BUCKET", "CREATE", "one-more")) == "BADARG"
    known.popitem()
    assert failed(made.ask("a", "KV.BUCKET", "CREATE", "one-more")) is None
