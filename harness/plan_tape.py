"""[tape] of a plan: where the random draws of a run depart from what its seed says.

    [tape]
    "*" = [{at = 0, half = true}]                       every stream: from its first draw on, a half each time
    "net/n3/n1/Store" = [{at = 4, draw = 0.93}]         of this stream the fifth draw is 0.93, whatever "*" says
    "net" = [{at = 300, seed = 12}]                     from its 301st draw on, what seed 12 begins with

A draw is a number from 0 to below 1. A half is the calm one: a delay is the median, what happens with a probability below a half does not happen, a
choice among several is the first. The streams and their names are those of `harness.worlds.sim.tape`. A tape made calm is what shrinking leaves (as in
MacIver and Donaldson, "Test-case reduction via test-case generation: Insights from the Hypothesis reducer", 2020); seeds spliced in are what a search mutates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from harness.plan_toml import PlanError

HALF: Final = 0.5
ALL: Final = "*"
FAMILIES: Final = ("generator", "nemesis", "net", "node", "trouble", "damage", "memory", "hot-key")
"""What the name of a stream begins with."""
KINDS: Final[Mapping[str, type]] = {"draw": float, "seed": int, "half": bool}


@dataclass(frozen=True, slots=True)
class Cut:
    """A change of a stream at its draw number `at`. `draw`: this one only. Else from there on: as `seed` says, or halves if it is None."""

    at: int
    draw: float | None = None
    seed: int | None = None


Cuts = Mapping[str, tuple[Cut, ...]]
"""By the name of the stream, or ALL, in order."""


def parse_tape(table: Mapping[str, Any], source: str) -> dict[str, tuple[Cut, ...]]:
    """The plan's [tape]. Raises PlanError."""
    return {name: _stream(name, value, f"{source}: [tape] {name!r}") for name, value in table.items()}


def _stream(name: str, value: Any, where: str) -> tuple[Cut, ...]:
    if name != ALL and name.partition("/")[0] not in FAMILIES:
        raise PlanError(f"{where}: there is no such stream; names begin with {', '.join(FAMILIES)}, or are {ALL!r}")  # fmt: skip
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        raise PlanError(f"{where} is a list of tables, [{{at = 0, half = true}}]")
    cuts = [_cut(item, f"{where}, entry {place}") for place, item in enumerate(value, 1)]
    if any(late.at < early.at for early, late in pairwise(cuts)):
        raise PlanError(f"{where}: the entries are not in the order of `at`")
    return tuple(cuts)


def _cut(item: Mapping[str, Any], where: str) -> Cut:
    for key in item:
        if key not in ("at", *KINDS):
            raise PlanError(f"{where}: unknown key {key!r}; there are at, {', '.join(KINDS)}")
    at, kinds = item.get("at"), [key for key in KINDS if key in item]
    if type(at) is not int or at < 0:
        raise PlanError(f"{where}: at is {at!r}; it is the number of a draw, 0 or more")
    if len(kinds) != 1:
        raise PlanError(f"{where} has one of {', '.join(KINDS)}, not {len(kinds)} of them")
    (kind,), value = kinds, item[kinds[0]]
    if kind == "draw" and type(value) in (int, float) and 0 <= value < 1 and math.isfinite(value):
        return Cut(at, draw=float(value))
    if kind == "seed" and type(value) is int:
        return Cut(at, seed=value)
    if kind == "half" and value is True:
        return Cut(at)
    raise PlanError(f"{where}: {kind} is {value!r}; draw is a number from 0 to below 1, seed a whole number, half = true")  # fmt: skip


def tape_table(tape: Cuts) -> dict[str, Any]:
    """As it is written in a plan."""
    return {name: [_item(cut) for cut in cuts] for name, cuts in tape.items()}


def _item(cut: Cut) -> dict[str, Any]:
    if cut.draw is not None:
        return {"at": cut.at, "draw": cut.draw}
    return {"at": cut.at, "half": True} if cut.seed is None else {"at": cut.at, "seed": cut.seed}


CALM: Final[Cuts] = {ALL: (Cut(0),)}
"""Nothing is left to chance."""
Pin = tuple[str, int, float]
"""A single draw: its stream, its number, its value."""


def is_calm(tape: Cuts) -> bool:
    """Whether nothing is left to the seed: all draws are halves or given."""
    return tape.get(ALL, ())[:1] == CALM[ALL] and all(cut.seed is None for cuts in tape.values() for cut in cuts)  # fmt: skip


def pins_of(tape: Cuts) -> list[Pin]:
    """The single draws that a tape gives."""
    return [(name, cut.at, cut.draw) for name, cuts in tape.items() for cut in cuts if cut.draw is not None]


def calm_but(pins: Sequence[Pin]) -> dict[str, tuple[Cut, ...]]:
    """The tape of halves, but for these draws."""
    named: dict[str, list[Cut]] = {}
    for name, at, draw in pins:
        named.setdefault(name, []).append(Cut(at, draw=draw))
    return {**CALM, **{name: tuple(sorted(cuts, key=lambda cut: cut.at)) for name, cuts in named.items()}}
