"""R + W > N is not linearizability: the shortest interleaving for each protocol that lacks a rule, every one for those that do not.

`pytest -s tests/explorers` prints the table. QUORATE_SEEDS (set by `make nightly`) adds the larger exhaustive searches.
"""

from __future__ import annotations

import os

import pytest

from kvstore.config import bucket
from tests.explorers.monitor import Call, Monitor, Regular
from tests.explorers.quorums import Setting, explore

QUORUM = bucket("b", "quorum", read_repair="none")
MONOTONIC = bucket("b", "monotonic")
REGISTER = bucket("b", "register")
ONE_WRITER = ((1,), ("r", "r"))
NIGHTLY = "QUORATE_SEEDS" in os.environ

REGULAR = Regular()  # what mode quorum promises, if clocks agree
BROKEN = {
    "R + W = N is not regular": Setting(
        bucket("b", "eventual", w=2, read_repair="none"), ((1,), ("r",)), promise=REGULAR
    ),
    "quorum with skewed clocks is not regular": Setting(QUORUM, ((1,), (2, "r")), (10, 5), promise=REGULAR),
    "S1 one phase, no repair": Setting(QUORUM, ONE_WRITER, (10, 0)),
    "S2b W=3 R=1": Setting(bucket("b", "quorum", r=1, w=3, read_repair="none"), ONE_WRITER, (10, 0)),
    "S3 blocking repair, skewed clocks": Setting(MONOTONIC, ((1,), (2, "r")), (10, 5)),
    "S7 ABD without the write-back": Setting(
        REGISTER, ONE_WRITER, (10, 0), frozenset(["register.read_no_writeback"])
    ),
}
SOUND = {
    "quorum is regular": Setting(QUORUM, ((1, 2), ("r",)), promise=REGULAR),
    "quorum with two writers is regular": Setting(QUORUM, ((1,), (2, "r")), promise=REGULAR),
    "S2 blocking repair, one writer": Setting(MONOTONIC, ONE_WRITER, (10, 0)),
    "S3b blocking repair, perfect clocks": Setting(MONOTONIC, ((1,), (2, "r"))),
    "S6 ABD": Setting(REGISTER, ONE_WRITER, (10, 0)),
}
BROKEN_NIGHTLY = {
    "S5 one value under two tags": Setting(
        REGISTER, ((1,), (2,), ("r", "r")), (10, 5, 0), frozenset(["register.optimistic_retag"])
    ),
}
SOUND_NIGHTLY = {
    "S3b blocking repair, perfect clocks, a reader": Setting(MONOTONIC, ((1,), (2,), ("r",))),
    "S6 ABD, two writers with skewed clocks": Setting(REGISTER, ((1,), (2,), ("r",)), (10, 5, 0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BROKEN, *(BROKEN_NIGHTLY if NIGHTLY else ())])
def test_without_the_rule_there_is_a_violation(name: str) -> None:
    states, violation = explore({**BROKEN, **BROKEN_NIGHTLY}[name])
    assert violation is not None
    print(f"\n{name}: violated after {states:,} states\n    " + "\n    ".join(violation))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SOUND, *(SOUND_NIGHTLY if NIGHTLY else ())])
def test_with_it_no_interleaving_is_one(name: str) -> None:
    states, violation = explore({**SOUND, **SOUND_NIGHTLY}[name])
    print(f"\n{name}: clean, {states:,} states")
    assert violation is None


def test_the_monitor_knows_what_is_regular() -> None:
    """Old after new is, while the write goes on; old after its end is not, nor is what nobody writes."""
    start = Regular().begin(Call(1, "write", 7))
    both = start.begin(Call(2, "read")).end(2, 7).begin(Call(3, "read")).end(3, None)
    assert not both.violated
    assert start.begin(Call(2, "read")).end(2, 8).violated
    late = start.begin(Call(2, "read")).end(1, None)
    assert not late.end(2, None).violated  # it began before
    after = late.end(2, 7).begin(Call(3, "read"))
    assert after.end(3, None).violated
    assert not after.end(3, 7).violated
    beside = after.begin(Call(4, "write", 9)).end(4, None)
    assert not beside.end(3, 7).violated
    assert beside.end(3, 9).begin(Call(5, "read")).end(5, 7).violated


def test_the_monitor_knows_right_from_wrong() -> None:
    start = Monitor().begin(Call(1, "write", 7))
    old = start.begin(Call(2, "read"))
    assert not old.end(2, None).violated
    assert not old.end(2, 7).violated
    assert old.end(2, 8).violated
    seen = old.end(2, 7).begin(Call(3, "read"))
    assert seen.end(3, None).violated  # the new value, then the old
    assert not seen.end(3, 7).violated
    swap = start.end(1, None).begin(Call(4, "cas", (7, 9)))
    assert not swap.end(4, True).violated
    assert swap.end(4, False).violated
    assert swap.end(4, True).begin(Call(5, "read")).end(5, 7).violated
    assert start.never(1).begin(Call(6, "read")).end(6, 7).violated
