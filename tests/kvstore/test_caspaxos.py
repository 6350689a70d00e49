"""The acceptor's laws, the proposer's rules one by one, and request ids. Whole schedules are in tests/explorers."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.caspaxos import KEEP, Ballots, Held, Slot, accept, prepare, propose
from kvstore.envelope import DONE_MAX, EMPTY, Envelope, Request, Rid, opened, sealed
from kvstore.events import NO_TAG, Tag
from kvstore.flows.steps import Ask, GaveUpError, Pause
from kvstore.messages import Query

BALLOT = st.builds(Tag, st.integers(1, 5), st.sampled_from("ab"), st.just(1))
MESSAGE = st.tuples(st.booleans(), BALLOT, st.one_of(st.just(NO_TAG), BALLOT))  # prepares, ballot, then


@given(st.lists(MESSAGE, max_size=12))
def test_an_acceptor_never_takes_what_lies_below_its_word(messages: list[tuple[bool, Tag, Tag]]) -> None:
    slot = Slot()
    for prepares, ballot, then in messages:
        floor, held = slot.floor, slot.accepted
        new = prepare(slot, ballot) if prepares else accept(slot, ballot, repr(ballot).encode(), then)
        assert (new is None) == (ballot < floor and (prepares or ballot != held))
        if new is None:
            continue
        assert new.floor == max(floor, ballot, NO_TAG if prepares else then)
        assert new.accepted == (held if prepares else ballot)
        assert new.accepted >= held
        assert new.value == (None if new.accepted == NO_TAG else repr(new.accepted).encode())
        again = prepare(new, ballot) if prepares else accept(new, ballot, new.value, then)
        assert again is new  # a double writes nothing
        slot = new


def test_ballots_grow_and_belong_to_one_life() -> None:
    ballots = Ballots("n1", 7, random.Random(1))
    first = ballots.next()
    second = ballots.next(Tag(10, "n9", 1))
    third = Ballots("n1", 7, random.Random(1), lambda: 50).next()
    assert first < second < third
    assert second > Tag(10, "n9", 1)
    assert {ballot[1:3] for ballot in (first, second, third)} == {("n1", 7)}
    pauses = [ballots.backoff_ms(tries) for tries in range(20)]
    assert all(2.0 <= pause <= 64.0 for pause in pauses)
    assert max(pauses[:1]) <= 4.0 < max(pauses)


class Majority:
    """Three acceptors and one proposer, in lock step: each round says who is reached, and whose answers are lost."""

    def __init__(self) -> None:
        self.slots = {name: Slot() for name in "ABC"}
        self.accepts = 0
        self.held: dict[str, Held] = {}
        self.pauses = 0
        self.now = 0

    def run(self, name: str, change: Request, rounds: list[str]) -> Request:
        """`rounds`: per question the acceptors reached; lower case: reached, but the answer is lost."""
        self.now += 1
        ballots = Ballots(name, 1, random.Random(1), lambda: self.now)
        flow = propose(
            change,
            ballots,
            lambda b: self._ask(b, None, False),
            lambda b, value, then: self._ask(b, value, True, then),
            held=self.held.pop(name, None),
            hold=lambda held: self.held.update({name: held}),
        )
        step = next(flow)
        try:
            while True:
                if isinstance(step, Pause):
                    self.pauses += 1
                    step = next(flow)
                    continue
                self._deliver(step, rounds.pop(0))
                lost = GaveUpError("TIMEOUT", "nobody answered")
                step = next(flow) if step.satisfied else flow.throw(lost)
        except StopIteration:
            return change

    def _ask(self, ballot: Tag, value: bytes | None, accepts: bool, then: Tag = NO_TAG) -> Ask:
        ask = Ask(Query, ("A", "B", "C"), 2, ballot, value, then=then)
        ask.patient = accepts  # tells the two kinds apart here
        self.accepts += accepts
        return ask

    def _deliver(self, ask: Ask, reached: str) -> None:
        for name in reached:
            slot = self.slots[name.upper()]
            new = accept(slot, ask.tag, ask.value, ask.then) if ask.patient else prepare(slot, ask.tag)
            self.slots[name.upper()] = new or slot
            if name.islower():
                continue
            if new is None:
                ask.refuse(name, SimpleNamespace(ballot=slot.floor))
            else:
                ask.answer(name, SimpleNamespace(tag=slot.accepted, value=slot.value))


def add(by: int) -> object:
    return lambda state: (str(int(state.value or 0) + by).encode(), int(state.value or 0) + by)


def put(value: bytes) -> object:
    return lambda state: (value, 0)


def look(_: Envelope) -> object:
    return KEEP


def request(number: int, effect: object, who: bytes = b"me") -> Request:
    return Request(Rid(who, number), effect)  # type: ignore[arg-type]


def test_a_change_is_chosen_by_a_majority_and_met_by_the_next() -> None:
    three = Majority()
    assert three.run("p", request(1, add(5)), ["AB", "AB"]).result == 5
    found = three.run("q", request(1, add(2), b"you"), ["BC", "BC"])
    assert (found.result, found.version) == (7, 2)
    assert found.before is not None
    assert found.before.value == b"5"


def test_what_changes_nothing_is_accepted_unless_all_promises_agree() -> None:
    three = Majority()
    with pytest.raises(GaveUpError):
        three.run("p", request(1, put(b"x")), ["AB", "a"])  # reaches A alone
    sent = three.accepts
    assert three.run("q", request(1, look, b"you"), ["AB", "AB"]).state.value == b"x"
    assert three.accepts == sent + 1
    assert three.run("r", request(1, look, b"us"), ["BC", "BC"]).state.value == b"x"
    assert three.run("s", request(1, look, b"we"), ["BC"]).state.value == b"x"  # both hold it: one round
    assert three.accepts == sent + 2


def test_the_third_change_in_a_row_is_one_round_until_another_node_comes() -> None:
    three = Majority()
    three.run("p", request(1, add(1)), ["AB", "AB"])
    three.run("p", request(2, add(1)), ["AB", "AB"])
    assert three.run("p", request(3, add(1)), ["AB"]).result == 3
    assert three.run("p", request(4, look), ["AC"]).state.value == b"3"  # accepted anew, at C too
    other = three.run("q", request(1, add(10), b"you"), ["BC", "BC"])
    assert other.result == 13
    assert three.run("p", request(5, add(1)), ["ABC", "AB", "AB"]).result == 14  # B and C refuse
    assert three.pauses == 1


def test_a_promise_in_hand_is_used_once() -> None:
    three = Majority()
    for number in (1, 2):
        three.run("p", request(number, add(1)), ["AB", "AB"])
    with pytest.raises(GaveUpError):
        three.run("p", request(3, add(1)), ["a"])  # reaches A alone
    assert three.held == {}


def test_no_is_answered_only_when_an_earlier_accept_cannot_be_met_any_more() -> None:
    three = Majority()
    with pytest.raises(GaveUpError):
        three.run("q", request(1, put(b"7"), b"you"), ["AB", "b"])  # reaches B alone
    change = request(1, lambda state: (b"5", 0) if state.value == b"7" else KEEP)
    flow = propose(
        change, Ballots("p", 1, random.Random(1), lambda: 9), lambda b: three._ask(b, None, False),
        lambda b, v, then: three._ask(b, v, True, then),
    )  # fmt: skip
    three._deliver(next(flow), "AB")
    accepting = next(flow)
    for name in "AC":
        three.slots[name] = prepare(three.slots[name], Tag(20, "z", 1)) or three.slots[name]
    three._deliver(accepting, "ABC")  # B takes it, the others do not
    assert isinstance(flow.throw(GaveUpError("NOQUORUM", "nacks")), Pause)
    three._deliver(next(flow), "AC")  # who know of nothing: the condition is false
    three._deliver(next(flow), "AC")  # and that is accepted
    with pytest.raises(StopIteration):
        next(flow)
    assert not change.took_effect
    three.now = 30
    assert three.run("r", request(1, look, b"us"), ["AB", "AB"]).state.value is None  # B's 5 is overtaken


def test_an_accept_whose_answers_were_lost_is_recognised() -> None:
    three = Majority()
    change = request(1, add(1))
    blocker = Tag(50, "z", 1)

    def interfere(reached: str) -> None:
        for name in reached:
            three.slots[name] = prepare(three.slots[name], blocker) or three.slots[name]

    flow = propose(
        change, Ballots("p", 1, random.Random(1)), lambda b: three._ask(b, None, False), lambda b, v, then: three._ask(b, v, True, then)
    )  # fmt: skip
    asked = next(flow)
    assert isinstance(asked, Ask)
    three._deliver(asked, "AB")
    asked = next(flow)
    assert isinstance(asked, Ask)
    three._deliver(asked, "a")  # A takes it and nobody hears of it
    interfere("BC")
    three._deliver(asked, "BC")  # two nacks: no majority
    assert asked.hopeless
    assert isinstance(flow.throw(GaveUpError("NOQUORUM", "")), Pause)
    asked = next(flow)
    assert isinstance(asked, Ask)
    assert asked.tag > blocker
    three._deliver(asked, "AB")
    asked = next(flow)
    assert isinstance(asked, Ask)
    three._deliver(asked, "AB")
    with pytest.raises(StopIteration):
        next(flow)
    assert (change.result, change.version) == (1, 1)
    assert opened(three.slots["B"].value).value == b"1"  # once, not twice


def test_a_nack_teaches_the_ballot_to_beat() -> None:
    three = Majority()
    for name in "ABC":
        three.slots[name] = Slot(Tag(9, "z", 1))
    change = three.run("p", request(1, put(b"x")), ["ABC", "AB", "AB"])
    assert change.took_effect
    assert three.pauses == 1
    assert three.slots["A"].accepted == Tag(10, "p", 1)


def test_a_request_that_is_tried_again_takes_effect_once() -> None:
    three = Majority()
    three.run("p", request(4, add(5), b"alice"), ["AB", "AB"])
    three.run("p", request(1, add(100), b"bob"), ["AB", "AB"])
    again = three.run("q", request(4, add(5), b"alice"), ["BC", "BC"])
    assert (again.took_effect, again.result, again.version) == (True, 5, 1)
    assert again.state.value == b"105"
    with pytest.raises(GaveUpError, match="later change") as gave_up:
        three.run("q", request(3, add(5), b"alice"), ["BC"])
    assert gave_up.value.code == "FORGOTTEN"


def test_what_is_forgotten_is_unknown_and_never_no() -> None:
    mine = request(1, put(b"x"))
    mine.apply(None)
    state = EMPTY
    for number in range(DONE_MAX):
        state = state.changed(Rid(b"%d" % number, 1), b"v", 0)
    assert mine.settled(sealed(state)) is False  # all 64 changes are remembered, and none is mine
    state = state.changed(Rid(b"one more", 1), b"v", 0)
    assert state.floor == 1
    assert len(state.done) == DONE_MAX
    assert mine.settled(sealed(state)) is None


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(-3, 3)), max_size=10))
def test_an_envelope_survives_its_bytes_and_remembers_the_last_of_each(
    changes: list[tuple[bytes, int]],
) -> None:
    state = EMPTY
    for number, (who, result) in enumerate(changes):
        state = state.changed(Rid(who, number), b"v%d" % number, result)
    assert opened(sealed(state)) == state
    assert state.version == len(changes)
    last = {who: (number, result) for number, (who, result) in enumerate(changes)}
    assert {done.who: (done.number, done.result) for done in state.done} == last
    assert [done.version for done in state.done] == sorted(done.version for done in state.done)
