"""set-full: add elements and read the whole set all the time; what became of each element?

    add 7  |---| known                 known         its add returned, or a read that shows it did; whichever is first
    reads        |-7-| |- -| |-7-|     last-present  the call of the latest read that shows it
                         ^     ^       last-absent   the call of the latest read that does not
                    absent  present

    stable      a read shows it that had not returned when last-absent was called         stale   stable, and last-absent is after known
    lost        last-absent is after known, and after every read that shows it
    never-read  the rest

From: Jepsen, `checker/set-full` (jepsen/src/jepsen/checker.clj); the names in `stats` are its own, latencies in ms. A stable latency is the time
from known to the last read without it, a lost latency that to the last read with it. Mended: duplicates are found (there a frequency is compared
with `(< v 1)`, which never holds); elements nobody added, or whose add failed, are violations; what happens at one instant is concurrent and not
stale; an element costs the reads that show it, not all reads.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from checkers.bespoke.calls import Call, items, named, order, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.bespoke.origins import Origins
from checkers.history import History
from checkers.stats import quantile
from checkers.verdict import Result

WORST = 8


def check_set_full(history: History) -> Result:
    """INVALID for lost, unexpected and duplicate elements; stale ones are counted."""
    return judged("set-full", history, ("add", "read"), lambda calls: _judge(calls, linearizable=False))


def check_set_full_linearizable(history: History) -> Result:
    """The same, and a stale element is a violation too: Jepsen's `{:linearizable? true}`."""
    return judged(
        "set-full-linearizable", history, ("add", "read"), lambda calls: _judge(calls, linearizable=True)
    )


@dataclass(slots=True)
class _Element:
    """What is known of one element. `known` is what made it known and when."""

    value: Hashable
    known: Call | None = None
    present: Call | None = None
    absent: Call | None = None
    shown_until: float = -math.inf  # the return of the read that shows it and returned last

    @property
    def known_at(self) -> float:
        return math.inf if self.known is None else self.known.ret

    @property
    def word(self) -> str:
        """stable, lost or never-read."""
        if self.absent is None or self.shown_until >= self.absent.call:
            return "stable" if self.present is not None else "never-read"
        return "lost" if self.known_at < self.absent.call else "never-read"

    @property
    def latency_ms(self) -> float:
        """Stable: from known to the last read without it. Lost: from known to the last read with it."""
        last = self.absent if self.word == "stable" else self.present
        return 0.0 if last is None or last.call <= self.known_at else (last.call + 1 - self.known_at) / 1e6


def _judge(calls: list[Call], *, linearizable: bool) -> Outcome:
    adds = Origins.of(named(calls, "add"))
    reads = [read for read in named(calls, "read") if read.ok]
    shown_by: dict[Hashable, list[int]] = {value: [] for value in adds.calls}
    wrong: dict[Hashable, Finding] = {}
    twice: dict[Hashable, tuple[int, Call]] = {}
    for at, read in enumerate(reads):
        for value, count in Counter(map(token, items(read))).items():
            shown_by.setdefault(value, []).append(at)
            if value not in wrong and (found := adds.wrong(value, read)) is not None:
                wrong[value] = found
            if count > twice.get(value, (1, read))[0]:
                twice[value] = (count, read)
    elements = [
        _element(value, adds, reads, shown_by[value])
        for value in order(adds.calls)
        if any(add.possible for add in adds.calls[value])
    ]
    findings = [_lost(element) for element in elements if element.word == "lost"]
    findings += wrong.values()
    for value, (count, read) in twice.items():
        sentence = f"read #{read.index} returned {shown(plain(value))} {count} times"
        findings.append(Finding("duplicate-element", sentence, [read]))
    stale = [element for element in elements if element.word == "stable" and element.latency_ms > 0]
    if linearizable:
        findings += map(_stale, stale)
    stats = _stats(elements, stale, {value: count for value, (count, _) in twice.items()})
    untested = None
    if not stats["stable-count"]:
        untested = "no element was ever seen to stay, so nothing was tested; read during and after the adds"
    return Outcome(f"{stats['stable-count']} elements stayed once they were seen", findings, untested, stats)


def _element(value: Hashable, adds: Origins, reads: Sequence[Call], places: Sequence[int]) -> _Element:
    """One element from the places of the reads that show it, in order. Walks back over those at the end only."""
    proofs = [add for add in adds.calls[value] if add.ok] + [reads[at] for at in places]
    found = _Element(value, min(proofs, key=lambda call: call.ret, default=None))
    at, left = len(reads) - 1, len(places) - 1
    while left >= 0 and places[left] == at:
        at, left = at - 1, left - 1
    found.absent = reads[at] if at >= 0 else None
    found.present = reads[places[-1]] if places else None
    found.shown_until = max((reads[at].ret for at in places), default=-math.inf)
    return found


def _lost(element: _Element) -> Finding:
    core = [call for call in (element.known, element.present, element.absent) if call is not None]
    known, absent = core[0], core[-1]
    sentence = (
        f"{shown(plain(element.value))} was known by {known.f} #{known.index}, and read #{absent.index}, called later, "
        f"does not show it; no read called after that does"
    )
    return Finding("lost", sentence, core)


def _stale(element: _Element) -> Finding:
    known, absent, present = element.known, element.absent, element.present
    assert known is not None
    assert absent is not None
    assert present is not None
    sentence = (
        f"{shown(plain(element.value))} was known by {known.f} #{known.index}, and read #{absent.index}, called "
        f"{element.latency_ms:.3f} ms later, does not show it; later reads do"
    )
    return Finding("stale-read", sentence, [known, absent, present])


def _stats(
    elements: Sequence[_Element], stale: Sequence[_Element], twice: dict[Hashable, int]
) -> dict[str, Any]:
    by_word: dict[str, list[_Element]] = {"stable": [], "lost": [], "never-read": []}
    for element in elements:
        by_word[element.word].append(element)
    worst = sorted(stale, key=lambda element: -element.latency_ms)[:WORST]
    return {
        "attempt-count": len(elements),
        "stable-count": len(by_word["stable"]),
        "lost-count": len(by_word["lost"]),
        "lost": [plain(element.value) for element in by_word["lost"]],
        "never-read-count": len(by_word["never-read"]),
        "never-read": [plain(element.value) for element in by_word["never-read"]],
        "stale-count": len(stale),
        "stale": [plain(element.value) for element in stale],
        "worst-stale": [{"element": plain(one.value), "stable-latency": one.latency_ms} for one in worst],
        "duplicated-count": len(twice),
        "duplicated": [[plain(value), twice[value]] for value in order(twice)],
        "stable-latencies": _quantiles(by_word["stable"]),
        "lost-latencies": _quantiles(by_word["lost"]),
    }


def _quantiles(elements: Sequence[_Element]) -> dict[str, float]:
    """Jepsen's points of the distribution, in ms."""
    ordered = sorted(element.latency_ms for element in elements)
    return {str(share): quantile(ordered, share) for share in (0, 0.5, 0.95, 0.99, 1) if ordered}
