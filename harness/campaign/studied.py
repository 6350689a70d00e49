"""A campaign as the material of a review: the runs of all nights, and its findings with their state.

The ledger has no histories, so a finding is shown by the drawing and the sentence of its shortest core. Runs whose plan has changed since are told
under the configuration they had. What a finding needs is not known to a ledger; the review names the command that finds it out.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harness.campaign.file import Campaign, Item
from harness.campaign.findings import Finding
from harness.campaign.ledger import Record
from harness.hosted import SIM
from harness.report import words
from harness.report.study import Found, Study, Trial, load_words
from harness.results import OK, VIOLATION
from harness.ways import Ways


def study_of_campaign(campaign: Campaign, records: Iterable[Record], findings: Sequence[Finding], ways: Mapping[str, Ways], version: str) -> Study:  # fmt: skip
    """Of everything the ledger has of the items that the file names."""
    made = list(records)
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in made:
        groups.setdefault((record.item, record.configuration), []).append(record)
    trials = [trial_of(item, where, runs) for (name, where), runs in groups.items() if (item := campaign.item(name)) is not None]  # fmt: skip
    bit = {kind for trial in trials for kind, count in trial.bit.items() if count}
    untested = [f"no {told} in any run" for kind, told in words.FAULT_WORDS.items() if kind not in bit]
    simulated = all(item.world == SIM for item in campaign.items)
    untested += [*(["no real network, disk or kernel: the nodes ran in the simulator"] if simulated else []), *(f"no {told}" for told in words.NEVER_TESTED)]  # fmt: skip
    return Study(
        words.join(list(dict.fromkeys(item.plan.system for item in campaign.items))),
        trials,
        [found_of(each, ways.get(each.id)) for each in findings],
        [],
        [*untested, "a run can prove that a claim is broken; it cannot prove that it always holds"],
        [(name, f"{min(run.seed for run in runs)} to {max(run.seed for run in runs)}", outcomes(runs), where) for (name, where), runs in groups.items()],
        [f"quorate {version}"],
    )  # fmt: skip


def outcomes(runs: Sequence[Record]) -> str:
    """`3 violation, 17 ok`."""
    return ", ".join(
        f"{count} {outcome}" for outcome, count in sorted(Counter(run.outcome for run in runs).items())
    )


def trial_of(item: Item, configuration: str, runs: Sequence[Record]) -> Trial:
    """All runs of an item with one configuration."""
    plan = item.plan
    claims = {claim: Counter(verdict_on(claim, run) for run in runs) for claim in plan.claims}
    return Trial(
        configuration, "simulator" if item.world == SIM else "hosts", plan.workload, load_words(plan.nodes, plan.concurrency, plan.rate, plan.time_limit_s),
        len(runs), Counter(run.outcome for run in runs), sum(run.ops for run in runs), plan.fault_kinds,
        sum((Counter(run.faults) for run in runs), Counter[str]()), claims, (), None,
        tuple(dict.fromkeys(run.reason for run in runs if run.outcome not in (OK, VIOLATION))),
    )  # fmt: skip


def verdict_on(claim: str, run: Record) -> str:
    """What a run said to one claim: a run with a violation says of the other claims only that it did not see them broken."""
    if any(claim == broken for broken, _, _ in run.broken):
        return "invalid"
    return "valid" if run.outcome == OK else "unknown"


def found_of(each: Finding, ways: Ways | None) -> Found:
    """A finding of the nights."""
    hits, runs = (sum(counts[at] for counts in each.hits.values()) for at in (0, 1))
    state = f"{each.state}, accepted" if each.accepted else each.state
    explained = "" if ways is None else ways.plan if ways.place is None else ways.folder
    needs = f"quorate attribute {shlex.quote(explained)}" if explained else ""
    return Found(
        each.claim, each.anomaly, each.configuration, each.example.sentence or each.example.reason, each.example.drawing, (),
        hits, runs, "", "", None, ways.again if ways is not None else "", needs, state,
    )  # fmt: skip
