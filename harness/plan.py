"""Plan: what to run, as data. The same file runs in the simulator and on hosts.

    name = "register-under-faults"       concurrency = 10      [system]            [[faults]]
    workload = "register"                rate = 100            name = "kvstore"    kind = "partition"
    seed = 7                             nodes = 5             mode = "register"   shape = "halves"
    time_limit_s = 30                    claims = [...]        n = 3               every_s = 6.0

    plan.toml ─► parse_plan ─► Plan ─► dump_plan ─► plan.toml      parse_plan(dump_plan(plan)) == plan

    plan.toml:3:7: …                      TOML that cannot be read: line and column
    plan.toml:4: unknown key 'sede' …     a key nobody reads is an error: it was meant to do something

What `[options]` and `[system]` may hold is known to the workload and the system, who check it themselves.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from harness.named import located
from harness.nemesis.grudges import CLIENTS
from harness.plan_faults import wrong
from harness.plan_options import (
    DISTRIBUTION,
    FAULT_TIMES,
    HOSTS_OPTIONS,
    HOSTS_RANGES,
    LINK_KINDS,
    MEASURED,
    ORDERED,
    PRIORITIES,
    SEED_MAX,
    SIM_RANGES,
    TIME_MAX_S,
    TOP_RANGES,
    outside,
    times,
)
from harness.plan_options import FAULT_OPTIONS as FAULT_OPTIONS
from harness.plan_options import SIM_OPTIONS as SIM_OPTIONS
from harness.plan_script import ScriptOp, Stroke, op_table, parse_script, parse_strokes, stroke_table
from harness.plan_tape import Cuts, parse_tape, tape_table
from harness.plan_text import read_text
from harness.plan_toml import PlanError as PlanError
from harness.plan_toml import nearest as nearest
from harness.plan_toml import read_toml, write_key, write_value


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """One kind of fault and its rhythm: every `every_s` it starts on fresh targets and lasts `for_s`.

    `kind` is one of FAULT_OPTIONS, which has the `options` of each; `docs/plans.md` says what they mean.
    """

    kind: str
    start_s: float = 1.0
    every_s: float = 10.0
    for_s: float = 5.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run, fully described. `rate` is operations per second over all clients, 0 for no limit."""

    name: str
    workload: str
    system: str
    claims: tuple[str, ...]
    seed: int = 1
    nodes: int = 5
    concurrency: int = 10
    rate: float = 100.0
    time_limit_s: float = 30.0
    op_timeout_ms: float = 1000.0
    options: Mapping[str, Any] = field(default_factory=dict)  # of the workload
    system_options: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[FaultPlan, ...] = ()
    sim: Mapping[str, Any] = field(default_factory=dict)  # see SIM_OPTIONS
    hosts: Mapping[str, Any] = field(default_factory=dict)  # inventory = path
    script: tuple[ScriptOp, ...] = ()  # in place of the workload's operations
    strokes: tuple[Stroke, ...] = ()  # in place of a timetable of `faults`
    tape: Cuts = field(default_factory=dict)  # where random draws depart from the seed

    @property
    def node_names(self) -> tuple[str, ...]:
        """n1, n2, …"""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))

    @property
    def fault_kinds(self) -> tuple[str, ...]:
        """The kinds of fault it asks for, each once."""
        kinds = [*(fault.kind for fault in self.faults), *(stroke.kind for stroke in self.strokes)]
        return tuple(dict.fromkeys(kinds))


TOP = {
    "name": str,
    "workload": str,
    "seed": int,
    "nodes": int,
    "concurrency": int,
    "rate": float,
    "time_limit_s": float,
    "op_timeout_ms": float,
    "claims": list,
}
TABLES = ("system", "options", "faults", "sim", "hosts", "script", "strokes", "tape")
REQUIRED = ("name", "workload", "claims")
NAME = re.compile(r"(?!latest$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def load_plan(path: Path | str) -> Plan:
    """Read a plan file. Raises PlanError: cannot be read, is no TOML, or is no plan."""
    if not Path(path).exists():
        raise PlanError(f"{path}: there is no such plan; give the path of a TOML file")
    return of_folder(parse_plan(read_text(Path(path), "a plan"), str(path)), Path(path).parent)


def of_folder(plan: Plan, folder: Path) -> Plan:
    """The plan with the files it names, of a system or a workload of yours, found from there."""
    return replace(plan, system=located(plan.system, folder), workload=located(plan.workload, folder))


def parse_plan(text: str, source: str = "plan") -> Plan:
    """Make a Plan of TOML text. `source` begins every message: the file's name."""
    return _Reader(text, source).plan(read_toml(text, source))


class _Reader:
    """Checks one document; knows its text, so that messages can name the line."""

    def __init__(self, text: str, source: str) -> None:
        self.lines = text.splitlines()
        self.source = source

    def plan(self, table: Mapping[str, Any]) -> Plan:
        """The whole document."""
        self.known(table, (*TOP, *TABLES), "the plan", "")
        for key in REQUIRED:
            if key not in table:
                raise PlanError(f"{self.source}: the plan has no {key!r}; add one")
        values = {key: self.value(table[key], kind, key, "") for key, kind in TOP.items() if key in table}
        system = self.table(table, "system")
        if not isinstance(system.get("name"), str):
            raise PlanError(
                f'{self.source}: [system] has no name; write [system] and name = "kvstore", for example'
            )
        values["claims"] = self.claims(values["claims"])
        plan = Plan(
            **values,
            system=system["name"],
            system_options={
                key: self.plain(value, key, "system") for key, value in system.items() if key != "name"
            },
            options={
                key: self.plain(value, key, "options") for key, value in self.table(table, "options").items()
            },
            faults=self.faults(table.get("faults", [])),
            sim=self.options(self.table(table, "sim"), SIM_OPTIONS, "sim"),
            hosts=self.options(self.table(table, "hosts"), HOSTS_OPTIONS, "hosts"),
            tape=parse_tape(self.table(table, "tape"), self.source),
        )
        self.numbers(plan)
        return self.scripted(plan, table)

    def scripted(self, plan: Plan, table: Mapping[str, Any]) -> Plan:
        """With its script and strokes."""
        script = parse_script(table.get("script", []), plan.concurrency, self.source)
        strokes = parse_strokes(table.get("strokes", []), plan.node_names, tuple(FAULT_OPTIONS), self.source)
        if strokes and plan.faults:
            raise PlanError(f"{self.source}: [[strokes]] take the place of [[faults]]; leave one of them out")
        late = [op.at_s for op in script if op.at_s is not None and op.at_s >= plan.time_limit_s]
        if late:
            raise PlanError(
                f"{self.source}: script has an operation at {late[0]} s, and time_limit_s is {plan.time_limit_s}"
            )
        return replace(plan, script=script, strokes=strokes)

    def numbers(self, plan: Plan) -> None:
        """Ranges."""
        if not NAME.fullmatch(plan.name):
            self.refuse(
                "name",
                "",
                f"is used for a folder; {plan.name!r} may hold letters, digits, '.', '_' and '-' only",
            )
        for section, values, ranges in (
            ("", {key: getattr(plan, key) for key in TOP_RANGES}, TOP_RANGES),
            ("sim", plan.sim, SIM_RANGES),
            ("hosts", plan.hosts, HOSTS_RANGES),
        ):
            for key in (each for each in ranges if each in values):
                if said := outside(values[key], ranges[key]):
                    self.refuse(key, section, said)
        options = [(fault.kind, fault.options) for fault in plan.faults]
        linked = [kind for kind, own in options if kind in LINK_KINDS and CLIENTS not in own]
        if plan.nodes < 2 and linked:
            self.refuse("kind", "faults", f"is {linked[0]!r}, which needs two nodes; raise nodes", linked[0])
        for key in ORDERED if plan.sim.get("schedule") != PRIORITIES else ():
            if key in plan.sim:
                self.refuse(key, "sim", f'has a meaning with schedule = "{PRIORITIES}" only; leave it out')
        for key in DISTRIBUTION if MEASURED in plan.sim else ():
            if key in plan.sim:
                self.refuse(key, "sim", f"and {MEASURED} take each other's place; leave one of them out")
        if not times(plan.sim.get("changes_s", ())):
            self.refuse("changes_s", "sim", f"is a list of seconds, each from 0 to {TIME_MAX_S:,.0f}")

    def claims(self, claims: list[Any]) -> tuple[str, ...]:
        """Names of guarantees; at least one."""
        if not claims:
            self.refuse(
                "claims",
                "",
                'is empty, so there is nothing to test; write claims = ["linearizable"], for example',
            )
        names = known_claims()
        for claim in claims:
            if not isinstance(claim, str):
                self.refuse("claims", "", f"holds names of guarantees, not {claim!r}")
            guarantee = claim_parts(claim)[0]
            if names and guarantee not in names:
                self.refuse(
                    "claims", "", f"names {claim!r}, which is no known guarantee{nearest(guarantee, names)}"
                )
        return tuple(claims)

    def faults(self, tables: Any) -> tuple[FaultPlan, ...]:
        """The [[faults]]."""
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise PlanError(f"{self.source}: faults are written as tables: [[faults]], once for each kind")
        return tuple(self.fault(table) for table in tables)

    def fault(self, table: Mapping[str, Any]) -> FaultPlan:
        """One of the [[faults]]."""
        if "kind" not in table:
            raise PlanError(
                f"{self.source}: one of the [[faults]] has no kind; it is one of {', '.join(FAULT_OPTIONS)}"
            )
        kind = self.value(table["kind"], str, "kind", "faults")
        if kind not in FAULT_OPTIONS:
            self.refuse(
                "kind", "faults", f"is {kind!r}, which is no fault{nearest(kind, FAULT_OPTIONS)}", kind
            )
        own = FAULT_OPTIONS[kind]
        self.known(table, ("kind", *FAULT_TIMES, *own), f"[[faults]] of kind {kind}", "faults")
        times = {key: self.value(table[key], float, key, "faults") for key in FAULT_TIMES if key in table}
        fault = FaultPlan(
            kind=kind,
            options={key: self.value(table[key], own[key], key, "faults") for key in own if key in table},
            **times,
        )
        for key, what in wrong(fault):
            self.refuse(key, "faults", what)
        return fault

    def table(self, table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """A table of the document, empty when there is none."""
        value = table.get(name, {})
        if not isinstance(value, dict):
            self.refuse(name, "", f"must be a table, [{name}], not {value!r}")
        return value

    def options(self, table: Mapping[str, Any], kinds: Mapping[str, Any], name: str) -> dict[str, Any]:
        """A table whose keys we know."""
        self.known(table, kinds, f"[{name}]", name)
        return {key: self.value(value, kinds[key], key, name) for key, value in table.items()}

    def known(self, table: Mapping[str, Any], names: Iterable[str], title: str, section: str) -> None:
        """Refuse a key nobody reads."""
        names = tuple(names)
        for key in table:
            if key not in names:
                raise PlanError(
                    f"{self.where(key, section)} unknown key {key!r} in {title}{nearest(key, names)}"
                )

    def value(self, value: Any, kind: Any, key: str, section: str) -> Any:
        """A value of the right type; an int will do for a float. A tuple `kind` holds the words allowed."""
        if isinstance(kind, tuple):
            if value not in kind:
                self.refuse(
                    key,
                    section,
                    f"is {value!r}, but must be one of {', '.join(kind)}{nearest(value, kind, told=True)}",
                )
            return value
        if kind is float and type(value) is int:
            return float(value) if abs(value) <= SEED_MAX else self.refuse(key, section, "is out of range")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(key, section, f"must be {WORDS[kind]}, not {value!r}")
        if kind is float and not math.isfinite(value):
            self.refuse(key, section, f"must be a finite number, not {value!r}")
        return value

    def plain(self, value: Any, key: str, section: str) -> Any:
        """A value that can be written back: no dates."""
        for item in _leaves(value):
            if not isinstance(item, str | int | float | bool):
                self.refuse(
                    key,
                    section,
                    f"must be made of text, numbers, true and false, lists and tables, not {item!r}",
                )
        return value

    def refuse(self, key: str, section: str, what: str, word: str = "") -> NoReturn:
        """Raise PlanError about a key."""
        raise PlanError(f"{self.where(key, section, word)} {key} {what}")

    def where(self, key: str, section: str, word: str = "") -> str:
        """`source:line:` of a key in a section ("" for the top), or `source:` if it cannot be told."""
        current = ""
        pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=.*{re.escape(word)}")
        for number, line in enumerate(self.lines, 1):
            header = re.match(r"\s*\[+\s*([^\]\s]+)\s*\]+", line)
            current = header[1] if header else current
            if (header and header[1] == key and not section) or (current == section and pattern.match(line)):
                return f"{self.source}:{number}:"
        return f"{self.source}:"


WORDS = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    bool: "true or false",
}


def claim_parts(claim: str) -> tuple[str, tuple[str, ...]]:
    """`regular (read, cas)` is the guarantee regular of these operations alone; without brackets it is one of all, ()."""
    found = re.fullmatch(r"(\S+) \(([\w-]+(?:, [\w-]+)*)\)", claim)
    return (found[1], tuple(found[2].split(", "))) if found else (claim, ())


def known_claims() -> tuple[str, ...]:
    """The names of the guarantees the checkers can judge."""
    from checkers import levels
    from checkers.models import MODELS

    return tuple(dict.fromkeys((*levels.LEVELS, *MODELS)))


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def dump_plan(plan: Plan) -> str:
    """The plan as TOML, every field written out, defaults too."""
    lines = [
        f"{key} = {write_value(list(value) if key == 'claims' else value)}"
        for key in TOP
        for value in [getattr(plan, key)]
    ]
    sections: list[tuple[str, Mapping[str, Any]]] = [
        ("[system]", {"name": plan.system, **plan.system_options}),
        ("[options]", plan.options),
        ("[sim]", plan.sim),
        ("[hosts]", plan.hosts),
        ("[tape]", tape_table(plan.tape)),
    ]
    for fault in plan.faults:
        times = {key: getattr(fault, key) for key in FAULT_TIMES}
        sections.append(("[[faults]]", {"kind": fault.kind, **times, **fault.options}))
    sections += [("[[strokes]]", stroke_table(stroke)) for stroke in plan.strokes]
    if plan.script:
        lines += ["script = [", *(f"  {write_value(op_table(op))}," for op in plan.script), "]"]
    for header, table in sections:
        if table:
            lines += [
                "",
                header,
                *(f"{write_key(key)} = {write_value(value)}" for key, value in table.items()),
            ]
    return "\n".join(lines) + "\n"


def repeat_command(plan_path: Path | str, world: str, seed: int) -> str:
    """The command line that repeats a run."""
    return f"quorate run {shlex.quote(str(plan_path))} --world {world} --seed {seed}"
