"""The commands that look for violations, make them small and say what they need: explore, shrink, replay, attribute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import Json, Out, Ray
from harness.cli.app import app as app
from harness.plan import PlanError


@app.command()
def explore(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.", metavar="PLAN")],
    runs: Annotated[int, typer.Option(help="How many runs in all, those of before included.")] = 1000,
    budget: Annotated[
        str, typer.Option(help="The longest it may take: 90s, 10m, 1h.", metavar="TIME")
    ] = "10m",
    jobs: Annotated[int, typer.Option(help="Processes that run at the same time; 0: one for each core.")] = 0,
    ray: Ray = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="seeds: the plan under one seed after the other; swarm: variations of it; pct: its messages scheduled by priorities; points: faults when a node comes to a point; novelty: changes of runs in which something new happened; lineage: faults on the nodes that an answer rests on."
        ),
    ] = "seeds",
    stop: Annotated[bool, typer.Option("--stop", help="Stop at the first finding.")] = False,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change the plan: --set system.mode=eventual (repeatable).", metavar="KEY=VALUE"
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where it is written; the same folder goes on.", metavar="FOLDER")
    ] = Path("explored"),
    json: Json = False,
) -> int:
    """Make many runs of a plan in the simulator and gather what breaks a claim. Goes on where it was stopped.

    Exit status: 1 when a claim was broken, 255 when a run crashed, 2 when nothing or not every run could be judged, else 0.

    Examples:

      quorate explore examples/quorum.toml --runs 200 --budget 5m

      quorate explore examples/register.toml --strategy swarm --stop
    """
    from harness.cli.explore import explore_plan

    return explore_plan(plan, runs, budget, jobs, ray, strategy, stop, change or [], out, json=json)


@app.command()
def shrink(
    run: Annotated[Path, typer.Argument(help="A run folder, or a plan with its seed.", metavar="RUN")],
    claim: Annotated[
        str | None,
        typer.Option(help="The claim whose violation is meant; by default the first that is broken."),
    ] = None,
    unless: Annotated[
        list[str] | None,
        typer.Option(
            help="The cause that is meant: with this change the claim is kept, --unless system.anti_entropy_ms=300 (repeatable). By default no mistake in the system.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="The longest it may take: 90s, 10m, 1h.", metavar="TIME")
    ] = "60s",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the result goes; by default 'shrunk' in the run's folder.", metavar="FOLDER"
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Make a violation small: leave out operations, faults, nodes and clients until nothing can be left out.

    Writes plan.toml (the smallest plan), story.md (what went wrong, with every message drawn) and a pytest file that
    shows it for ever. Exit status: 1, as of any violation; 2 if the run shows none, or shows it with the change of --unless as well.

    Examples:

      quorate shrink runs/eventual/latest --budget 30s

      quorate shrink explored/findings/3.toml --unless system.mode=register
    """
    from harness.cli.search import shrink_run

    return shrink_run(run, claim, unless or [], budget, out, json=json)


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="A run folder, or a plan with its seed.", metavar="RUN")],
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Draw what each node did: operations, faults, messages. Of a run that is stopped, what came last.",
        ),
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(
            help="Stop before the first event after this time of the run, and show each node's state.",
            metavar="TIME",
        ),
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(help="The same, before this record of the history: #424 is 424.", metavar="RECORD"),
    ] = None,
    world: Annotated[str, typer.Option(help="sim, or hosts: run it again there and count.")] = "sim",
    times: Annotated[int, typer.Option(help="How often, on hosts.")] = 1,
    settle: Annotated[
        str,
        typer.Option(
            help="Of a script: time after each start and end of a fault before anything else. Hosts need some 500ms.",
            metavar="TIME",
        ),
    ] = "0s",
    cluster: Annotated[str | None, typer.Option(help="The cluster, on hosts.")] = None,
    out: Out = Path("runs"),
    json: Json = False,
) -> int:
    """Run the same again. In the simulator it must be the same byte for byte; on hosts it is said how often the anomaly came back.

    Examples:

      quorate replay runs/eventual/latest --trace

      quorate replay runs/eventual/latest --until 2.15s --trace

      quorate replay runs/eventual/latest --before 424

      sudo quorate replay shrunk/plan.toml --world hosts --times 20 --settle 500ms
    """
    from harness.cli.search import replay_run

    return replay_run(run, trace, until, before, world, times, settle, cluster, out, json=json)


@app.command()
def attribute(
    run: Annotated[Path, typer.Argument(help="A run folder, or a plan with its seed.", metavar="RUN")],
    claim: Annotated[
        str | None,
        typer.Option(help="The claim whose violation is meant; by default the first that is broken."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each variant, in the simulator.")] = 40,
    jobs: Annotated[int, typer.Option(help="Processes that run at the same time; 0: one for each core.")] = 0,
    world: Annotated[
        str | None, typer.Option(help="sim or hosts: where it is run again; by default where the run was.")
    ] = None,
    times: Annotated[int, typer.Option(help="Runs of each variant, on hosts; 5 or more.")] = 10,
    cluster: Annotated[str | None, typer.Option(help="The cluster, on hosts.")] = None,
    inventory: Annotated[
        Path | None, typer.Option(help="Hosts that quorate did not make.", metavar="FILE")
    ] = None,
    json: Json = False,
) -> int:
    """Say which faults a violation needs: run the plan without one of them at a time, and compare how often it shows.

    In the simulator under many seeds; of a run on hosts on hosts, again and again with its own seed, one run after the other.

    Exit status: 1, as of any violation; 2 if the run shows none.

    Examples:

      quorate attribute examples/monotonic_skewed.toml --seeds 20

      sudo quorate attribute runs/eventual/latest --world hosts --times 5
    """
    from harness.cli.attribute import attribute_in_simulator, attribute_on_hosts, world_of

    if world_of(run, world) == "hosts":
        return attribute_on_hosts(run, claim, times, cluster, inventory, json=json)
    if cluster is not None or inventory is not None:
        raise PlanError("--cluster and --inventory go with --world hosts; add it, or leave them out")
    return attribute_in_simulator(run, claim, seeds, jobs, json=json)
