"""`quorate attribute`: which faults a violation needs, as a table and in one sentence; of a run folder, in its report too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import runs
from harness.cli.console import emit, out, say, stoppable, waiting
from harness.cli.run import inventory_of
from harness.cli.search import refuse_claim
from harness.hosted import Place, tried_on_hosts
from harness.made import Made
from harness.nemesis.possible import refuse_impossible
from harness.plan import Plan, PlanError
from harness.report import write_report
from harness.report.folder import read_folder
from harness.report.rows import attribution_table
from harness.search.ablation import Variant, attribute, sentence, variants
from harness.search.by_rate import TIMES_LEAST, by_rate, hosts_variants
from harness.search.event import AS_IT_IS
from harness.search.finding import Target, broken_in, targets
from harness.search.replay import promised
from harness.simulate import simulate_run

UNKNOWN = 2
WORLDS = ("sim", "hosts")
FOLDER = "attribution"
COLOURS = {"needed": "bold red", "helps": "yellow", "no matter": "dim", "undecided": "magenta", "": ""}


def world_of(where: Path, asked: str | None) -> str:
    """Where it is run again: as asked, else where the run was; a plan in the simulator."""
    if asked is not None:
        if asked not in WORLDS:
            raise PlanError(f"there is no world {asked!r}; use --world sim or --world hosts")
        return asked
    return "sim" if where.is_file() else str(read_folder(runs.find(where)).results.get("world"))


def plan_of(where: Path) -> Plan:
    """The plan that is meant."""
    return promised(where if where.is_file() else runs.find(where) / "plan.toml")


def chosen(found: Sequence[Target], claim: str | None) -> Target | None:
    """The violation that is meant, if it is there."""
    return next((each for each in found if claim in (None, each.claim)), None)


def attribute_in_simulator(where: Path, claim: str | None, seeds: int, jobs: int, *, json: bool) -> int:
    """Run the variants and print; the exit status is 1, as of any violation, or 2 if there is none."""
    if seeds < 1 or jobs < 0:
        raise PlanError("--seeds is 1 or more, --jobs 0 (one for each core) or more")
    plan = plan_of(where)
    run = simulate_run(plan)
    refuse_claim(claim, run.results)
    target = chosen(targets(run), claim)
    if target is None:
        return none_broken(f"{plan.name} with seed {plan.seed}", claim, "in the simulator", json=json)
    found, count = list[Variant](), sum(1 for _ in variants(plan))
    with waiting(f"{target}: {count} variants, {seeds} runs each", quiet=json) as tick:
        for variant in attribute(plan, target, seeds, jobs or os.cpu_count() or 1):
            found.append(variant)
            tick(len(found) / count, f"{variant.without}: {variant.hits} of {variant.runs}")
    return told(where, target, found, {"world": "sim", "seed": plan.seed}, json=json)


def attribute_on_hosts(
    where: Path, claim: str | None, times: int, cluster: str | None, inventory: Path | None, *, json: bool
) -> int:
    """The same on hosts. Ctrl-C ends it after the run under way; whole rounds count."""
    if where.is_file():
        raise PlanError(
            f"{where} is a plan, and on hosts a violation is explained that was seen: run it with `quorate run --world hosts`, and give the folder"
        )
    if times < TIMES_LEAST:
        raise PlanError(
            f"--times is {TIMES_LEAST} or more: with {times} of each variant even all against none may be chance"
        )
    folder, plan = runs.find(where), plan_of(where)
    refuse_impossible(plan, "hosts")
    results = read_folder(folder).results
    refuse_claim(claim, results)
    target = chosen(broken_in(results), claim)
    if target is None:
        return none_broken(str(folder), claim, "", json=json)
    hosts = inventory_of("hosts", inventory, cluster, plan)
    place, made_in = Place(inventory=str(hosts)), folder / FOLDER
    place.refuse(plan.nodes)
    kept_runs, found = list[dict[str, Any]](), list[Variant]()

    def make(without: str, variant: Plan) -> Made:
        return tried_on_hosts(variant, place, made_in / slug(without))

    count = len(hosts_variants(plan)) * times
    with stoppable(), waiting(f"{target}: {count} runs on hosts, one after the other", quiet=json) as tick:
        try:
            for without, seen, whole in by_rate(plan, target, times, make):
                found = whole
                newest = sorted((made_in / slug(without) / plan.name).glob("[0-9]*"))[-1]
                kept_runs.append({"without": without, "seen": seen, "folder": str(newest.relative_to(folder))})  # fmt: skip
                tick(len(kept_runs) / count, f"{without}: {seen}")
        except KeyboardInterrupt:
            if not found:
                raise
    known = read_folder(folder / kept_runs[0]["folder"]).environment
    about = {"world": "hosts", "seed": plan.seed, "cluster": known.get("cluster"), "kind": known.get("kind"), "made": kept_runs}  # fmt: skip
    return told(where, target, found, about, json=json)


def slug(without: str) -> str:
    """The folder for the runs of a variant."""
    return ("" if without == AS_IT_IS else "without-") + without.replace(" ", "-")


def none_broken(what: str, claim: str | None, world: str, *, json: bool) -> int:
    """There is nothing to explain."""
    broken = "no claim" if claim is None else f"the claim {claim!r} not"
    reason = f"{' '.join([what, 'breaks', broken, world]).strip()}; there is nothing to explain"
    emit({"error": reason, "status": UNKNOWN}) if json else say(reason)
    return UNKNOWN


def told(where: Path, target: Target, found: list[Variant], about: Mapping[str, Any], *, json: bool) -> int:
    """Keep it, and print it."""
    said = sentence(found, target)
    whole = {"claim": target.claim, "anomaly": target.anomaly, "sentence": said, **about, "variants": [asdict(each) for each in found]}  # fmt: skip
    report = kept(where, whole)
    if json:
        emit(whole)
        return 1
    show(whole)
    out().print(f"{said}.", markup=False, soft_wrap=True)
    if report is not None:
        out().print(f"It is in the report now: {report}", markup=False, soft_wrap=True)
    return 1


def kept(where: Path, found: Mapping[str, Any]) -> Path | None:
    """Put what was found into the folder of the run and into its report, and return the report; a plan has neither."""
    if where.is_file():
        return None
    folder = runs.find(where)
    runs.write_json(folder / "attribution.json", found)
    return write_report(folder)


def show(found: Mapping[str, Any]) -> None:
    """The table."""
    from rich.table import Table
    from rich.text import Text

    table = Table("the plan", "runs that show it", "95 % interval", "chance", "")
    for *cells, verdict in attribution_table(found):
        table.add_row(*cells, Text(verdict, style=COLOURS[verdict]))
    out().print(table)
