"""The morning after: everything that is told of a campaign, gathered once and written in five forms.

ledger, campaign file ─► Morning ─► text, Markdown, HTML      for people
                                 ─► JSON, JUnit XML, SARIF    for programs; GitHub reads `::error` lines and SARIF
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

from harness.campaign.file import Campaign
from harness.campaign.findings import Finding, Summary, finding_id, findings, summaries, verdict_of_night
from harness.campaign.ledger import Ledger, Night, Record
from harness.report import words
from harness.ways import Ways

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Morning:
    """What a night left. `ways` has for each finding how it is seen again, if it can be."""

    campaign: Campaign
    night: Night
    nights: int
    outcome: str
    status: int
    why: str
    findings: tuple[Finding, ...]
    summaries: tuple[Summary, ...]
    records: tuple[Record, ...]
    ways: Mapping[str, Ways]

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "campaign": self.campaign.name,
            "night": self.night.number,
            "version": self.night.version,
            "outcome": self.outcome,
            "why": self.why,
            "runs": len(self.records),
            "findings": [{**finding_json(each, self.ways.get(each.id)), "promise": self.campaign.promise(each.example.item, each.claim) or None} for each in self.findings],
            "items": [
                {
                    "item": each.item, "world": each.world, "tried_again": each.tried_again, "outcomes": dict(each.outcomes), "faults": dict(each.bit), "ops": each.ops, "cpu_s": each.cpu_s,
                    "clean_runs": each.clean_runs, "bound": round(each.bound, 6), "p99_ms": list(each.p99_ms),
                    "trends": [{"what": t.what, "night": t.night, "before": t.before, "after": t.after, "p": round(t.p, 4)} for t in each.trends],
                }
                for each in self.summaries
            ],
        }  # fmt: skip


def finding_json(each: Finding, ways: Ways | None) -> dict[str, Any]:
    """A finding for a program."""
    accepted = each.accepted
    return {
        "id": each.id, "title": each.title, "state": each.state, "red": each.red, "claim": each.claim, "anomaly": each.anomaly,
        "configuration": each.configuration, "items": list(each.items), "nights": {str(n): list(hits) for n, hits in each.hits.items()},
        "rate": [round(end, 6) for end in each.rate], "clean": each.clean, "needed": each.needed, "pattern": each.pattern, "shapes": list(each.shapes),
        "sentence": each.example.sentence, "drawing": each.example.drawing, "seed": each.example.seed, "world": each.example.world,
        "plan": None if ways is None else ways.plan, "ways": None if ways is None else ways.as_json(),
        "accepted": None if accepted is None else {"owner": accepted.owner, "note": accepted.note, "until": accepted.until},
    }  # fmt: skip


def morning(campaign: Campaign, ledger: Ledger, today: str, *, missing: int, ways: Mapping[str, Ways]) -> Morning | None:  # fmt: skip
    """The state after the last night, None before the first."""
    nights = ledger.nights()
    if not nights:
        return None
    every = list(ledger.records())
    night = nights[-1]
    tonight = [record for record in every if record.night == night.number]
    found = findings(every, campaign.accepted, today)
    outcome, status, why = verdict_of_night(found, tonight, missing)
    rows = summaries(campaign, every, night.number)
    return Morning(campaign, night, len(nights), outcome, status, why, tuple(found), tuple(rows), tuple(tonight), ways)  # fmt: skip


def markdown(found: Morning) -> str:
    """For a person, or the summary of a CI job."""
    return "\n".join([*_head(found), *_findings(found), *_items(found)]) + "\n"


def _head(found: Morning) -> Iterator[str]:
    yield f"# {found.campaign.name}, night {found.night.number}: {found.outcome}"
    yield ""
    yield f"{words.sentence(found.why)} quorate {found.night.version}, {words.plural(len(found.records), 'run')}."
    yield ""


def told(found: Morning, each: Finding) -> str:
    """How often, since when, and what it needs to be called resolved."""
    hits, runs = each.hits.get(found.night.number, (0, 0))
    rate = f"{words.percent(each.rate[0])} to {words.percent(each.rate[1])} of runs"
    text = f"{hits} of {words.plural(runs, 'run')} tonight; {rate} when it was there"
    if not hits:
        text += f"; {each.clean} clean runs since, {each.needed} are needed to call it resolved"
    if each.accepted is not None:
        text += f"; accepted by {each.accepted.owner} until {each.accepted.until}: {each.accepted.note}"
    return text


def _findings(found: Morning) -> Iterator[str]:
    if not found.findings:
        yield from ("No claim was ever broken.", "")
    for each in found.findings:
        yield f"## {each.state.capitalize()}: {each.title} ({each.id})"
        yield ""
        promise = found.campaign.promise(each.example.item, each.claim)
        yield f"{each.configuration}{f'; {promise}' if promise else ''}. {told(found, each)}."
        yield ""
        yield words.sentence(each.example.sentence or each.example.reason)
        yield ""
        if each.shapes:
            yield from (f"Comes down to: {'; '.join(each.shapes)}.", "")
        if each.example.drawing:
            yield from ("```text", each.example.drawing, "```", "")
        if each.id in found.ways:
            yield from (f"{found.ways[each.id].told('`')}.", "")


def _items(found: Morning) -> Iterator[str]:
    yield "| item | world | outcomes | faults that bit | clean runs | rate still possible | p99 by night, ms |"
    yield "|---|---|---|---|---|---|---|"
    for cells in item_cells(found):
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from (f"- {line}" for line in trend_lines(found))


def trend_lines(found: Morning) -> list[str]:
    """What changed over the nights, the latest first."""
    every = [(trend, each.item) for each in found.summaries for trend in each.trends]
    return [f"{item}: {trend}." for trend, item in sorted(every, key=lambda pair: -pair[0].night)]


def item_cells(found: Morning) -> Iterator[tuple[str, ...]]:
    """The table of items, as text."""
    for each in found.summaries:
        yield (
            each.item,
            each.world,
            outcomes_told(each),
            ", ".join(f"{kind} {count}" for kind, count in each.bit.items()) or "–",
            f"{each.clean_runs:,}",
            words.percent(each.bound) if each.clean_runs else "–",
            " ".join(f"{ms:.1f}" for ms in each.p99_ms[-7:]) or "–",
        )


def outcomes_told(each: Summary) -> str:
    """`3 ok, 1 infrastructure`, and how often something was tried again before it came to that."""
    told = ", ".join(f"{count} {outcome}" for outcome, count in each.outcomes.items()) or "not run"
    again = f"{words.plural(each.tried_again, 'attempt')} ended in trouble with the infrastructure"
    return f"{told}; {again}" if each.tried_again else told


def junit(found: Morning) -> str:
    """A test suite for each item, a test case for each run. What is accepted is skipped, not failed."""
    accepted = {each.id for each in found.findings if each.accepted}
    root = ElementTree.Element("testsuites", name=found.campaign.name)
    for item in found.campaign.items:
        runs = [record for record in found.records if record.item == item.name]
        suite = ElementTree.SubElement(root, "testsuite", name=item.name, tests=str(len(runs)))
        counts = {"failures": 0, "errors": 0, "skipped": 0}
        for run in runs:
            case = ElementTree.SubElement(suite, "testcase", classname=item.name, name=f"seed {run.seed}", time=str(run.cpu_s))  # fmt: skip
            kind = _case(case, run, accepted)
            if kind:
                counts[kind] += 1
        suite.attrib.update({name: str(count) for name, count in counts.items()})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(case: ElementTree.Element, run: Record, accepted: AbstractSet[str]) -> str:
    if run.outcome == "ok":
        return ""
    known = run.broken and all(finding_id(claim, anomaly, run.configuration, pattern) in accepted for claim, anomaly, pattern in run.broken)  # fmt: skip
    kind = "skipped" if known or run.outcome in ("unknown", "vacuous") else "failures" if run.outcome == "violation" else "errors"  # fmt: skip
    tag = {"failures": "failure", "errors": "error", "skipped": "skipped"}[kind]
    inner = ElementTree.SubElement(case, tag, message=_printable(f"{run.outcome}: {run.reason}"))
    inner.text = _printable(run.drawing)
    return kind


def _printable(text: str) -> str:
    """XML cannot hold control characters at all."""
    return "".join(character if character >= " " or character in "\n\t" else "\ufffd" for character in text)


def sarif(found: Morning) -> dict[str, Any]:
    """Findings that are there tonight, as static analysers report theirs; accepted ones are suppressed."""
    results = []
    for each in found.findings:
        if not each.tonight:
            continue
        results.append({
            "ruleId": each.claim,
            "level": "error",
            "message": {"text": f"{each.title}: {each.example.sentence or each.example.reason}"},
            "partialFingerprints": {"quorate/v1": each.id},
            "baselineState": "new" if each.state == "new" else "unchanged",
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": found.ways[each.id].plan if each.id in found.ways else each.items[0]}}}],
            **({"suppressions": [{"kind": "external", "justification": each.accepted.note}]} if each.accepted else {}),
        })  # fmt: skip
    rules = [{"id": claim} for claim in dict.fromkeys(each.claim for each in found.findings)]
    driver = {"name": "quorate", "version": found.night.version, "rules": rules}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}  # fmt: skip


def github_lines(found: Morning) -> list[str]:
    """Lines that GitHub shows beside a job."""
    return [f"::error title={each.title} ({each.state})::{' '.join((each.example.sentence or each.example.reason).split())}" for each in found.findings if each.red]  # fmt: skip


def changed_between(found: Sequence[Finding], earlier: int, later: int) -> dict[str, list[str]]:
    """Of two nights: what is new in the later, gone in it, and in both; ids and titles."""
    parts: dict[str, list[str]] = {"new": [], "gone": [], "still there": []}
    for each in found:
        before, after = (each.hits.get(night, (0, 0))[0] > 0 for night in (earlier, later))
        part = "still there" if before and after else "new" if after else "gone" if before else ""
        if part:
            parts[part].append(f"{each.id} {each.title} ({each.configuration})")
    return parts
