"""The commands about configurations: matrix, advise, choose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import Json, Ray
from harness.cli.search_app import app as app


@app.command()
def matrix(
    file: Annotated[Path, typer.Argument(help="The matrix, a TOML file.", metavar="MATRIX")],
    seeds: Annotated[int | None, typer.Option(help="Runs of each cell, in place of the file's.")] = None,
    budget: Annotated[
        str, typer.Option(help="The longest it may take: 90s, 10m, 1h.", metavar="TIME")
    ] = "1h",
    jobs: Annotated[int, typer.Option(help="Processes that run at the same time; 0: one for each core.")] = 0,
    ray: Ray = None,
    out: Annotated[
        Path, typer.Option(help="Where it is written; the same folder goes on.", metavar="FOLDER")
    ] = Path("matrix"),
    json: Json = False,
) -> int:
    """Try every configuration of a matrix in every environment, and show which guarantee each kept and what it costs.

    Writes matrix.html, matrix.md (to paste into a design document), cells.json, and for each cell that broke something the plan of the
    shortest example. Goes on where it was stopped. With \\[hosts] in the file some cells are run on hosts too. Exit status: 0 when every cell has an
    answer, 1 when a promise of claims.toml is broken, 2 when runs are missing or nothing could be said of a cell, 255 when a run crashed or hosts
    gave trouble.

    Example:

      quorate matrix examples/configurations/matrix.toml --seeds 5
    """
    from harness.cli.matrix import run_matrix

    return run_matrix(file, seeds, budget, jobs, ray, out, json=json)


@app.command()
def advise(
    n: Annotated[int, typer.Option("--n", help="Replicas of each key.")] = 3,
    r: Annotated[int, typer.Option("--r", help="How many of them a read waits for.")] = 2,
    w: Annotated[int, typer.Option("--w", help="How many of them a write waits for.")] = 2,
    mode: Annotated[str | None, typer.Option(help="The system's mode: quorum, register, …")] = None,
    read_repair: Annotated[
        str | None, typer.Option(help="What reads do about replicas behind: none, async or blocking.")
    ] = None,
    sloppy: Annotated[
        bool | None,
        typer.Option("--sloppy/--strict", help="Whether nodes beyond the N replicas may acknowledge writes."),
    ] = None,
    durability: Annotated[
        str | None,
        typer.Option(help="When a write is on disk: always, group:<ms>, interval:<s> or never."),
    ] = None,
    clocks: Annotated[
        str | None, typer.Option(help="What versions are ordered by: hlc (hybrid) or wall.")
    ] = None,
    system: Annotated[str, typer.Option(help="Whose modes they are.")] = "kvstore",
    latency: Annotated[
        str, typer.Option(help="Delays between nodes: constant, uniform, exponential or lognormal.")
    ] = "exponential",
    latency_ms: Annotated[float, typer.Option(help="Their mean, one way.")] = 1.0,
    matrix: Annotated[
        Path | None,
        typer.Option(help="A folder of `quorate matrix`: what was measured stands beside.", metavar="FOLDER"),
    ] = None,
    json: Json = False,
) -> int:
    """Say what theory says of a configuration, with the source of each sentence, and what was measured of it.

    Read repair, sloppy quorums, durability and clocks are choices within a mode. What the system would refuse is refused.

    Examples:

      quorate advise --n 3 --r 1 --w 1 --latency-ms 5

      quorate advise --n 3 --r 2 --w 2 --mode quorum --json

      quorate advise --n 3 --r 2 --w 2 --mode quorum --sloppy --durability interval:1 --clocks wall
    """
    from harness.cli.advise import advise as show_advice
    from harness.pbs import Delays, Quorums

    delays = Delays(latency=latency, latency_ms=latency_ms, latency_ms_min=0.0)
    choices = {"mode": mode, "read_repair": read_repair, "sloppy": sloppy, "durability": durability, "clock": clocks}  # fmt: skip
    return show_advice(system, Quorums(n=n, r=r, w=w), choices, delays, matrix, json=json)


@app.command()
def choose(
    matrix: Annotated[Path, typer.Argument(help="A folder of `quorate matrix`.", metavar="FOLDER")],
    keep: Annotated[
        str | None, typer.Option(help="The level that must not be refuted: linearizable, regular, …")
    ] = None,
    read_p99: Annotated[float | None, typer.Option(help="Reads, in ms, at most.", metavar="MS")] = None,
    write_p99: Annotated[float | None, typer.Option(help="Writes, in ms, at most.", metavar="MS")] = None,
    stale: Annotated[
        float | None, typer.Option(help="Share of stale reads at most, 0.01 for 1 %.", metavar="SHARE")
    ] = None,
    available: Annotated[
        float | None, typer.Option(help="Share of operations that must succeed.", metavar="SHARE")
    ] = None,
    no_loss: Annotated[
        bool, typer.Option("--no-loss", help="No key may have lost an acknowledged write.")
    ] = False,
    survive: Annotated[
        int | None,
        typer.Option(
            help="With so many replicas of a key away it must be read and written, and no acknowledged write be gone; by N, R and W.",
            metavar="NODES",
        ),
    ] = None,
    under: Annotated[
        list[str] | None, typer.Option(help="An environment that counts (repeatable); all by default.")
    ] = None,
    json: Json = False,
) -> int:
    """Name the configurations of a matrix that do what is asked for, the fastest first, with the runs they rest on, and what the others miss.

    Exit status: 1 when none will do.

    Example:

      quorate choose matrix --keep linearizable --write-p99 100 --under partition

      quorate choose matrix --keep regular --survive 1 --no-loss --read-p99 60
    """
    from harness.advice import Wishes
    from harness.cli.advise import choose_one

    wishes = Wishes(keep=keep, read_p99_ms=read_p99, write_p99_ms=write_p99, stale_max=stale, available_min=available, no_loss=no_loss, survive=survive)  # fmt: skip
    return choose_one(matrix, wishes, under or [], json=json)
