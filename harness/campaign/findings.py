r"""From the runs of all nights to what is told in the morning.

A finding is (claim, anomaly, configuration, pattern): runs that break the same claim of the same system in the same way, and whose cores have the same
pattern (`harness.campaign.shape`), are one. What exactly the cores come down to is kept beside, and does not part findings: one bug has five shapes in
a night. Its id is that of its family (claim, anomaly, configuration) and that of the pattern: `3419363c-d08c`. Whoever accepts a family accepts all in it.

    hits in the nights ──►  New        first seen tonight
                            Ongoing    seen tonight and before
                            Rare       not seen tonight, and so few clean runs since that it may well be there still
                            Resolved   so many clean runs since that, at the rate it had, it would have shown with 95 %:
                                       (1 - rate)^clean < 0.05, the rate being the lower end of its interval

References: Hanley & Lippman-Hand, JAMA 1983 (rule of three); `harness.intervals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil, log
from typing import Final

import msgspec

from harness.campaign.file import Accepted, Campaign, Item
from harness.campaign.ledger import Record
from harness.campaign.regime import regime
from harness.campaign.trends import Trend, by_night, trends
from harness.intervals import clean_bound, wilson
from harness.results import CLASSES, CRASH, INFRASTRUCTURE, OK, VIOLATION

NEW, ONGOING, RARE, RESOLVED = "new", "ongoing", "rare", "resolved"
Key = tuple[str, str, str, str]  # claim, anomaly, configuration, pattern
STATES: Final = (NEW, ONGOING, RARE, RESOLVED)
STATUS: Final = {"violation": 1, "crash": 255, "infrastructure": 255, "unknown": 2, "vacuous": 2, "ok": 0}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of it after the last night. `clean` counts the runs since it was last seen, of the items that ever showed it."""

    id: str
    claim: str
    anomaly: str
    configuration: str
    state: str
    items: tuple[str, ...]
    hits: Mapping[int, tuple[int, int]]  # night -> (runs that show it, runs of its items)
    pattern: str
    shapes: tuple[str, ...]  # that its cores come down to, the shortest first
    example: Record  # with the shortest core
    clean: int
    needed: int  # clean runs until it counts as resolved
    rate: tuple[float, float]
    tonight: bool  # is it seen tonight?
    accepted: Accepted | None

    @property
    def red(self) -> bool:
        """Does it make the night red?"""
        return self.tonight and self.accepted is None

    @property
    def title(self) -> str:
        """`stale-read against linearizable`."""
        return f"{self.anomaly} against {self.claim}"


def finding_id(claim: str, anomaly: str, configuration: str, pattern: str) -> str:
    """The same for ever: eight hex digits of the family and four of the pattern, which a violation without a core has not."""
    family = _hex("\0".join((claim, anomaly, configuration)), 8)
    return f"{family}-{_hex(pattern, 4)}" if pattern else family


def family_of(name: str) -> str:
    """Of an id, or of a family."""
    return name.partition("-")[0]


def acceptance(name: str, accepted: Sequence[Accepted], today: str) -> Accepted | None:
    """Who answers for a finding today: by its own id, or by its family's."""
    valid = {each.finding: each for each in reversed(accepted) if today <= each.until}
    return valid.get(name, valid.get(family_of(name)))


def _hex(text: str, digits: int) -> str:
    return sha256(text.encode()).hexdigest()[:digits]


def findings(records: Iterable[Record], accepted: Sequence[Accepted], today: str) -> list[Finding]:
    """All findings after the last night that has a run; New first, then by title."""
    runs = list(records)
    tonight = max((run.night for run in runs), default=0)
    shown: dict[Key, list[Record]] = {}
    for run in runs:
        for claim, anomaly, pattern in run.broken:
            known = pattern if run.shapes else ""  # ledgers of before have no patterns
            shown.setdefault((claim, anomaly, run.configuration, known), []).append(run)
    made = [_finding(key, hits, runs, tonight, accepted, today) for key, hits in shown.items()]
    return sorted(
        made, key=lambda each: (STATES.index(each.state), each.accepted is not None, each.title, each.id)
    )


def _finding(
    key: Key, hits: Sequence[Record], runs: Sequence[Record], tonight: int, accepted: Sequence[Accepted], today: str
) -> Finding:  # fmt: skip
    items = tuple(dict.fromkeys(hit.item for hit in hits))
    of_items = [run for run in runs if run.item in items and run.configuration == key[2]]
    last = max(hits, key=lambda hit: (hit.night, hit.run))  # items are made round by round
    nights = {
        night: (
            sum(hit.night == night for hit in hits),
            sum(run.count for run in of_items if run.night == night),
        )
        for night in sorted({run.night for run in of_items})
    }
    clean = sum(
        run.count for run in of_items if run.outcome == OK and ((run.night, run.run) > (last.night, last.run))
    )
    shows = regime([nights[night] for night in nights if night <= last.night])
    rate = wilson(*shows.now)
    needed = runs_to_resolve(rate[0])
    name = finding_id(*key)
    return Finding(
        id=name,
        claim=key[0],
        anomaly=key[1],
        configuration=key[2],
        state=_state(hits, tonight, shows.rarer, clean >= needed),
        items=items,
        hits=nights,
        pattern=key[3],
        shapes=_shapes(key, hits),
        example=min((_of(key, hit) for hit in hits), key=lambda hit: (hit.core_ops or 10**9, hit.night, hit.seed)),
        clean=clean,
        needed=needed,
        rate=rate,
        tonight=last.night == tonight,
        accepted=acceptance(name, accepted, today),
    )  # fmt: skip


def _of(key: Key, hit: Record) -> Record:
    """The run as it is told for this finding: it may have broken other claims too."""
    place = next((place for place, broken in enumerate(hit.broken) if broken == (key[0], key[1], key[3])), 0)
    if not hit.told:
        return hit
    sentence, drawing, core_ops = hit.told[place]
    return msgspec.structs.replace(hit, sentence=sentence, drawing=drawing, core_ops=core_ops)


def _shapes(key: Key, hits: Sequence[Record]) -> tuple[str, ...]:
    this = key[0], key[1], key[3]
    found = {
        shape for hit in hits for broken, shape in zip(hit.broken, hit.shapes, strict=False) if broken == this
    }
    return tuple(sorted(found, key=lambda shape: (len(shape), shape)))


def _state(hits: Sequence[Record], tonight: int, rarer: bool, enough: bool) -> str:
    if hits[-1].night < tonight:
        return RESOLVED if enough else RARE
    if hits[0].night == tonight:
        return NEW
    return RARE if rarer else ONGOING


def runs_to_resolve(rate: float) -> int:
    """Clean runs after which a finding of this rate would have shown with 95 %."""
    if not 0 < rate < 1:
        return 1
    return max(1, ceil(log(0.05) / log(1 - rate)))


@dataclass(frozen=True, slots=True)
class Summary:
    """One item tonight: how many runs came to what, and the rate of violations that is still possible if none did."""

    item: str
    outcomes: Mapping[str, int]
    bit: Mapping[str, int]
    ops: int
    cpu_s: float
    clean_runs: int  # of all nights since its last violation
    bound: float
    p99_ms: tuple[float, ...]  # the median of each night, in order
    trends: tuple[Trend, ...]
    world: str = "sim"
    tried_again: int = 0  # attempts tonight that ended in trouble, of runs that then came to something


def summaries(campaign: Campaign, records: Iterable[Record], night: int) -> list[Summary]:
    """One row for each item of the file."""
    runs = list(records)
    return [_summary(item, [run for run in runs if run.item == item.name], night) for item in campaign.items]


def _summary(item: Item, runs: Sequence[Record], night: int) -> Summary:
    tonight = [run for run in runs if run.night == night]
    clean = 0
    for run in runs:
        clean = 0 if run.outcome in (VIOLATION, CRASH) else clean + run.count * (run.outcome == OK)
    bit: dict[str, int] = {}
    for run in tonight:
        for kind, count in run.faults.items():
            bit[kind] = bit.get(kind, 0) + count
    return Summary(
        item=item.name,
        outcomes={each: count for each in CLASSES if (count := sum(run.outcome == each for run in tonight))},
        bit=bit,
        ops=sum(run.ops for run in tonight),
        cpu_s=round(sum(run.cpu_s for run in tonight), 2),
        clean_runs=clean,
        bound=clean_bound(clean),
        p99_ms=tuple(by_night(runs, lambda run: run.p99_ms).values()),
        trends=trends(runs),
        world=item.world,
        tried_again=sum(run.tries - 1 for run in tonight if not retried(run.outcome)),
    )


def verdict_of_night(
    found: Sequence[Finding], records: Sequence[Record], missing: int
) -> tuple[str, int, str]:
    """(class, exit status, why): violation > crash > infrastructure > unknown > vacuous > ok. What is accepted does not count."""
    if red := [each for each in found if each.red]:
        return VIOLATION, STATUS[VIOLATION], f"{red[0].title} ({red[0].configuration}, {red[0].state})"
    for outcome in CLASSES[1:-1]:
        guilty = [run for run in records if run.outcome == outcome]
        if guilty:
            return outcome, STATUS[outcome], f"{len(guilty)} runs, the first: {guilty[0].reason}"
    if missing or not records:
        return "unknown", STATUS["unknown"], f"{missing} runs are missing" if missing else "nothing was run"
    return OK, 0, f"{len(records)} runs"


def retried(outcome: str) -> bool:
    """Is a run that came to this made once more? Only what the machine may be to blame for."""
    return outcome == INFRASTRUCTURE
