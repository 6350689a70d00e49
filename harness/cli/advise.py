"""`quorate advise` and `quorate choose`: a configuration in, sentences out; wishes in, configurations out."""

from __future__ import annotations

import json as json_text
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from harness.advice import TOLD_MAX, Choice, Statement, Told, Wishes, choose, measured, of_quorums, of_system
from harness.cli.console import emit, out, readable
from harness.hosted import SIM
from harness.matrix.grid import short
from harness.matrix.sweep import SUPPORTS
from harness.pbs import Delays, Quorums, Visibility, predict
from harness.plan import PlanError
from harness.plan_text import no_json, read_text
from harness.report import words

MARKS: Final = {
    "good": ("promises", "green"),
    "bad": ("does not promise", "red"),
    "cost": ("costs", "yellow"),
}
FLAGS: Final = {"mode": "--mode", "read_repair": "--read-repair", "sloppy": "--sloppy", "durability": "--durability", "clock": "--clocks"}  # fmt: skip
NEEDED: Final = frozenset({"system", "slowest", "available_under"})  # of a cell; older ones lack them
SHARES: Final = (0.5, 0.9, 0.99, 0.999)


def advise(
    system: str, quorums: Quorums, choices: Mapping[str, Any], delays: Delays, folder: Path | None, *, json: bool
) -> int:  # fmt: skip
    """Print what is known of the configuration. `choices` are options of the system besides N, R and W; those that are None were not made."""
    made = {name: value for name, value in choices.items() if value is not None}
    if made and "mode" not in made:
        raise PlanError(f"{FLAGS[next(iter(made))]} is a choice within a mode; give --mode too")
    options: dict[str, Any] = {"n": quorums.n, "r": quorums.r, "w": quorums.w, **made}
    if not made and folder is None:
        of_system(system, {})  # refuses a name that nobody has
    told = of_system(system, options) if made else Told()
    statements = [*told.statements, *of_quorums(quorums, told)]
    curve = predict(quorums, delays)
    seen = measured(cells_of(folder), system, options) if folder is not None else []
    if json:
        emit({
            "configuration": options,
            "statements": [asdict(statement) for statement in statements],
            "pbs": {"assumes": "strict quorums; no read repair, hints or stand-ins", "delays": asdict(delays), "stale_at_once": curve.stale(0.0), "fresh_after_ms": {str(share): curve.fresh_after_ms(share) for share in SHARES}},
            "measured": seen,
        })  # fmt: skip
    else:
        show(system, options, statements, delays, curve, sloppy=told.sloppy)
        show_measured(seen, folder)
    return 0


def show(system: str, options: Mapping[str, Any], statements: Sequence[Statement], delays: Delays, curve: Visibility, *, sloppy: bool) -> None:  # fmt: skip
    """For a person."""
    from rich.table import Table
    from rich.text import Text

    console = out()
    told = " ".join(f"{key}={value}" for key, value in options.items())
    table = Table("", "in words", "source", title=f"{system}: {told}", title_justify="left", show_lines=True)
    for statement in statements:
        word, colour = MARKS[statement.kind]
        table.add_row(Text(word, style=colour), statement.text, statement.source)
    console.print(table)
    fresh = ", ".join(f"{100 * share:g} % after {curve.fresh_after_ms(share):.1f} ms" for share in SHARES)
    console.print(
        f"Predicted from delays alone ({delays.latency}, {delays.latency_ms:g} ms on average each way; PBS, {curve.trials:,} trials): "
        f"{words.percent(curve.stale(0.0))} of reads that begin right after an acknowledgement miss the write; fresh are {fresh}."
        + (" Stand-ins are not in it: with them reads may be staler." if sloppy else ""),
        soft_wrap=True,
    )


def show_measured(cells: Sequence[Mapping[str, Any]], folder: Path | None) -> None:
    """The cells of the same configuration."""
    from rich.table import Table

    if folder is None:
        out().print("Nothing measured was given: --matrix FOLDER, made by `quorate matrix`.", soft_wrap=True)
        return
    table = Table("measured", "environment", "strongest kept", "weakest refuted", "stale reads", "read p99", "write p99", title=str(folder), title_justify="left")  # fmt: skip
    for cell in cells:
        broken = ", ".join(f"{level} in {cell['violations'][level]['runs']} of {cell['runs']} runs" for level in cell["weakest_refuted"])  # fmt: skip
        stale = cell["stale"] or {}
        latency = (cell["latency_ms"][f]["p99"] for f in ("read", "write"))
        table.add_row(
            named(cell["configuration"]), cell["environment"], ", ".join(cell["strongest"]) or "none", broken or "–",
            words.percent(stale.get("share")), *(f"{words.number(ms)} ms" for ms in latency),
        )  # fmt: skip
    out().print(table if cells else f"{folder} has no cell of this configuration.")


def choose_one(folder: Path, wishes: Wishes, environments: Sequence[str], *, json: bool) -> int:
    """Print which configurations will do; the exit status is 1 if none does."""
    choices = choose(cells_of(folder), wishes, environments)
    will_do = [choice for choice in choices if not choice.missing]
    if json:
        emit({"will_do": [as_json(choice, folder) for choice in will_do], "will_not": [as_json(choice, folder) for choice in choices if choice.missing]})  # fmt: skip
    else:
        show_choices(choices, folder)
    return 0 if will_do else 1


def as_json(choice: Choice, folder: Path) -> dict[str, Any]:
    """A choice for a program."""
    return {
        "configuration": choice.configuration,
        "worst_p99_ms": choice.cost_ms,
        "runs": sum(cell["runs"] for cell in choice.cells),
        "cells": [cell["cell"] for cell in choice.cells],
        "support": [{**run, "again": again(run, folder)} for run in choice.support],
        "missing": choice.missing,
    }


def again(run: Mapping[str, Any], folder: Path) -> str:
    """The command that makes the run of a cell again, and leaves a report of it."""
    plan = folder / SUPPORTS / f"{run['cell']}.toml"
    return f"quorate run {shlex.quote(str(plan))}"


def show_choices(choices: Sequence[Choice], folder: Path) -> None:
    """For a person: what will do, and what the others miss."""
    from rich.table import Table

    console = out()
    will_do = [choice for choice in choices if not choice.missing]
    table = Table("will do", "worst p99", "least available", "most stale", "shown by", title=str(folder), title_justify="left")  # fmt: skip
    for choice in will_do:
        stale = max((cell["stale"] or {"share": 0.0})["share"] for cell in choice.cells)
        available = min((cell["available"] or {"share": 0.0})["share"] for cell in choice.cells)
        runs = sum(cell["runs"] for cell in choice.cells)
        table.add_row(
            named(choice.configuration), f"{choice.cost_ms:.1f} ms", words.percent(available), words.percent(stale),
            f"{words.plural(runs, 'run')} of cells {', '.join(str(cell['cell']) for cell in choice.cells)}",
        )  # fmt: skip
    console.print(table if will_do else "No configuration of the matrix will do.")
    for choice in will_do:
        console.print(f"{named(choice.configuration)} rests on these runs, each the slowest of its cell:")
        for run in choice.support:
            console.print(
                f"  {run['environment']}, seed {run['seed']}, p99 {run['p99_ms']:.1f} ms: {again(run, folder)}",
                soft_wrap=True,
                markup=False,
            )
    for choice in [choice for choice in choices if choice.missing][:TOLD_MAX]:
        more = f" (and {len(choice.missing) - 1} more)" if len(choice.missing) > 1 else ""
        console.print(f"{named(choice.configuration)} will not: {choice.missing[0]}{more}", soft_wrap=True)


def named(configuration: Mapping[str, Any]) -> str:
    """`mode=quorum r=2`."""
    return " ".join(f"{short(axis)}={value}" for axis, value in configuration.items())


def cells_of(folder: Path) -> list[Mapping[str, Any]]:
    """The simulated cells that `quorate matrix` left in a folder: times on hosts are this machine's. Raises PlanError."""
    path = folder / "cells.json"
    if not path.exists():
        raise PlanError(f"{folder} holds no matrix; make one with `quorate matrix FILE --out {folder}`")
    try:
        found = json_text.loads(read_text(readable(path), "cells of a matrix"))
    except (ValueError, RecursionError) as error:
        raise PlanError(
            f"{path}: is damaged: {no_json(error)}; write it again with `quorate matrix`"
        ) from None
    if not isinstance(found, list) or not all(
        isinstance(cell, dict) and cell.keys() >= NEEDED for cell in found
    ):
        raise PlanError(
            f"{path}: another version of quorate wrote it, without all that is asked of a cell now; make the matrix anew, with `quorate matrix FILE --out` another folder"
        )
    return [cell for cell in found if cell.get("world", SIM) == SIM]
