"""A run that was killed: its results, from what it had written until then.

    plan.toml ───────┐
    history.jsonl ───┼─► judged as any run is, with a doubt ─► UNKNOWN, or INVALID: never VALID
    faults.jsonl ────┘    faults that the history began and nobody recorded: they went on when it ended

Every whole line of a history is a prefix of a run that could have been, so a violation in it stands. That nothing is broken means less: the heal and
the last reads are missing. Faults are recorded as they end; of those that went on, the nemesis's own operations in the history tell.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from checkers.history import History
from checkers.op import Type
from harness.plan import PlanError, load_plan
from harness.plan_claims import beside

UNFINISHED: Final = "the run did not finish (it left no results.json); what it had recorded was judged"
WENT_ON: Final = "it went on when the run was killed; nobody looked whether it bit"


def judged_remains(folder: Path, faults: Sequence[Mapping[str, Any]], environment: Mapping[str, Any]) -> dict[str, Any]:  # fmt: skip
    """The results. Raises PlanError if there is too little to judge."""
    from harness.results import results_of

    lacking = [name for name in ("plan.toml", "history.jsonl") if not (folder / name).exists()]
    if lacking:
        raise PlanError(
            f"{folder} has no results.json, so the run did not finish, and no {' and no '.join(lacking)} to judge in its place; run the plan again"
        )
    _, results = results_of(
        load_plan(folder / "plan.toml"), History.load(folder / "history.jsonl"), faults, [UNFINISHED],
        world=str(environment.get("world", "unknown")), command=str(environment.get("command") or f"quorate run {shlex.quote(str(folder / 'plan.toml'))}"), documented=beside(folder / "plan.toml"),
    )  # fmt: skip
    return results


def went_on(path: Path, recorded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The faults that a history began, and that have no record, as records."""
    if not path.exists():
        return []
    history = History.load(path)
    known = {fault.get("id") for fault in recorded}
    begun = [op for op in history if op.process == "nemesis" and op.type is Type.OK and op.f.endswith("-start")]  # fmt: skip
    end_ns = history.op(len(history) - 1).time_ns if len(history) else 0
    return [
        {"id": op.value["id"], "kind": op.f.removesuffix("-start"), "nodes": op.value.get("nodes", []), "start_ns": op.time_ns, "end_ns": end_ns, "bit": False, "healed": False, "evidence": {}, "note": WENT_ON}
        for op in begun
        if isinstance(op.value, dict) and "id" in op.value and op.value["id"] not in known
    ]  # fmt: skip
