"""Where a call goes and when it is tried again, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore import client_calls as calls
from kvstore import errors
from kvstore.client_core import (
    AVOID_S,
    TRANSIENT,
    Address,
    Attempts,
    CallError,
    ConditionFailed,
    DefiniteError,
    Lanes,
    MaybeAppliedError,
    Routes,
)
from kvstore.envelope import DONE_MAX
from kvstore.ring import slot_of

A, B, C = (Address(f"10.0.0.{n}", 7001) for n in (1, 2, 3))


def rows(*replicas: Address) -> list[object]:
    return [[0, 16383, *([each.host.encode(), each.port, b"id"] for each in replicas)]]


def attempts(routes: Routes, *, writes: bool = True, rid: bool = False, until_s: float = 10.0) -> Attempts:
    return Attempts(routes, b"k", writes=writes, rid=rid, until_s=until_s, random=lambda: 0.0)


def failed(tries: Attempts, code: str, definite: bool, now_s: float) -> CallError | None:
    """What a failure ends a call with, None if it goes on."""
    try:
        tries.failed(code, "", definite, now_s)
    except CallError as error:
        return error
    return None


def test_a_call_goes_to_the_first_replica_of_its_key() -> None:
    routes = Routes([A])
    edge = slot_of(b"k")
    routes.learn([[0, edge - 1, [b"10.0.0.1", 7001, b""]], [edge, 16383, *rows(C, B)[0][2:]]], 0.0)  # type: ignore[index]
    assert routes.order(b"k", 0.0) == [C, B, A]
    assert set(routes.order(None, 0.0)) == {A, B, C}


def test_a_node_that_failed_is_asked_last_for_a_while() -> None:
    routes = Routes([A])
    routes.learn(rows(A, B, C), 0.0)
    routes.failed(A, 1.0)
    routes.failed(B, 2.0)
    assert routes.order(b"k", 2.1) == [C, A, B]
    assert routes.order(b"k", 2.1 + AVOID_S) == [A, B, C]
    routes.failed(A, 9.0)
    routes.answered(A)
    assert routes.order(b"k", 9.1) == [A, B, C]


def test_every_node_is_tried_before_one_is_tried_again() -> None:
    routes = Routes([A])
    routes.learn(rows(A, B, C), 0.0)
    tries = attempts(routes)
    seen = []
    for at in range(6):
        seen.append(tries.where(at / 10))
        tries.failed("LOST", "refused", True, at / 10)
    assert set(seen[:3]) == set(seen[3:]) == {A, B, C}


@pytest.mark.parametrize(("writes", "rid"), [(False, False), (True, True)])
def test_what_can_be_repeated_is_tried_again_in_doubt(writes: bool, rid: bool) -> None:
    tries = attempts(Routes([A, B]), writes=writes, rid=rid)
    tries.where(0.0)
    assert tries.failed("LOST", "closed", False, 0.0) == 0.0
    tries.where(0.0)
    assert tries.failed("TIMEOUT", "1 of 2", False, 1.0) > 0
    tries.where(1.1)
    with pytest.raises(MaybeAppliedError if writes else DefiniteError) as late:
        tries.failed("TIMEOUT", "1 of 2", False, 9.999)
    assert late.value.tries == 3
    assert "3 tries" in str(late.value)


def test_a_write_without_an_id_is_not_repeated_in_doubt() -> None:
    tries = attempts(Routes([A, B]))
    tries.where(0.0)
    with pytest.raises(MaybeAppliedError):
        tries.failed("TIMEOUT", "1 of 2", False, 0.0)


@pytest.mark.parametrize(("asked", "definite"), [(6, True), (7, False), (9, False), (None, False)])
def test_a_false_condition_is_definite_after_doubt_only_if_it_stays_false(
    asked: int | None, definite: bool
) -> None:
    """The first try may still be in progress elsewhere; a key that is deleted again is absent again, and versions grow."""
    never = calls.cas("k", "v", asked).never
    for doubt in (False, True):
        tries = Attempts(
            Routes([A, B]), b"k", writes=True, rid=True, never=never, until_s=10.0, random=lambda: 0.0
        )
        if doubt:
            tries.where(0.0)
            tries.failed("LOST", "closed", False, 0.0)
        tries.where(0.0)
        with pytest.raises(CallError) as told:
            tries.failed("CASFAIL", "the key is at version 7", True, 0.1)
        if definite or not doubt:
            assert isinstance(told.value, ConditionFailed)
            assert told.value.version == 7
        else:
            assert isinstance(told.value, MaybeAppliedError)


@pytest.mark.parametrize(("told", "definite"), [(7 + DONE_MAX, True), (8 + DONE_MAX, False)])
def test_a_false_condition_proves_nothing_of_a_try_that_the_key_may_have_forgotten(
    told: int, definite: bool
) -> None:
    """An earlier try may have made version 8, and 64 others a change each since: then the key does not know it any more."""
    assert calls.cas("k", "v", 7).never(f"the key is at version {told}") is definite


def test_what_is_forgotten_is_not_tried_again() -> None:
    """A request id that a key no longer remembers would make its change twice."""
    tries = attempts(Routes([A, B]), rid=True)
    tries.where(0.0)
    with pytest.raises(MaybeAppliedError):
        tries.failed(errors.FORGOTTEN, "too many changes ago to tell", False, 0.0)


@given(
    st.lists(st.sampled_from([*errors.TABLE, "LOST"]), min_size=1, max_size=12), st.booleans(), st.booleans()
)
def test_definite_is_the_sum_of_all_tries(codes: list[str], writes: bool, rid: bool) -> None:
    tries, doubt = attempts(Routes([A, B, C]), writes=writes, rid=rid), False
    for at, code in enumerate(codes):
        tries.where(at)
        definite = errors.definite(code)
        doubt = doubt or (writes and not definite)
        error = failed(tries, code, definite, float(at))
        if error is not None:
            assert isinstance(error, DefiniteError) is (not doubt)
            return
        assert code in TRANSIENT
        assert rid or not doubt


def test_a_lane_has_one_request_and_the_last_one_used_is_used_next() -> None:
    lanes = Lanes(b"me")
    first, second = lanes.take(), lanes.take()
    assert [first.next(), second.next(), first.next()] == [b"me-1:1", b"me-2:1", b"me-1:2"]
    lanes.give_back(first)
    assert lanes.take() is first
    assert lanes.take().next() == b"me-3:1"  # the second was given up: its number is never passed by another


def test_calls_are_words_and_know_how_to_read_answers() -> None:
    seen = calls.read("k").read([b"values", [b"v"], b"tag", b"12"])
    assert (seen.values, seen.version, seen.tag) == ((b"v",), 12, "12")
    assert calls.read("k").read([b"values", [], b"ctx", b"c"]).context == b"c"
    assert calls.cas("k", "v", None).words == (b"KV.CAS", b"k", b"ABSENT", b"v")
    assert calls.put("k", "v", context=b"c", level="all").words == (
        b"KV.PUT",
        b"k",
        b"v",
        b"CTX",
        b"c",
        b"CL",
        b"all",
    )
    assert calls.map_get("k").read([b"s:tags", [b"a"]]) == {"s:tags": (b"a",)}
    assert calls.command("PING").key is None
