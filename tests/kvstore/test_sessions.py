"""KV.SESSION: defaults of a connection, what it has seen, and a token that takes it to another node."""

from __future__ import annotations

import pytest

from kvstore.config import BucketConfig, bucket
from kvstore.contexts import seal
from kvstore.events import Command, Drain, Simple, Tag, Value
from kvstore.launching import Options, wanted
from kvstore.session import KEYS_MAX, RefusalError
from tests.kvstore.cluster import Cluster, failed, fields

KEY = b"x"  # replicas e, a, b of the five nodes
OK = Simple("OK")


class Connection:
    """Commands that share one connection."""

    def __init__(self, made: Cluster, node: str, number: int) -> None:
        self.made, self.node, self.number = made, node, number

    def ask(self, *args: bytes | str | int) -> Value:
        encoded = tuple(a if isinstance(a, bytes) else str(a).encode() for a in args)
        self.made.replies.pop((self.node, self.number), None)
        self.made.step(self.node, Command(self.number, 1, encoded))
        self.made.run(until=(self.node, self.number))
        return self.made.replies[self.node, self.number]


def cluster(mode: str) -> Cluster:
    made = Cluster("abcde", bucket("default", mode), seed=4)
    made.run(for_ms=600.0)
    return made


def stale_read(made: Cluster, session: Connection) -> Value:
    """The session writes while only e hears; then e is the slowest to answer."""
    made.network.cut = {(session.node, "a"), (session.node, "b")}
    assert session.ask("SET", KEY, "new") == OK
    made.network.cut = {("e", session.node)}
    return session.ask("GET", KEY)


@pytest.mark.parametrize(("mode", "sees_it"), [("eventual", False), ("session", True)])
def test_a_session_reads_its_own_writes_where_eventual_does_not(mode: str, sees_it: bool) -> None:
    made = cluster(mode)
    made.ask("c", "SET", KEY, "old")
    made.idle(200.0)
    found = stale_read(made, Connection(made, "d", 900))
    assert (found == b"old") is not sees_it
    assert (
        failed(found) == "TIMEOUT"
    ) is sees_it  # e has it, and e is cut off: better no answer than an old one


def test_track_makes_any_lww_bucket_remember() -> None:
    made = cluster("eventual")
    made.ask("c", "SET", KEY, "old")
    made.idle(200.0)
    session = Connection(made, "d", 900)
    assert session.ask("KV.SESSION", "TRACK", "on") == OK
    assert failed(stale_read(made, session)) == "TIMEOUT"
    made.network.cut.clear()
    assert session.ask("GET", KEY) == b"new"


def test_a_token_takes_the_session_to_another_node() -> None:
    made = cluster("eventual")
    made.ask("c", "SET", KEY, "old")
    made.idle(200.0)
    session = Connection(made, "d", 900)
    session.ask("KV.SESSION", "TRACK", "on")
    made.network.cut = {("d", "a"), ("d", "b")}
    session.ask("SET", KEY, "new")
    token = session.ask("KV.SESSION", "TOKEN")
    assert isinstance(token, bytes)
    made.network.cut = {("e", "c")}
    fresh, resumed = Connection(made, "c", 901), Connection(made, "c", 902)
    assert fresh.ask("GET", KEY) == b"old"
    assert resumed.ask("KV.SESSION", "RESUME", token) == OK
    assert failed(resumed.ask("GET", KEY)) == "TIMEOUT"
    made.network.cut.clear()
    assert resumed.ask("GET", KEY) == b"new"
    assert failed(resumed.ask("KV.SESSION", "RESUME", token[:-4] + b"AAAA")) == "BADARG"


def test_what_everybody_has_lost_is_not_waited_for() -> None:
    made = cluster("session")
    session = Connection(made, "d", 900)
    session.ask("SET", KEY, "1")
    made.idle(200.0)
    for node in "eab":
        made.crash(node)
        made.machines[node].disk.wipe()
        made.boot(node)
    made.run(for_ms=100.0)
    assert failed(session.ask("GET", KEY)) == "NOQUORUM"


def test_defaults_of_a_connection() -> None:
    made = cluster("quorum")
    session = Connection(made, "d", 900)
    assert session.ask("KV.SESSION", "CL", "all") == OK
    made.crash("e")
    assert failed(session.ask("SET", KEY, "1")) == "TIMEOUT"
    assert session.ask("KV.SESSION", "R", 1, "W", 1) == OK
    assert session.ask("SET", KEY, "2") == OK
    assert session.ask("KV.SESSION") == {"cl": None, "r": 1, "w": 1, "track": 0, "keys": 0}
    assert session.ask("RESET") == Simple("RESET")
    assert session.ask("KV.SESSION") == {"cl": None, "r": None, "w": None, "track": 0, "keys": 0}


@pytest.mark.parametrize(
    "args", [("CL", "some"), ("TRACK", "maybe"), ("R",), ("R", "0"), ("WHAT", "1"), ("RESUME", "x")]
)
def test_refusals(args: tuple[str, ...]) -> None:
    assert failed(cluster("eventual").ask("a", "KV.SESSION", *args)) == "BADARG"


def test_a_strong_bucket_keeps_its_quorum() -> None:
    made = cluster("register")
    session = Connection(made, "d", 900)
    session.ask("KV.SESSION", "R", 1)
    assert failed(session.ask("GET", KEY)) == "WRONGCLASS"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_any_two_requests_that_a_monotonic_bucket_takes_have_quorums_that_meet(n: int) -> None:
    """Also where the bucket's own counts are higher than they must be: what one request and another give up adds up."""
    counts = range(1, n + 1)
    for r, w in ((r, w) for r in counts for w in counts if r + w > n):
        made = bucket("default", "monotonic", n=n, r=r, w=w)

        def taken(count: int, *, writes: bool, made: BucketConfig = made) -> bool:
            try:
                return wanted(made, Options(None, count, 0.0), n, writes=writes) == count
            except RefusalError:
                return False

        reads = [count for count in counts if taken(count, writes=False)]
        writes = [count for count in counts if taken(count, writes=True)]
        assert min(reads) + min(writes) > n, (r, w)
        assert r in reads
        assert w in writes


def test_a_session_of_a_monotonic_bucket_does_not_go_back() -> None:
    made = Cluster("abcde", bucket("default", "monotonic", r=3, w=3))
    session = Connection(made, "d", 900)
    session.ask("KV.SESSION", "R", 1, "W", 1)
    assert failed(session.ask("GET", KEY)) == "WRONGCLASS"
    assert failed(session.ask("SET", KEY, "1")) == "WRONGCLASS"


def test_a_request_may_give_up_that_quorums_meet_in_mode_quorum() -> None:
    """What docs/store.md says of R and W: who asks for fewer may miss an acknowledged write, and nobody else does."""
    made = Cluster("abc", bucket("default", "quorum"))
    assert made.ask("a", "SET", KEY, "old") == OK
    made.idle(200.0)
    made.network.cut = {("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")}
    assert made.ask("a", "SET", KEY, "new") == OK
    assert fields(made.ask("c", "KV.GET", KEY, "R", "1"))["values"] == [b"old"]
    assert fields(made.ask("c", "KV.GET", KEY, "CL", "one"))["values"] == [b"old"]
    assert failed(made.ask("c", "KV.GET", KEY)) == "TIMEOUT"
    assert made.ask("b", "GET", KEY) == b"new"


def test_what_a_session_cannot_remember_is_refused_and_not_served_without_the_promise() -> None:
    made = cluster("session")
    session = Connection(made, "d", 900)
    assert session.ask("SET", KEY, "1") == OK
    remembered = made.node("d").sessions[900]
    for number in range(KEYS_MAX - 1):
        remembered.seen["default", b"%d" % number] = Tag(1, "a", 1)
    assert session.ask("GET", KEY) == b"1"
    for words in (["GET", "new"], ["SET", "new", "1"], ["MGET", "x", "new"]):
        assert failed(session.ask(*words)) == "OVERLOADED"
    assert failed(session.ask("KV.SESSION", "TOKEN")) == "BADARG"  # too many for a token
    assert session.ask("GET", KEY) == b"1"
    assert made.ask("d", "GET", "new") is None


def test_a_deletion_tells_no_less_than_the_session_has_seen() -> None:
    """Only e has what the session wrote, and e is slow: it must not be told that there was nothing."""
    made = cluster("session")
    session = Connection(made, "d", 900)
    stale_read(made, session)
    assert failed(session.ask("DEL", KEY)) == "NOQUORUM"
    made.network.cut = set()
    assert session.ask("DEL", KEY) == 1
    assert session.ask("GET", KEY) is None


class Heard(dict[tuple[str, int], Value]):
    """All answers of all connections, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Value] = []

    def __contains__(self, key: object) -> bool:
        return False

    def __setitem__(self, key: tuple[str, int], value: Value) -> None:
        self.all.append(value)


def test_a_node_that_stops_tells_the_token_that_was_asked_for_with_its_last_write() -> None:
    """Or the session ends with the node, though all went well."""
    made = cluster("session")
    made.replies = heard = Heard()
    commands = ([b"SET", KEY, b"1"], [b"kv.session", b"token"], [b"GET", KEY])
    for number, command in enumerate(commands):
        made.step("d", Command(900, number, tuple(command)))
    made.step("d", Drain())
    made.run(for_ms=2_000.0)
    ok, token, refused = heard.all
    assert (ok, failed(refused)) == (OK, "LOADING")
    assert isinstance(token, bytes)
    made.replies = {}
    session = Connection(made, "c", 901)
    assert session.ask("KV.SESSION", "RESUME", token) == OK
    assert session.ask("GET", KEY) == b"1"


@pytest.mark.parametrize(
    "content",
    [5, None, {"a": 1}, [5], [["default", KEY, 1]], [["default", KEY, "1", "a", 1, 0, 0]], [[["default"], KEY, 1, "a", 1, 0, 0]]],
)  # fmt: skip
def test_a_token_that_was_made_by_somebody_else_cannot_end_a_node(content: object) -> None:
    made = cluster("session")  # without a secret anybody can make one
    session = Connection(made, "d", 900)
    assert failed(session.ask("KV.SESSION", "RESUME", seal("", (b"session",), content))) == "BADARG"
    assert session.ask("SET", KEY, "1") == OK
    assert session.ask("GET", KEY) == b"1"


def test_of_defaults_that_are_refused_none_is_taken() -> None:
    made = cluster("quorum")
    session = Connection(made, "d", 900)
    assert session.ask("KV.SESSION", "W", "3") == OK
    kept = session.ask("KV.SESSION")
    assert failed(session.ask("KV.SESSION", "R", "1", "TRACK", "perhaps")) == "BADARG"
    assert session.ask("KV.SESSION") == kept
