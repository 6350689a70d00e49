"""What the documentation of a system promises, in its own words: `claims.toml`, beside a plan.

    [[claims]]
    says = "reads return the last acknowledged write"     the sentence
    source = "manual, chapter 4"                          where it stands
    guarantee = "regular"                                 what it comes to, as a checker knows it
    operations = ["read"]                                 of which operations (left out: of all)
    where = {mode = "quorum"}                             of which configuration: keys of the plan's [system], or workload
    not_under = ["clock"]                                 faults under which it is not promised

    claims.toml ─► Documented ─┬─ speaks of this plan? ─► judged with the plan's own claims ─► results.json
                               └─ every one ──────────► a row of the report: claimed, source, verdict, evidence

Campaigns, matrices and explorations take what the documentation promises of a plan for claims of the plan itself (`promising`), which so say on which
operations they are: `regular (read)`.

A claim on some operations is judged on the same history, in which the other reads return nothing: a read left out can only make a history
easier to explain, an update left out could make a good one impossible. So updates always stay.
The form is that of the analyses at jepsen.io, which begin with what a system's documentation says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from msgspec.structs import replace as replaced

from checkers.history import History
from checkers.op import MISSING, Type
from checkers.verdict import Result, Verdict
from harness.plan import Plan, known_claims, nearest
from harness.plan_options import FAULT_OPTIONS
from harness.plan_text import read_text
from harness.plan_toml import PlanError, read_toml, write_key, write_value

FILE: Final = "claims.toml"
TEXTS: Final = ("says", "source", "guarantee")
LISTS: Final = ("operations", "not_under")
READS: Final = ("read", "final-read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """One promise of the documentation."""

    says: str
    source: str
    guarantee: str
    operations: tuple[str, ...] = ()  # () is all
    where: Mapping[str, Any] = field(default_factory=dict)
    not_under: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As it is called in results.json: `regular`, `cas-register (write, cas)`."""
        return f"{self.guarantee} ({', '.join(self.operations)})" if self.operations else self.guarantee

    def silent_about(self, plan: Mapping[str, Any]) -> str:
        """Why it says nothing of a plan, which is the table that was read from TOML; empty if it does."""
        here = {"workload": plan.get("workload"), **plan.get("system", {})}
        for key, value in self.where.items():
            if here.get(key) != value:
                has = f"it is {here[key]!r}" if key in here else "the plan does not set it"
                return f"it speaks of {key} = {value!r}; here {has}"
        kinds = {fault.get("kind") for fault in (*plan.get("faults", ()), *plan.get("strokes", ()))}
        faults = [kind for kind in self.not_under if kind in kinds]
        return f"it is not promised under the fault {faults[0]!r}, which the plan has" if faults else ""


def beside(plan_path: Path) -> tuple[Documented, ...]:
    """The claims in the folder of a plan; none if there is no such file. Raises PlanError for a bad one."""
    path = plan_path.parent / FILE
    if not path.exists():
        return ()
    return parse_claims(read_text(path, "claims"), str(path))


def spoken_of(plan: Plan, documented: Sequence[Documented]) -> list[Documented]:
    """What the documentation promises of this very configuration, under these faults; of all operations first."""
    table = {"workload": plan.workload, "system": {"name": plan.system, **plan.system_options}, "faults": [{"kind": kind} for kind in plan.fault_kinds]}  # fmt: skip
    found = [claim for claim in documented if not claim.silent_about(table)]
    return sorted(found, key=lambda claim: bool(claim.operations))


def promising(plan: Plan, documented: Sequence[Documented]) -> Plan:
    """The plan that claims, besides what it claims itself, what the documentation promises of it."""
    names = [claim.name for claim in spoken_of(plan, documented)]
    return replace(plan, claims=tuple(dict.fromkeys((*plan.claims, *names))))


def parse_claims(text: str, source: str = FILE) -> tuple[Documented, ...]:
    """The claims of a document. Raises PlanError with the line of the claim and what to do."""
    table = read_toml(text, source)
    for key in table:
        if key != "claims":
            raise PlanError(f"{source}: unknown key {key!r}; each claim is a table of its own, [[claims]]")
    tables = table.get("claims", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
        raise PlanError(f"{source}: there is no claim; write [[claims]], once for each, or remove the file")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*claims\s*\]\]", line)]  # fmt: skip
    places = lines if len(lines) == len(tables) else [1] * len(tables)
    found = tuple(_claim(each, f"{source}:{line}") for each, line in zip(tables, places, strict=True))
    for at, each in enumerate(found):
        if each in found[:at]:
            raise PlanError(f"{source}:{places[at]}: this claim is there twice; remove one")
    return found


def _claim(table: Mapping[str, Any], place: str) -> Documented:
    def refuse(what: str) -> NoReturn:
        raise PlanError(f"{place}: {what}")

    for key in table:
        if key not in (*TEXTS, *LISTS, "where"):
            refuse(f"unknown key {key!r} of a claim{nearest(key, (*TEXTS, *LISTS, 'where'))}")
    for key in TEXTS:
        if not isinstance(table.get(key), str) or not table[key].strip():
            refuse(f"the claim has no {key!r}; add it, as text in quotes")
    if table["guarantee"] not in known_claims():
        refuse(f"the guarantee {table['guarantee']!r} is not known{nearest(table['guarantee'], known_claims())}")  # fmt: skip
    for key in LISTS:
        given = table.get(key, ["-"])
        if not isinstance(given, list) or not given or not all(isinstance(each, str) and each for each in given):  # fmt: skip
            refuse(f"{key} must be a list of names, such as {key} = [\"{'read' if key == 'operations' else 'clock'}\"], or be left out")  # fmt: skip
    for kind in table.get("not_under", ()):
        if kind not in FAULT_OPTIONS:
            refuse(f"not_under names {kind!r}, which is no fault{nearest(kind, FAULT_OPTIONS)}")
    where = table.get("where", {})
    if not isinstance(where, dict) or not all(isinstance(value, str | int | float | bool) for value in where.values()):  # fmt: skip
        refuse('where must be a table of keys of [system], such as where = {mode = "quorum", n = 3}')
    says, source, guarantee = (table[key] for key in TEXTS)
    operations, not_under = (tuple(table.get(key, ())) for key in LISTS)
    return Documented(says=says, source=source, guarantee=guarantee, operations=operations, where=where, not_under=not_under)  # fmt: skip


def dump_claims(claims: Sequence[Documented]) -> str:
    """The claims as TOML; `parse_claims` gives the same back."""
    lines = list[str]()
    for claim in claims:
        lines.append("[[claims]]")
        for key in (*TEXTS, *LISTS, "where"):
            if value := getattr(claim, key):
                lines.append(f"{write_key(key)} = {write_value(value)}")
        lines.append("")
    return "\n".join(lines)


def heard(history: History, operations: Collection[str]) -> History:
    """The history in which reads that are not among these operations return nothing; every record keeps its number."""
    return History.from_ops(
        replaced(op, type=Type.FAIL, value=MISSING, error="the claim does not speak of it")
        if op.type is Type.OK and op.f in READS and op.f not in operations
        else op
        for op in history
    )


def nothing_judged(history: History, operations: Sequence[str]) -> Result | None:
    """UNKNOWN if none of the operations succeeded, or if they are writes, which tell nothing of what is there."""
    done = {op.f for op in history if op.type is Type.OK}
    if not done & set(operations):
        reason = f"no {' and no '.join(operations)} succeeded, so the claim on them was not tested"
    elif set(operations) <= {"write"}:
        reason = "only operations that return something can break a claim, and a write returns nothing"
    else:
        return None
    return Result("claims", Verdict.UNKNOWN, reason)
