"""No schedule makes a node answer "surely no effect" about a write whose mutation it has let go."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore import bugs, crdt
from kvstore.config import MODES, bucket
from kvstore.envelope import opened
from kvstore.errors import TABLE, definite
from kvstore.events import Failure
from tests.kvstore.cluster import Cluster

WRITES = [("SET", "{k}", "{v}"), ("KV.PUT", "{k}", "{v}", "CL", "all"), ("MSET", "{k}", "{v}", "{k}2", "{v}")]

FAULT = st.sampled_from(["cut", "heal", "crash", "boot", "skew", "wait", "corrupt"])
STEP = st.tuples(st.sampled_from("abcd"), st.integers(0, 3), FAULT)


def apply(made: Cluster, name: str, fault: str) -> None:
    machine = made.machines[name]
    if fault == "cut":
        made.network.cut |= {(name, other) for other in "abcd"}
    elif fault == "heal":
        made.network.cut.clear()
    elif fault == "crash" and machine.node is not None:
        made.crash(name)
    elif fault == "boot" and machine.node is None:
        made.boot(name)
    elif fault == "skew":
        machine.offset_ms = made.rng.choice([-30_000.0, 0.0, 30_000.0])
    elif fault == "wait":
        made.idle(400.0)
    elif fault == "corrupt":
        for record in list(machine.disk._records.values())[:1]:
            machine.disk.corrupt(record.bucket, record.key)


def values(mode: str, data: bytes | None) -> list[bytes | None]:
    """The values in what a replica keeps."""
    if mode == "cas":
        return [opened(data).value]
    if mode in ("siblings", "crdt") and data is not None:
        kind, state = crdt.decode(data)
        return list(kind.values(state))
    return [data]


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    seed=st.integers(0, 2**32),
    steps=st.lists(STEP, min_size=1, max_size=15),
    bug=st.sampled_from(["", *bugs.TABLE]),
)
def test_no_definite_error_after_a_mutation_left(mode: str, seed: int, steps: list, bug: str) -> None:
    kind = "mv-register" if mode == "crdt" else None
    made = Cluster("abcd", bucket("default", mode, type=kind), seed=seed, bugs=[bug] if bug else [])
    made.network.loss = 0.2
    made.network.double = 0.2
    made.network.delay_ms = 100.0
    sent: dict[tuple[str, int], bytes] = {}
    made.run(for_ms=50.0)
    for number, (name, kind, fault) in enumerate(steps):
        value = f"v{number}"
        if made.machines[name].node is not None:
            shape = WRITES[kind % len(WRITES)]
            handle = made.send(name, *(part.format(k="x", v=value) for part in shape))
            sent[handle] = value.encode()
        apply(made, name, fault)
        made.run(for_ms=30.0)
    made.run(for_ms=5_000.0)
    left = {each for message in made.stored for each in values(mode, message.value)}
    kept = {
        each
        for machine in made.machines.values()
        for record in machine.disk._records.values()
        if not record.bucket.startswith("!")
        for each in values(mode, record.value)
    }
    for handle, value in sent.items():
        answer = made.replies.get(handle)
        if isinstance(answer, Failure):
            assert answer.code in TABLE
            if definite(answer.code):
                assert value not in left, (answer, value)
                assert value not in kept, (answer, value)


def test_an_unknown_code_proves_nothing() -> None:
    assert not definite("SOMETHING")
    assert not definite("TIMEOUT")
    assert definite("UNAVAILABLE")


def test_register_write_without_a_query_quorum_is_definite() -> None:
    made = Cluster("abc", bucket("default", "register"))
    made.run(for_ms=50.0)
    made.network.cut = {("a", "b"), ("a", "c")}
    answer = made.ask("a", "SET", "x", "1")
    assert isinstance(answer, Failure)
    assert answer.code == "NOQUORUM"


def test_one_phase_write_without_a_quorum_is_indefinite() -> None:
    made = Cluster("abc", bucket("default", "quorum"))
    made.run(for_ms=50.0)
    made.network.cut = {("a", "b"), ("a", "c")}
    answer = made.ask("a", "SET", "x", "1")
    assert isinstance(answer, Failure)
    assert answer.code == "TIMEOUT"
    assert isinstance(made.ask("a", "GET", "x"), Failure)


def test_refusal_of_a_far_clock_is_definite_only_before_the_store() -> None:
    for mode, code in (("register", "CLOCKSKEW"), ("quorum", "INDEFINITE")):
        made = Cluster("abcd", bucket("default", mode))
        made.run(for_ms=50.0)
        made.machines["a"].offset_ms = 60_000
        coordinator = next(k for k in "klmnopqrstuvw" if "a" not in made.ring.replicas(k.encode(), 3))
        answer = made.ask("a", "SET", coordinator, "1")
        assert isinstance(answer, Failure)
        assert answer.code == code


def test_unreadable_records_do_not_count_in_a_quorum() -> None:
    made = Cluster("abc", bucket("default", "register"))
    made.ask("a", "SET", "x", "1")
    made.idle(100.0)
    made.machines["b"].disk.corrupt("default", b"x")
    assert made.ask("a", "GET", "x") == b"1"
    made.machines["c"].disk.corrupt("default", b"x")
    answer = made.ask("a", "GET", "x")
    assert isinstance(answer, Failure)
    assert answer.code == "NOQUORUM"
    assert made.ask("a", "SET", "x", "2") == answer
