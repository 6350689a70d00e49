"""The laws of every type on states that can be reached: updates, deltas, merges of whole states, replicas that forget.

A machine plays four replicas of one key. Beside each state it keeps the *events* the replica was told, as sets of
numbers without any clock: what an event made, and what it replaced or removed. From them alone follow the value and
what must have been seen; the states have to agree. Then the laws are asked of states that occurred, at any time.

    commutative, associative, idempotent       a <= join(a, b)        an update never loses anything
    state.join(delta) is the update, wherever, however often and in whatever order the delta arrives
    equal states have equal bytes, other states others; bytes come back as the state
    nothing removed is left in the store; when all have met, every context is a bare vector

QUORATE_FUZZ / 1000 is the number of machines per type; 20 without it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kvstore.causal import NOTHING, Causal, Store, dots_of, removal
from kvstore.crdt import NO_BUGS, TYPES, Change, decode, digest, encode, merge
from kvstore.crdt.base import ChangeError
from kvstore.events import Tag

MACHINES = max(20, int(os.environ.get("QUORATE_FUZZ", "0")) // 1000)
NODES = ("a", "b", "c", "d")
ELEMENTS = (b"x", b"y")
WHO = st.sampled_from(NODES)


@dataclass
class Event:
    """What an update did: `made` maps its own marks to where they stand; `gone` is what it replaced or removed."""

    made: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()
    value: bytes = b""
    amount: int = 0
    tag: Tag | None = None
    dots: dict[int, Any] = field(default_factory=dict)


@dataclass
class Replica:
    state: Any
    known: frozenset[int] = frozenset()
    epoch: int = 0


class Machine(RuleBasedStateMachine):
    """One type's machine; subclasses name it."""

    kind = TYPES["or-set"]
    bugs = NO_BUGS
    deltas = Bundle("deltas")
    reads = Bundle("reads")

    def __init__(self) -> None:
        super().__init__()
        self.replicas = {node: Replica(self.kind.empty()) for node in NODES}
        self.events: dict[int, Event] = {}
        self.seen_states: list[Any] = [self.kind.empty()]
        self.epochs = 0
        self.marks = 0

    # ---- the oracle ----

    def alive(self, known: frozenset[int]) -> dict[int, tuple[tuple[bytes, ...], bytes]]:
        """Marks that stand: where, and with which value."""
        gone = frozenset[int]().union(*(self.events[e].gone for e in known))
        return {
            mark: (place, self.events[e].value)
            for e in known
            for mark, place in self.events[e].made.items()
            if mark not in gone
        }

    def expected(self, known: frozenset[int]) -> Any:
        """The state these events make, but for the context."""
        store: Store = {}
        names = {mark: dot for event in self.events.values() for mark, dot in event.dots.items()}
        for mark, (place, value) in self.alive(known).items():
            below = store
            for key in place:
                below = below.setdefault(key, {})
            below[names[mark]] = value or None
        return store

    def check(self, replica: Replica) -> None:
        """State and oracle agree."""
        state, known = replica.state, replica.known
        events = [self.events[e] for e in known]
        if self.kind.name.endswith("counter"):
            assert self.kind.value(state) == sum(event.amount for event in events)  # type: ignore[attr-defined]
            return
        if self.kind.name == "lww-register":
            newest = max(events, key=lambda event: event.tag or (0, "", 0), default=None)
            assert self.kind.values(state) == ([newest.value] if newest else [])
            return
        assert state.store == self.expected(known)
        names = {mark: dot for event in self.events.values() for mark, dot in event.dots.items()}
        told = {names[mark] for event in events for mark in (*event.made, *event.gone)}
        assert all(map(state.context.covers, told))
        assert sum(state.context.vector.values()) + len(state.context.cloud) == len(told)
        assert sum(1 for _ in dots_of(state.store)) == len(self.alive(known))  # no tombstones

    def take(self, replica: Replica, state: Any, known: frozenset[int]) -> None:
        """Join something in; nothing is lost by it."""
        before = replica.state
        replica.state = self.kind.join(before, state, self.bugs)
        replica.known |= known
        if not self.bugs:
            assert self.kind.join(replica.state, before, self.bugs) == replica.state
            assert self.kind.join(replica.state, state, self.bugs) == replica.state
        self.seen_states.append(replica.state)
        self.check(replica)

    # ---- updates ----

    def actor(self, node: str, seen: Any = NOTHING) -> tuple[str, int]:
        replica = self.replicas[node]
        own = (node, replica.epoch)
        if not replica.epoch or seen.top(own) > self.kind.top(replica.state, own):
            self.epochs += 1
            replica.epoch = self.epochs
        return node, replica.epoch

    def tell(self, node: str, event: Event, delta: Any) -> tuple[Any, frozenset[int]]:
        """A delta and the events in it, applied where it was made."""
        number = len(self.events)
        self.events[number] = event
        carried = frozenset([number])
        if self.kind.name.endswith("counter"):  # an actor's entry holds all its updates
            actor = (node, self.replicas[node].epoch)
            event.value = repr(actor).encode()
            carried = frozenset(e for e in self.events if self.events[e].value == event.value)
        self.take(self.replicas[node], delta, carried)
        return delta, carried

    def changed(
        self, node: str, change: Change, place: tuple[bytes, ...], value: bytes = b"", gone: Any = None
    ) -> Any:
        replica = self.replicas[node]
        if gone is None:
            gone = {mark for mark, (where, _) in self.alive(replica.known).items() if where == place}
        self.marks += 1
        actor = self.actor(node, change.context)
        delta = self.kind.update(replica.state, change, actor)
        (dot,) = dots_of(delta.store)
        event = Event({self.marks: place}, frozenset(gone), value, dots={self.marks: dot})
        return self.tell(node, event, delta)

    def removed(self, node: str, reader: str, place: tuple[bytes, ...]) -> Any:
        """Remove at one replica what another shows below a place."""
        seen = self.replicas[reader]
        below: Any = seen.state.store
        for key in place:
            below = below.get(key, {})
        size = len(place)
        gone = {mark for mark, (where, _) in self.alive(seen.known).items() if where[:size] == place}
        return self.tell(node, Event(gone=frozenset(gone)), removal(dots_of(below)))

    @precondition(lambda self: self.kind.name == "or-set")
    @rule(target=deltas, node=WHO, element=st.sampled_from(ELEMENTS))
    def add(self, node: str, element: bytes) -> Any:
        return self.changed(node, Change("add", (element,)), (element,))

    @precondition(lambda self: self.kind.name == "or-set")
    @rule(target=deltas, node=WHO, reader=WHO, element=st.sampled_from(ELEMENTS))
    def remove(self, node: str, reader: str, element: bytes) -> Any:
        return self.removed(node, reader, (element,))

    @precondition(lambda self: self.kind.name.endswith("-flag"))
    @rule(target=deltas, node=WHO)
    def mark(self, node: str) -> Any:
        return self.changed(node, Change("mark"), ())

    @precondition(lambda self: self.kind.name.endswith("-flag") or self.kind.name == "mv-register")
    @rule(target=deltas, node=WHO, reader=WHO)
    def clear(self, node: str, reader: str) -> Any:
        return self.removed(node, reader, ())

    @precondition(lambda self: self.kind.name == "or-map")
    @rule(
        target=deltas,
        node=WHO,
        verb=st.sampled_from(["set", "mark", "add"]),
        element=st.sampled_from(ELEMENTS),
    )
    def update_field(self, node: str, verb: str, element: bytes) -> Any:
        value = b"v%d" % self.marks if verb == "set" else b""
        place = {"set": (b"r:f",), "mark": (b"f:f",), "add": (b"s:f", element)}[verb]
        items = (value,) if verb == "set" else (element,)
        return self.changed(node, Change(verb, items, b"f"), place, value)

    @precondition(lambda self: self.kind.name == "or-map")
    @rule(
        target=deltas,
        node=WHO,
        reader=WHO,
        place=st.sampled_from([(b"r:f",), (b"f:f",), (b"s:f",), (b"s:f", b"x")]),
    )
    def reset_field(self, node: str, reader: str, place: tuple[bytes, ...]) -> Any:
        return self.removed(node, reader, place)

    @precondition(lambda self: self.kind.name == "mv-register")
    @rule(target=reads, readers=st.lists(WHO, min_size=1, max_size=2))
    def read(self, readers: list[str]) -> Any:
        context, known = NOTHING, frozenset[int]()
        for reader in readers:
            context = context.join(self.replicas[reader].state.context)
            known |= self.replicas[reader].known
        events = [self.events[e] for e in known]
        return context, frozenset(mark for event in events for mark in (*event.made, *event.gone))

    @precondition(lambda self: self.kind.name == "mv-register")
    @rule(target=deltas, node=WHO, read=reads)
    def write(self, node: str, read: Any) -> Any:
        context, marks = read
        value = b"v%d" % self.marks
        return self.changed(node, Change("put", (value,), seen=context.pack()), (), value, marks)

    @precondition(lambda self: self.kind.name.endswith("counter"))
    @rule(target=deltas, node=WHO, amount=st.integers(-3, 3))
    def count(self, node: str, amount: int) -> Any:
        amount = abs(amount) if self.kind.name == "g-counter" else amount
        actor = self.actor(node)
        delta = self.kind.update(self.replicas[node].state, Change("add", amount=amount), actor)
        return self.tell(node, Event(amount=amount), delta)

    @precondition(lambda self: self.kind.name == "lww-register")
    @rule(target=deltas, node=WHO, hlc=st.integers(1, 5))
    def store(self, node: str, hlc: int) -> Any:
        self.marks += 1
        tag, value = Tag(hlc, node, self.marks), b"v%d" % self.marks
        return self.tell(node, Event(value=value, tag=tag), (tag, value))

    # ---- what happens to replicas ----

    @rule(node=WHO, delta=deltas)
    def deliver(self, node: str, delta: Any) -> None:
        self.take(self.replicas[node], *delta)

    @rule(node=WHO, other=WHO)
    def sync(self, node: str, other: str) -> None:
        there = self.replicas[other]
        self.take(self.replicas[node], decode(encode(self.kind, there.state))[1], there.known)

    @rule(node=st.sampled_from(NODES[:2]))
    def forget(self, node: str) -> None:
        """The amnesia rule: what comes back must never reuse a dot, or `check` finds two marks under one."""
        self.replicas[node] = Replica(self.kind.empty())

    @initialize()
    def begin(self) -> None:
        self.check(self.replicas["a"])

    # ---- the laws ----

    @rule(data=st.data())
    def laws(self, data: st.DataObject) -> None:
        states = [replica.state for replica in self.replicas.values()] + self.seen_states[-12:]
        a, b, c = (data.draw(st.sampled_from(range(len(states)))) for _ in range(3))
        self.hold(states[a], states[b], states[c])

    def hold(self, a: Any, b: Any, c: Any) -> None:
        def join(one: Any, two: Any) -> Any:
            return self.kind.join(one, two, self.bugs)

        both = join(a, b)
        assert both == join(b, a), "commutative"
        assert join(both, c) == join(a, join(b, c)), "associative"
        assert join(a, a) == a, "idempotent"
        assert join(both, a) == both == join(both, b), "an upper bound"
        assert join(join(a, join(b, c)), both) == join(both, c), "the least one"
        coded = [encode(self.kind, state) for state in (a, b)]
        assert decode(coded[0]) == (self.kind, a)
        assert (coded[0] == coded[1]) is (a == b) is (digest(coded[0]) == digest(coded[1])), "canonical bytes"
        assert (
            merge(coded[0], coded[1], self.bugs)
            == encode(self.kind, both)
            == merge(coded[1], coded[0], self.bugs)
        )

    def teardown(self) -> None:
        """When all have met, all are one, and no context has a hole."""
        a, b, c, d = (replica.state for replica in self.replicas.values())
        self.hold(a, b, c)
        self.hold(b, c, d)
        whole = Replica(self.kind.empty())
        for replica in self.replicas.values():
            self.take(whole, replica.state, replica.known)
        if isinstance(whole.state, Causal) and not any(e not in whole.known for e in self.events):
            assert not whole.state.context.cloud


def machine(name: str, *bugs: str) -> type[Machine]:
    return type(f"Machine of {name}", (Machine,), {"kind": TYPES[name], "bugs": frozenset(bugs)})


def play(name: str, *bugs: str, machines: int = MACHINES) -> None:
    run_state_machine_as_test(
        machine(name, *bugs),
        settings=settings(
            max_examples=machines,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            database=None,
        ),
    )  # type: ignore[no-untyped-call]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TYPES))
def test_laws_hold_on_reachable_states(name: str) -> None:
    play(name)


@pytest.mark.slow
@pytest.mark.parametrize("bug", ["orswot.union_if_both", "orswot.dominance_shortcut"])
def test_the_laws_convict_the_historical_bugs(bug: str) -> None:
    with pytest.raises(AssertionError):
        play("or-set", bug, machines=400)


def test_a_request_id_counts_once_within_its_window() -> None:
    counter = TYPES["pn-counter"]
    state = counter.empty()
    for _ in range(3):
        state = counter.join(
            state, counter.update(state, Change("add", amount=2, rid=b"r"), ("a", 1)), NO_BUGS
        )
    assert counter.values(state) == [b"2"]
    for n in range(16):
        state = counter.join(
            state, counter.update(state, Change("add", amount=0, rid=b"%d" % n), ("a", 1)), NO_BUGS
        )
    assert (
        counter.update(state, Change("add", amount=2, rid=b"r"), ("a", 1)) != {}
    )  # forgotten: the window is 16


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("g-counter", Change("add", amount=-1), "only grows"),
        ("pn-counter", Change("add", amount=1 << 63), "64 bits"),
        ("or-set", Change("put", (b"v",)), "has no 'put'"),
        ("lww-register", Change("add", (b"v",)), "has no 'add'"),
    ],
)
def test_what_a_type_cannot_do_it_refuses(name: str, change: Change, why: str) -> None:
    with pytest.raises(ChangeError, match=why):
        TYPES[name].update(TYPES[name].empty(), change, ("a", 1))


@pytest.mark.parametrize(
    "data", [b"", b"\xc0", b"\x92\xa3foo\x90", encode(TYPES["or-set"], Causal())[:-1], b"\x91\x01"]
)
def test_bytes_of_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="state"):
        decode(data)
