"""The tape: every random draw of a run, by the stream it is drawn from. Streams as the seed says, as a plan changes them, recorded, played again.

    seed ──► "generator"  0.13 0.77 0.42 …      what clients do
             "nemesis"    0.91 0.05 …           when and where faults come
             "net"        0.33 0.58 0.20 …      delays, losses, doubles; with streams = "links" one for each link and kind of message
             "node/n1"    0.64 …                what the node draws itself, and how much of its disk a crash leaves
             "net/priority/…"  "trouble/3"  "damage/…"

A stream is a `random.Random`, of which all draws come down to `random` and `getrandbits`. Recording and playing cost a call in Python for each draw, so a
run that is not asked for its tape has the plain generators of C. With `PlayedStreams` the seed is not looked at: the run comes from the tape alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from harness.plan_tape import ALL, HALF, Cut, Cuts
from harness.plan_toml import PlanError

Streams = Callable[[str], random.Random]
"""A part's name -> the stream it draws from."""
Draw = float | tuple[int, int]
"""What `random` gave; or what `getrandbits` gave, and of how many bits."""


class TapeError(PlanError):
    """A tape that cannot be read, is damaged, or does not fit the run; the message names the stream and the place."""


def stream(seed: int, name: str) -> random.Random:
    """The random stream of one part of a run: the same for the same seed and name, in every process."""
    return random.Random(f"{seed}/{name}")


def streams_of(seed: int, tape: Cuts) -> Streams:
    """What the plan's seed and its [tape] say."""
    return partial(_changed, seed, tape) if tape else partial(stream, seed)


def _changed(seed: int, tape: Cuts, name: str) -> random.Random:
    own = tape.get(name, ())
    cuts = sorted((*tape.get(ALL, ()), *own), key=lambda cut: cut.at)
    return CutStream(seed, name, cuts) if cuts else stream(seed, name)


class CutStream(random.Random):
    """A stream that departs from its seed at some draws. Of two changes at the same draw the later in the list stands."""

    def __init__(self, seed: int, name: str, cuts: Sequence[Cut]) -> None:
        super().__init__(0)
        self._name = name
        self._source: random.Random | None = stream(seed, name)  # None: halves
        self._cuts = iter(cuts)
        self._at = 0
        self._next = next(self._cuts, None)

    def _pinned(self) -> float | None:
        """Go on by one draw: its value if it is given."""
        at, pinned = self._at, None
        self._at = at + 1
        while self._next is not None and self._next.at <= at:
            cut, self._next = self._next, next(self._cuts, None)
            if cut.draw is not None:
                pinned = cut.draw
            else:
                pinned = None
                self._source = None if cut.seed is None else stream(cut.seed, self._name)
        return pinned

    def random(self) -> float:
        """The next number, from 0 to below 1."""
        pinned = self._pinned()
        if self._source is None:
            return HALF if pinned is None else pinned
        drawn = self._source.random()
        return drawn if pinned is None else pinned

    def getrandbits(self, k: int) -> int:
        """The next bits. A half is 0 here, the first of several: a constant that is too large would be drawn for ever."""
        pinned = self._pinned()
        drawn = 0 if self._source is None else self._source.getrandbits(k)
        return drawn if pinned is None else int(pinned * (1 << k))


def as_share(drawn: Draw) -> float:
    """The draw as a plan's [tape] has it: a number from 0 to below 1 that gives the same again."""
    return drawn if isinstance(drawn, float) else (drawn[0] + HALF) / (1 << drawn[1])


class RecordedStreams:
    """Streams, and all that was drawn from them. One that is begun anew (`trouble/3`, of a link that flaps) is recorded as `trouble/3#2`."""

    def __init__(self, source: Streams) -> None:
        self.draws: dict[str, list[Draw]] = {}
        self._source = source
        self._begun = Counter[str]()

    def __call__(self, name: str) -> random.Random:
        """The stream of this name."""
        return _Recorded(self._source(name), self.draws.setdefault(_take(self._begun, name), []))


class PlayedStreams:
    """The streams of a tape. Where it does not fit, the run goes on with halves: an error raised within a node might be caught there. `finish` tells."""

    def __init__(self, draws: Mapping[str, Sequence[Draw]]) -> None:
        self.problem: TapeError | None = None  # the first
        self._draws = draws
        self._begun = Counter[str]()
        self._played: dict[str, _Played] = {}

    def __call__(self, name: str) -> random.Random:
        """The stream of this name."""
        take = _take(self._begun, name)
        if take not in self._draws:
            self.fail(f"the tape has no stream {take!r}, and the run draws from one")
        self._played[take] = _Played(take, self._draws.get(take, ()), self)
        return self._played[take]

    def fail(self, what: str) -> None:
        """The tape does not fit."""
        if self.problem is None:
            self.problem = TapeError(f"{what}: the plan or the code was changed since")

    def finish(self) -> None:
        """Once the run is over: raises TapeError if the tape did not fit, or was not drawn to its end."""
        for name, draws in self._draws.items():
            left = self._played[name].left if name in self._played else len(draws)
            if left or name not in self._played:
                self.fail(f"stream {name!r} of the tape has {left} draws that the run never made")
        if self.problem is not None:
            raise self.problem


def _take(begun: Counter[str], name: str) -> str:
    begun[name] += 1
    return name if begun[name] == 1 else f"{name}#{begun[name]}"


class _Recorded(random.Random):
    def __init__(self, source: random.Random, kept: list[Draw]) -> None:
        super().__init__(0)
        self._source, self._keep = source, kept.append

    def random(self) -> float:
        drawn = self._source.random()
        self._keep(drawn)
        return drawn

    def getrandbits(self, k: int) -> int:
        drawn = self._source.getrandbits(k)
        self._keep((drawn, k))
        return drawn


class _Played(random.Random):
    def __init__(self, name: str, draws: Sequence[Draw], whole: PlayedStreams) -> None:
        super().__init__(0)
        self._name, self._draws, self._whole = name, draws, whole
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._draws) - self._at

    def random(self) -> float:
        drawn = self._drawn("a number from 0 to below 1")
        return drawn if isinstance(drawn, float) else HALF

    def getrandbits(self, k: int) -> int:
        drawn = self._drawn(f"{k} bits")
        return drawn[0] if isinstance(drawn, tuple) else 0

    def _drawn(self, asked: str) -> Draw | None:
        """The next draw; None if it is not what is asked for, now or before."""
        if self._whole.problem is not None:
            return None
        if not self.left:
            self._whole.fail(f"stream {self._name!r} of the tape ends after {len(self._draws)} draws, and the run draws another")  # fmt: skip
            return None
        drawn = self._draws[self._at]
        self._at += 1
        there = "a number from 0 to below 1" if isinstance(drawn, float) else f"{drawn[1]} bits"
        if there != asked:
            self._whole.fail(f"draw {self._at} of stream {self._name!r} is {there} on the tape, and the run draws {asked}")  # fmt: skip
            return None
        return drawn
