"""The run folder as the report reads it: results, faults, environment, plan and operations, all read once.

    runs/<name>/<time>-<seed>/   results.json  faults.jsonl  environment.json  plan.toml  history.jsonl  attribution.json  claims.toml
                                      └───────────────┴────────┬───────┴───────────┴──────────┴───────────────┴────────────────┘
                                                            RunFiles ──► words, drawings, page

Whatever is missing makes the page shorter, never the report fail: a run that was cut short is the one a person most wants to look at. Without
`results.json` (the run was killed) what is left is judged here. The page says what is missing.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from checkers.history import History
from checkers.op import MISSING, Op, Type
from checkers.staleness import ages_ns, stale_reads, versions_behind
from harness.plan import Plan, PlanError
from harness.plan_claims import Documented, beside
from harness.plan_text import no_json, read_text
from harness.report.remains import judged_remains, went_on
from harness.report.text import one_line
from harness.rings import FILE as RING
from harness.runs import sums

if TYPE_CHECKING:
    from harness.report.survival import Survival

SCHEMA = 2
VALUE_CHARACTERS_MAX = 120
ERROR_CHARACTERS_MAX = 400
AGAIN = "Judge the history with `quorate check`, or run the plan again."
LEFT = {
    "results.json": "the run was killed before it was judged, so the last reads may be missing; the verdicts here are of what it had recorded",
    "history.jsonl": "no operation can be drawn or looked up",
    "faults.jsonl": "which faults there were is not known",
    "plan.toml": "what was asked for is not known",
    "environment.json": "versions, and the command that repeats the run, are not known",
    "nodes": "no log of a node was kept",
}
"""What a run leaves, and what is not known without it."""


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One operation from call to return. `end_ns` is None when nothing is known of its end (`info`, or no completion);
    `given_up_ns` is then when its client stopped waiting, if that was recorded.
    """

    index: int
    process: int | str
    node: str
    f: str
    key: Any
    value: Any
    outcome: str  # ok | fail | info
    start_ns: int
    end_ns: int | None
    error: str | None = None
    given_up_ns: int | None = None

    @property
    def words(self) -> str:
        """`write 3 = 17`, `read 3 → 17`: short enough for a bar."""
        key = "" if self.key is None else f" {shortened(self.key)}"
        if self.value is MISSING:
            return one_line(f"{shortened(self.f)}{key} → ?")
        value = "nothing" if self.value is None else shortened(self.value)
        return one_line(f"{shortened(self.f)}{key} {'→' if self.f == 'read' else '='} {value}")


def shortened(value: Any) -> str:
    """A key or value as text; of a long one its beginning, and how long it is."""
    text = str(value)
    if len(text) <= VALUE_CHARACTERS_MAX:
        return text
    return f"{text[:VALUE_CHARACTERS_MAX]}… ({len(text):,} characters)"


@dataclass(frozen=True)
class RunFiles:
    """What a run left behind, as plain data."""

    folder: Path
    results: Mapping[str, Any]
    faults: Sequence[Mapping[str, Any]]
    environment: Mapping[str, Any]
    plan_text: str
    plan: Mapping[str, Any]
    torn: tuple[str, ...] = ()  # of which files the last line was cut

    @cached_property
    def missing(self) -> list[str]:
        """What a run leaves and this one did not, in sentences."""
        told = [f"{name}: {what}" for name, what in LEFT.items() if not (self.folder / name).exists()]
        if self.history is not None:
            told += [f"history.jsonl: {warning}" for warning in self.history.warnings]
        return told + [f"{name}: the last line is torn and was left out" for name in self.torn]

    @cached_property
    def changed(self) -> list[str]:
        """Files that are others than those that were judged, in sentences."""
        now, judged = sums(self.folder), self.results.get("judged") or {}
        return [
            f"{name} was changed after it was judged: the verdicts are of what it was, all else here is of what it is. {AGAIN}"
            for name, digest in judged.items()
            if now.get(name, digest) != digest
        ]

    @cached_property
    def history(self) -> History | None:
        """The history, if there is one."""
        path = self.folder / "history.jsonl"
        return History.load(path) if path.exists() else None

    @cached_property
    def bars(self) -> list[Bar]:
        """Every client operation of the history, by time of call."""
        return pair(self.history, self.node_of) if self.history is not None else []

    @cached_property
    def by_index(self) -> Mapping[int, Bar]:
        """The same, by the number of the call."""
        return {bar.index: bar for bar in self.bars}

    @cached_property
    def stale(self) -> frozenset[int]:
        """The calls of reads that were surely too old, by index; none where staleness was not measured."""
        if self.history is None or not self.results.get("staleness"):
            return frozenset()
        return frozenset(stale_reads(self.history))

    @cached_property
    def behind(self) -> list[int]:
        """By how many versions each of these reads was too old, ascending."""
        return versions_behind(self.history) if self.history is not None and self.stale else []

    @cached_property
    def ages_ns(self) -> list[int]:
        """For how long what each of these reads missed had been acknowledged, ascending."""
        return ages_ns(self.history) if self.history is not None and self.stale else []

    @cached_property
    def survival(self) -> Survival | None:
        """What became of the acknowledged writes; None where that cannot be told from the history."""
        from harness.report.survival import survival

        return survival(self.bars, self.faults, self.end_ns)

    @cached_property
    def concurrency(self) -> int:
        """How many clients there are at a time: a process p is the client p modulo this."""
        return int(self.plan.get("concurrency", Plan.__dataclass_fields__["concurrency"].default))

    @cached_property
    def nodes(self) -> list[str]:
        """The names of the nodes, as a plan gives them."""
        count = int(self.plan.get("nodes", Plan.__dataclass_fields__["nodes"].default))
        return [f"n{number + 1}" for number in range(count)]

    def node_of(self, process: int | str) -> str:
        """The node that a process talks to: thread = process modulo concurrency, threads dealt over nodes in turn."""
        if not isinstance(process, int):
            return str(process)
        return self.nodes[process % self.concurrency % len(self.nodes)]

    @cached_property
    def attribution(self) -> Mapping[str, Any]:
        """What `quorate attribute` found of this run; empty if it was not asked."""
        path = self.folder / "attribution.json"
        again = f"make it anew with `quorate attribute {self.folder}`, or remove it"
        found = read_json(path, again) if path.exists() else {}
        if found and not {"sentence", "variants"} <= found.keys():
            raise PlanError(f"{path} is not what `quorate attribute` writes; {again}")
        return found

    @cached_property
    def ring(self) -> Mapping[str, Any]:
        """Who held which keys (`harness.rings`); empty if it was not recorded."""
        path = self.folder / RING
        found = read_json(path) if path.exists() else {}
        if found and not {"stages", "nodes", "keys"} <= found.keys():
            raise PlanError(f"{path} is not what a run writes; run the plan again, or remove it")
        return found

    @cached_property
    def documented(self) -> tuple[Documented, ...]:
        """What the documentation promises, if the plan had a `claims.toml` beside it."""
        return beside(self.folder / "plan.toml")

    @property
    def core_bars(self) -> list[Bar]:
        """The operations of the minimal core, with their completions looked up in the history where need be."""
        core = self.results.get("core")
        if not core:
            return []
        wanted = {int(op["index"]) for op in core["ops"]}
        found = [bar for bar in self.bars if bar.index in wanted]
        return found or pair([op_of(record) for record in core["ops"]], self.node_of)

    @cached_property
    def end_ns(self) -> int:
        """When the run ended: the last thing known of it."""
        ops = [bar.end_ns or bar.start_ns for bar in self.bars]
        return max(
            [1, *ops, *(int(fault.get("end_ns") or fault.get("start_ns") or 0) for fault in self.faults)]
        )


def read_folder(folder: Path) -> RunFiles:
    """Read a run folder. Raises PlanError when it is not one."""
    if not folder.is_dir():
        raise PlanError(
            f"{folder} is not a run folder: no such directory; `ls runs` shows the runs there are"
        )
    environment = read_json(folder / "environment.json") if (folder / "environment.json").exists() else {}
    plan_path = folder / "plan.toml"
    plan_text = read_text(plan_path, "a plan") if plan_path.exists() else ""
    try:
        plan = tomllib.loads(plan_text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(
            f"{folder / 'plan.toml'} is not TOML ({error}); restore it from the plan that was run"
        ) from error
    faults, torn = read_faults(folder / "faults.jsonl")
    results = read_results(folder)
    if results is None:
        faults += went_on(folder / "history.jsonl", faults)
        results = judged_remains(folder, faults, environment)
    return RunFiles(folder, results, faults, environment, plan_text, plan, ("faults.jsonl",) if torn else ())


def read_results(folder: Path) -> dict[str, Any] | None:
    """`results.json`; None if the run did not come to it."""
    path = folder / "results.json"
    if not path.exists():
        return None
    results = read_json(path)
    if results.get("schema") != SCHEMA:
        raise PlanError(
            f"{path} has schema {results.get('schema')!r}, and this version reads schema {SCHEMA}; use the version that wrote it"
        )
    return results


def read_json(path: Path, again: str = "run the plan again to make a new one") -> dict[str, Any]:
    """An object from a file. Raises PlanError naming the file, the place, and how to have it `again`."""
    try:
        value = json.loads(read_text(path, "JSON"))
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} cannot be read as JSON: {no_json(error)}; {again}") from None
    if not isinstance(value, dict):
        raise PlanError(f"{path} holds a {type(value).__name__} where an object was expected; {again}")
    return value


def read_faults(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The fault records, and whether a last line that a crash cut short was left out."""
    if not path.exists():
        return [], False
    lines = [line for line in read_text(path, "faults").splitlines() if line.strip()]
    faults = []
    for number, line in enumerate(lines, 1):
        try:
            faults.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise PlanError(
                    f"{path} line {number} is not JSON; the rest of the folder can still be checked with `quorate check`"
                ) from None
            return faults, True
    return faults, False


def op_of(record: Mapping[str, Any]) -> Op:
    """An op from one object of `results.json`, which is a line of the history."""
    from checkers.jsonl import decode_line

    return decode_line(json.dumps(record))


def pair(ops: Iterable[Op], node_of: Any) -> list[Bar]:
    """Join each client call with its completion. A call without one is `info`: nobody knows."""
    open_calls: dict[int, Op] = {}
    bars: list[Bar] = []
    for op in ops:
        if not isinstance(op.process, int):
            continue
        if op.type is Type.INVOKE:
            open_calls[op.process] = op
        elif (call := open_calls.pop(op.process, None)) is not None:
            bars.append(bar_of(call, op, node_of))
    bars += [bar_of(call, None, node_of) for call in open_calls.values()]
    return sorted(bars, key=lambda bar: (bar.start_ns, bar.index))


def bar_of(call: Op, completion: Op | None, node_of: Any) -> Bar:
    """One bar from a call and what came of it."""
    known = completion is not None and completion.type in (Type.OK, Type.FAIL)
    value = call.value
    if (
        completion is not None
        and completion.type is Type.OK
        and (completion.value is not None or call.value is MISSING)
    ):
        value = completion.value
    return Bar(
        call.index, call.process, node_of(call.process), call.f, call.key, value,
        completion.type.word if completion is not None else "info",
        call.time_ns, completion.time_ns if completion is not None and known else None,
        error_of(completion),
        completion.time_ns if completion is not None and not known else None,
    )  # fmt: skip


def error_of(completion: Op | None) -> str | None:
    """Why it is not ok; of a long text the beginning."""
    if completion is None:
        return "no completion was recorded"
    return completion.error and completion.error[:ERROR_CHARACTERS_MAX]
