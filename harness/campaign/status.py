r"""Between two mornings: where the nights stand, one finding by itself, and whether its example can be seen again.

    ledger ─► Status     the last night that ended, the one that goes on, what is open
    finding ─► told      night after night, how often, what it takes to call it resolved
    finding, its example made again ─► Replayed

                         shows the finding      shows it not
        same bytes       came back              the checkers judge otherwise than they did
        other bytes      came back, otherwise   gone, for this seed

On hosts no run is the same again: there the example is made anew, and all that can be told is whether it breaks the claim.

That the bytes are the same says that quorate, the store and the plan still do what they did; other bytes alone say nothing of the finding. A seed that
shows a bug no more is not a bug that is mended: the next nights tell that (`harness.campaign.findings`).

Reference: O'Callahan et al., "Engineering Record and Replay for Deployability", USENIX ATC 2017 (what a replay is good for).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.campaign.file import Campaign
from harness.campaign.findings import (
    NEW,
    ONGOING,
    RARE,
    RESOLVED,
    STATUS,
    Finding,
    family_of,
    finding_id,
    findings,
    verdict_of_night,
)
from harness.campaign.ledger import Night, Record
from harness.campaign.morning import finding_json
from harness.hosted import HOSTS, SIM
from harness.plan import PlanError, nearest
from harness.report import words
from harness.results import CLASSES, CRASH, INFRASTRUCTURE
from harness.ways import Ways

OPEN = (NEW, ONGOING, RARE)


@dataclass(frozen=True, slots=True)
class Status:
    """What the ledger knows. `last` ended; `going` has begun and not ended: it goes on now, or was cut off."""

    campaign: Campaign
    nights: int
    last: tuple[Night, Sequence[Record], str, str] | None  # its runs, its outcome and why
    going: tuple[Night, Sequence[Record]] | None
    findings: Sequence[Finding]

    def done(self) -> dict[str, tuple[int, int]]:
        """Of the night that goes on: for each item of the file (runs that are made, runs of a night)."""
        runs = self.going[1] if self.going else ()
        return {
            item.name: (sum(run.item == item.name and run.run < item.runs for run in runs), item.runs)
            for item in self.campaign.items
        }  # fmt: skip

    def open(self) -> dict[str, list[Finding]]:
        """What is not resolved, by its class; an accepted finding is in a class of its own."""
        found = {state: [each for each in self.findings if each.state == state and each.accepted is None] for state in OPEN}  # fmt: skip
        return {
            **found,
            "accepted": [each for each in self.findings if each.accepted and each.state != RESOLVED],
        }

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        last, going, done = self.last, self.going, self.done()
        return {
            "campaign": self.campaign.name,
            "nights": self.nights,
            "last": None if last is None else {
                "night": last[0].number, "began": last[0].began, "ended": last[0].ended, "version": last[0].version,
                "outcome": last[2], "why": last[3], "outcomes": outcomes(last[1]),
            },
            "going": None if going is None else {
                "night": going[0].number, "began": going[0].began, "version": going[0].version, "outcomes": outcomes(going[1]),
                "done": sum(made for made, _ in done.values()), "runs": sum(runs for _, runs in done.values()),
                "items": {name: list(counts) for name, counts in done.items()},
            },
            "open": {state: [{"id": each.id, "title": each.title, "configuration": each.configuration} for each in found] for state, found in self.open().items()},
            "resolved": sum(each.state == RESOLVED for each in self.findings),
        }  # fmt: skip


def status_of_nights(
    campaign: Campaign, nights: Sequence[Night], records: Iterable[Record], today: str
) -> Status:  # fmt: skip
    """Where it stands. The verdict of the last night is that of its own morning: later runs do not count."""
    every, last, going = list(records), None, None
    if nights and nights[-1].ended is None:
        going = nights[-1], [run for run in every if run.night == nights[-1].number]
    if ended := [night for night in nights if night.ended is not None]:
        until = [run for run in every if run.night <= ended[-1].number]
        runs = [run for run in until if run.night == ended[-1].number]
        outcome, _, why = verdict_of_night(findings(until, campaign.accepted, today), runs, 0)
        last = ended[-1], runs, outcome, why
    return Status(campaign, len(nights), last, going, findings(every, campaign.accepted, today))


def outcomes(runs: Sequence[Record]) -> dict[str, int]:
    """How many came to what, the gravest first."""
    return {each: count for each in CLASSES if (count := sum(run.outcome == each for run in runs))}


def found_by(name: str, known: Sequence[Finding]) -> Finding:
    """The finding with an id, or that of a family with the smallest core. Raises PlanError: there is none, and which there are."""
    exact = [each for each in known if each.id == name]
    if alike := exact or [each for each in known if family_of(each.id) == name]:
        return min(alike, key=lambda each: (each.example.core_ops or 10**9, each.id))
    ids = [each.id for each in known]
    raise PlanError(
        f"there is no finding {name!r}" + (nearest(name, ids) if ids else ": no claim was ever broken")
    )


def history_of(found: Finding, nights: Sequence[Night]) -> list[dict[str, Any]]:
    """Each night in which its items ran: how many runs showed it, of how many, under which version."""
    by_number = {night.number: night for night in nights}
    return [
        {"night": number, "began": by_number[number].began, "version": by_number[number].version, "hits": hits, "runs": runs}
        for number, (hits, runs) in sorted(found.hits.items())
    ]  # fmt: skip


def shown(found: Finding, nights: Sequence[Night], ways: Ways | None, replay: str | None) -> dict[str, Any]:
    """One finding for a program."""
    run = found.example
    return {
        **finding_json(found, ways),
        "history": history_of(found, nights),
        "example": {
            "night": run.night, "item": run.item, "run": run.run, "seed": run.seed, "ops": run.ops, "core_ops": run.core_ops,
            "reason": run.reason, "digest": run.digest, "world": run.world,
        },
        "replay": replay,
    }  # fmt: skip


def standing(found: Finding) -> str:
    """Its rate, and what it takes to call it resolved."""
    low, high = (words.percent(end) for end in found.rate)
    rate = f"{low} to {high} of runs when it was there (95 %)"
    if found.tonight:
        return f"{rate}; {words.plural(found.needed, 'clean run')} would be needed to call it resolved"
    return f"{rate}; {words.plural(found.clean, 'clean run')} since, {found.needed} are needed to call it resolved"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The example of a finding, made again."""

    finding: Finding
    made: Record

    @property
    def came_back(self) -> bool:
        """Does it break the same claim in the same way?"""
        ids = {
            finding_id(claim, anomaly, self.made.configuration, "") for claim, anomaly, _ in self.made.broken
        }
        return family_of(self.finding.id) in ids

    @property
    def same_bytes(self) -> bool:
        """Are history and faults those of the night, byte for byte? On hosts that is chance, if it ever is so, and nothing is made of it."""
        return self.made.world == SIM and self.made.digest == self.finding.example.digest != ""

    @property
    def status(self) -> int:
        """1 if it came back; else what the run came to by itself."""
        return STATUS["violation"] if self.came_back else STATUS[self.made.outcome]

    def told(self, versions: Mapping[int, str], version: str) -> str:
        """The sentence. `versions` has that of each night, `version` is today's."""
        if self.made.outcome in (CRASH, INFRASTRUCTURE):
            return f"could not be made again: {self.made.outcome}"
        if self.made.world == HOSTS:
            return self._told_on_hosts()
        before = versions[self.finding.example.night]
        then = f" (quorate {before} then, {version} now)" if before != version else ""
        if self.came_back:
            return (
                "came back, byte for byte"
                if self.same_bytes
                else f"came back, in another history than that night's{then}"
            )
        if self.same_bytes:
            return f"did not come back: the history is that of the night, byte for byte, and is judged otherwise now{then}"
        return f"did not come back: the run came to {self.made.outcome}, with another history than that night's{then}"

    def _told_on_hosts(self) -> str:
        if self.came_back:
            return "came back; on hosts that is another run, which broke the claim in the same way"
        low, high = (words.percent(end) for end in self.finding.rate)
        return f"did not come back: this run came to {self.made.outcome}. On hosts no run is the same again, and it showed in {low} to {high} of runs"

    def as_json(self, versions: Mapping[int, str], version: str) -> dict[str, Any]:
        """For a program."""
        return {
            "finding": self.finding.id, "title": self.finding.title, "configuration": self.finding.configuration, "seed": self.made.seed,
            "world": self.made.world,
            "came_back": self.came_back, "same_bytes": self.same_bytes, "told": self.told(versions, version), "outcome": self.made.outcome,
            "reason": self.made.reason, "digest": self.made.digest, "recorded_digest": self.finding.example.digest,
            "broken": [{"claim": claim, "anomaly": anomaly} for claim, anomaly, _ in self.made.broken],
            "sentence": self.made.sentence, "drawing": self.made.drawing,
        }  # fmt: skip
