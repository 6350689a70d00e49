"""Changes to a plan that come as text: `--set system.mode=eventual`, or a cell of a matrix.

    "system.mode=eventual"   ─► parse ─► the plan's table "system", key "mode"
    "rate=400"               ─► parse ─► the plan's own field

The changed plan is written out and read again, so that what a plan file may not hold, a change may not bring in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from harness.plan import Plan, PlanError, dump_plan, of_folder, parse_plan

TABLES: Final = {"system": "system_options", "options": "options", "sim": "sim", "hosts": "hosts"}
OWN: Final = {field.name for field in fields(Plan)} - {
    *("faults", "script", "strokes", "system", "tape"),
    *TABLES.values(),
}


def changed(plan: Plan, changes: Sequence[str], source: str, option: str = "--set") -> Plan:
    """The plan with `key=value` changes: a field, or `system.mode`, `sim.loss`, … Values are TOML, or bare words. Raises PlanError, which names the option they came by."""
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise PlanError(f"{option} {change} has no '='; write for example {option} system.mode=eventual")
        try:
            plan = with_value(plan, name.strip(), toml_value(text), text)
        except PlanError as error:
            raise PlanError(f"{option} {error}") from None
    if not changes:
        return plan
    return of_folder(parse_plan(dump_plan(plan), f"{source} with {option}"), Path.cwd())


def with_value(plan: Plan, name: str, value: Any, text: str) -> Plan:
    """One change, not yet checked. `text` is the value as it was written: a system's name is never a number."""
    table, dot, key = name.partition(".")
    if dot and table in TABLES:
        if (table, key) == ("system", "name"):
            return replace(plan, system=value if isinstance(value, str) else text)
        field = TABLES[table]
        values: dict[str, Any] = {field: {**getattr(plan, field), key: value}}
        return replace(plan, **values)
    if name == "claims" and not isinstance(value, list):
        raise PlanError(f'claims is a list, such as claims=["regular"], not {value!r}')
    if not dot and table in OWN:
        return replace(plan, **{table: value})
    raise PlanError(
        f"{name}: no such key; use a field of the plan (seed, nodes, rate, …) or system.KEY, options.KEY, sim.KEY, hosts.KEY"
    )


def toml_value(text: str) -> Any:
    """`3`, `true`, `"a"`, `["a"]`; a bare word is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
