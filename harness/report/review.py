"""The document for a design review, in the structure of a published analysis, as HTML and as Markdown.

    Study ─► abstract · system and claims · test design · findings · what was not tested · recommendations · runs
                └──► sections of blocks: paragraphs, lists, tables, proofs ─┬─► review.html.j2 ─► review.html
                                                                            └─► review.md

Every sentence is derived from results. A recommendation is there because a claim was broken, a fault did not bite, a run has no verdict, or
so many clean runs still leave so large a rate of violations possible; praise of what was not refuted is not among them.
Structure: the analyses at jepsen.io; its column "event required" is a field of each finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Any, Final

from harness.intervals import clean_bound, wilson
from harness.report import words
from harness.report.drawing import lanes
from harness.report.folder import Bar
from harness.report.marked import cell, fenced, table
from harness.report.page import embedded, render
from harness.report.study import Found, Study, Trial, never_bit

SMALL_RATE: Final = 0.01  # of violations: clean runs that bring the bound below it are counted
NOT_KNOWN: Final = "not established"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text."""

    text: str
    kind: str = "paragraph"


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    items: Sequence[str]
    kind: str = "points"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `verdicts`: the column that has badges, -1 for none."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: int = -1
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Proof:
    """The sentence of a proof, its operations in lanes, and the same as text."""

    ident: str
    sentence: str
    bars: Sequence[Bar]
    drawing: str
    kind: str = "proof"


@dataclass(frozen=True, slots=True)
class Command:
    """Something to be typed."""

    text: str
    kind: str = "command"


Block = Paragraph | Points | Table | Proof | Command


@dataclass(frozen=True, slots=True)
class Section:
    """One heading and what is under it. `level` 2 or 3."""

    ident: str
    title: str
    blocks: Sequence[Block]
    level: int = 2


def sections(study: Study) -> list[Section]:
    """The whole document."""
    return [
        Section("abstract", "Abstract", [Paragraph(text) for text in abstract(study)]),
        Section("claims", "System and claims", list(claims(study))),
        Section("design", "Test design", list(design(study))),
        Section("findings", "Findings", list(summary(study))),
        *(Section(f"finding-{n}", f"{n}. {each.title}", list(finding(each, n)), 3) for n, each in enumerate(study.findings, 1)),
        Section("untested", "What was not tested", [Points(study.untested)]),
        Section("recommendations", "Recommendations", [Points(list(recommendations(study)))]),
        Section("runs", "Runs", [Table(("run", "seed", "outcome", "where"), study.runs, 2), Paragraph(f"Versions: {', '.join(study.versions) or 'not recorded'}.")]),
    ]  # fmt: skip


def abstract(study: Study) -> Iterator[str]:
    """What was tested and what was found, for a reader of nothing else."""
    trials = study.trials
    runs, ops = sum(trial.runs for trial in trials), sum(trial.ops for trial in trials)
    bit = sum((Counter(trial.bit) for trial in trials), Counter[str]())
    kinds = [words.FAULT_WORDS.get(kind, kind) for kind, count in bit.items() if count]
    faults = f"{words.plural(sum(bit.values()), 'fault')} that bit ({words.join(kinds)})" if kinds else "no fault that bit"  # fmt: skip
    where = words.join(list(dict.fromkeys(trial.world for trial in trials)))
    yield f"{study.subject} was tested in {words.plural(runs, 'run')} of {words.plural(len({trial.configuration for trial in trials}), 'configuration')} ({where}), with {words.plural(ops, 'operation')} and {faults}."
    if study.findings:
        told = [f"{each.configuration} broke {each.claim} ({each.anomaly}, in {each.hits} of {words.plural(each.runs, 'run')})" for each in study.findings]  # fmt: skip
        yield f"{words.plural(len(study.findings), 'finding')}: {'; '.join(told)}."
    else:
        yield "No claim was found broken."
    for trial in trials:
        if trial.clean:
            yield f"{trial.configuration} kept {words.join(list(trial.claims))} in every run; after {words.plural(trial.runs, 'run')} without a violation a rate of up to {words.percent(clean_bound(trial.runs))} is still possible (95 %)."
    if undecided := sum(unjudged(trial) for trial in trials):
        yield f"{words.plural(undecided, 'run')} came to no verdict."


def unjudged(trial: Trial) -> int:
    """Runs without a verdict."""
    return trial.runs - sum(trial.outcomes.get(name, 0) for name in ("ok", "violation", "valid", "invalid"))


def claims(study: Study) -> Iterator[Block]:
    """Each configuration with its claims; then the documentation, sentence by sentence."""
    rows = [
        (trial.configuration, claim, told_verdict(verdicts), counted(verdicts), words.join(trial.kept) or "–")
        for trial in study.trials
        for claim, verdicts in trial.claims.items()
    ]
    yield Table(("configuration", "claim", "verdict", "runs", "strongest not refuted"), rows, 2)
    meanings = [f"{name}: {words.PROMISES[name]}" for name in dict.fromkeys(row[1] for row in rows) if name in words.PROMISES]  # fmt: skip
    if meanings:
        yield Points(meanings)
    if study.documented:
        yield Paragraph("What the documentation says, and what was seen:")
        yield Table(
            ("claimed", "source", "guarantee", "configuration", "verdict", "evidence"),
            [(f"“{row['says']}”", row["source"], row["name"], row["configuration"], row["verdict"], row["evidence"]) for row in study.documented],
            4,
        )  # fmt: skip
    else:
        yield Paragraph("No sentence of the documentation was given (claims.toml beside the plan).")


def told_verdict(verdicts: Any) -> str:
    """The gravest."""
    return next(verdict for verdict in ("invalid", "unknown", "valid") if verdicts.get(verdict))


def counted(verdicts: Any) -> str:
    """`3 invalid, 17 valid`."""
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))


def design(study: Study) -> Iterator[Block]:
    """What was run, under which faults, and whether they bit."""
    rows = []
    for trial in study.trials:
        faults = [f"{kind} ({trial.bit.get(kind, 0)} bit)" for kind in trial.asked]
        ended = ", ".join(f"{count} {outcome}" for outcome, count in trial.outcomes.items())
        rows.append((trial.configuration, trial.world, trial.workload, trial.load, ", ".join(faults) or "none", f"{trial.runs}: {ended}", words.number(trial.ops), words.percent(trial.available)))  # fmt: skip
    header = ("configuration", "world", "workload", "load", "faults", "runs", "operations", "acknowledged under faults")  # fmt: skip
    yield Table(header, rows)
    yield Paragraph("A fault bit if it measurably did something: packets were dropped, a process was gone, a clock was off. Acknowledged under faults: of the run in which it was least.")  # fmt: skip
    reasons = [f"{trial.configuration}: {reason}" for trial in study.trials for reason in trial.reasons]
    if reasons:
        yield Paragraph("Why runs have no verdict:")
        yield Points(reasons)
    crashes = [f"{trial.configuration}, {crash}" for trial in study.trials for crash in trial.crashes]
    if crashes:
        yield Paragraph("Processes that ended, and nobody asked them to:")
        yield Points(crashes)


def summary(study: Study) -> Iterator[Block]:
    """All findings in one table."""
    if not study.findings:
        yield Paragraph("No claim was found broken. That is no proof that none can be.")
        return
    rows = [
        (str(n), f"{each.title}{f' ({each.state})' if each.state else ''}", each.configuration, each.needs or NOT_KNOWN, how_often(each))
        for n, each in enumerate(study.findings, 1)
    ]  # fmt: skip
    yield Table(("№", "summary", "configuration", "event required", "how often"), rows)


def how_often(each: Found) -> str:
    """`3 of 20 runs (5.2 % to 36.0 %)`, the interval at 95 %."""
    low, high = wilson(each.hits, each.runs)
    return f"{each.hits} of {words.plural(each.runs, 'run')} ({words.percent(low)} to {words.percent(high)})"


def finding(each: Found, number: int) -> Iterator[Block]:
    """One finding: the example, why it is a violation, the event, how to see it again."""
    yield Paragraph(f"{each.configuration} broke its claim to be {each.claim}: {how_often(each)} show it.")
    if promise := words.PROMISES.get(each.claim.partition(" (")[0]):
        yield Paragraph(f"The promise: {promise}.")
    yield Proof(f"proof-{number}", words.sentence(each.sentence), each.bars, each.drawing)
    yield Paragraph(f"Event required: {each.needs or NOT_KNOWN}. {each.needs_told}".strip())
    if each.meanwhile is not None:
        beside = f"While it happened these faults went on: {', '.join(each.meanwhile)}" if each.meanwhile else "No fault was going on while it happened"  # fmt: skip
        yield Paragraph(f"{beside}; that alone does not say what it needs.")
    if not each.needs and each.explain:
        yield Paragraph("What it needs is found by leaving out one thing at a time:")
        yield Command(each.explain)
    if each.again:
        yield Paragraph("To see it again:")
        yield Command(each.again)


def recommendations(study: Study) -> Iterator[str]:
    """What follows from the results, and from nothing else."""
    for each in study.findings:
        mine = [trial for trial in study.trials if trial.configuration == each.configuration and each.claim in trial.claims]  # fmt: skip
        told = f"Do not rely on {each.claim} of {each.configuration}"
        told += f" where {each.needs} can happen" if each.needs and not each.needs.startswith("none") else ""
        kept = dict.fromkeys(level for trial in mine for level in trial.kept)
        told += f"; what no run refuted of it is {words.join(list(kept))}" if kept and len(mine) == 1 else ""
        better = alternatives(study, each, mine)
        yield f"{told}{f'. Under the same load and faults {words.join(better)} kept it in every run' if better else ''}."
    for row in study.documented:
        if row["verdict"] == "invalid":
            yield f"Change the sentence “{row['says']}” ({row['source']}), or what it speaks of: {row['configuration']} is not {row['name']}."
    unknown = [each.title for each in study.findings if not each.needs]
    if unknown:
        yield f"Find out which event is required for {words.join(list(dict.fromkeys(unknown)))}: the commands stand with the findings."
    for kind, configuration in never_bit(study.trials):
        yield f"Make the fault {kind} bite: in no run of {configuration} did it do anything, so nothing is known about it."
    for trial in study.trials:
        if trial.crashes:
            yield f"Find out why processes of {trial.configuration} ended by themselves: {words.plural(len(trial.crashes), 'end')} that nobody asked for, and what the heal starts anew may look sound."
        if unjudged(trial):
            yield f"Run {trial.configuration} again: {words.plural(unjudged(trial), 'run')} of {trial.runs} came to no verdict ({trial.reasons[0] if trial.reasons else 'see the runs'})."
        missing = ceil(log(0.05) / log(1 - SMALL_RATE)) - trial.runs
        if trial.clean and missing > 0:
            yield f"{trial.configuration}: {words.plural(missing, 'more run')} without a violation would rule out a rate above {words.percent(SMALL_RATE)} (95 %); {trial.runs} rule out one above {words.percent(clean_bound(trial.runs))}."
    if all(trial.world == "simulator" for trial in study.trials):
        yield "Run the plans on hosts (quorate run PLAN --world hosts): so far no real network, disk or kernel took part."


def alternatives(study: Study, each: Found, mine: Sequence[Trial]) -> list[str]:
    """Configurations that kept the same claim in every run, at the same workload, load and faults."""
    same = {(trial.workload, trial.load, trial.asked, trial.world) for trial in mine}
    return [
        trial.configuration
        for trial in study.trials
        if (trial.workload, trial.load, trial.asked, trial.world) in same
        and set(trial.claims.get(each.claim, {"": 0})) == {"valid"}
    ]


def review_html(study: Study) -> str:
    """One file, as the report of a run; the browser prints it to PDF."""
    from markupsafe import Markup

    def svg(block: Proof) -> Any:
        told = f"{len(block.bars)} operations in lanes. {block.sentence}"
        return Markup(lanes(block.bars, ident=block.ident, alternative=told))

    data = {"subject": study.subject, "sections": [section_json(section) for section in sections(study)]}
    return render("review.html.j2", {"title": title(study), "sections": sections(study), "svg": svg, "data": embedded(data)})  # fmt: skip


def title(study: Study) -> str:
    """`Review of kvstore`."""
    return f"Review of {study.subject}"


def section_json(section: Section) -> dict[str, Any]:
    """A section for a program."""
    blocks = [{name: getattr(block, name) for name in block.__dataclass_fields__ if name != "bars"} for block in section.blocks]  # fmt: skip
    return {"id": section.ident, "title": section.title, "blocks": blocks}


def review_markdown(study: Study) -> str:
    """The same, to paste into a design document."""
    lines = [f"# {cell(title(study))}", ""]
    for section in sections(study):
        lines += [f"{'#' * section.level} {cell(section.title)}", ""]
        for block in section.blocks:
            lines += block_markdown(block)
    return "\n".join(lines)


def block_markdown(block: Block) -> Iterator[str]:
    """One block, with a blank line after it."""
    match block:
        case Paragraph():
            yield from (cell(block.text), "")
        case Points():
            yield from (*(f"- {cell(item)}" for item in block.items), "")
        case Table():
            yield from table(block.header, block.rows)
        case Proof():
            yield from (cell(block.sentence), "", *(fenced(block.drawing) if block.drawing else ()))
        case Command():
            yield from fenced(block.text)
