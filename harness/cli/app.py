"""The commands and their options. Each command imports what it needs when it runs, so that `quorate version` is quick."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="quorate",
    help="Tells you whether a replicated store keeps its promises.",
    epilog="Exit status: 0 valid, 1 invalid, 2 unknown, 254 bad arguments or input, 255 a crash or the infrastructure.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
hosts = typer.Typer(
    help="Make, remove and list local hosts for `quorate run --world hosts` (as root).",
    rich_markup_mode="rich",
)
app.add_typer(hosts, name="hosts")
for _point in entry_points(group="quorate.commands"):  # what installed systems add, such as `quorate cluster`
    app.add_typer(_point.load(), name=_point.name)

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="On the Ray cluster whose head is there, not here (extra \\[cluster]).",
        metavar="HOST:PORT",
    ),
]
Timeout = Annotated[
    float | None, typer.Option(help="Seconds a search may take; UNKNOWN after that.", metavar="S")
]
Memory = Annotated[
    float | None, typer.Option(help="Megabytes a search may use; UNKNOWN after that.", metavar="MB")
]
Initial = Annotated[
    str | None,
    typer.Option(help="The object's first value, as JSON; by default nothing, 0 or empty.", metavar="V"),
]
KeyBy = Annotated[
    str | None,
    typer.Option(
        help="Where the key is, if not in 'key': a position in the values (0 for \\[k, v]), or the name of a field of them.",
        metavar="F",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Where run folders go.", metavar="FOLDER")]


def told_version(asked: bool) -> None:
    """What `--version` does, before a command is looked for."""
    if asked:
        raise typer.Exit(version())


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="After a crash of quorate itself, print the trace.")
    ] = False,
    number: Annotated[
        bool, typer.Option("--version", callback=told_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Tells you whether a replicated store keeps its promises. Start with `quorate demo`."""


@app.command()
def demo(json: Json = False, out: Out = Path("runs")) -> int:
    """Show which configurations of the reference store keep their promise and which do not, with proof.

    Runs in the simulator with fixed seeds, takes under a minute, and needs no rights.
    Exit status: 0 when every row did what it is there to show, 1 when a promise that should hold was broken,
    2 when a violation that should be found was not.
    """
    from harness.cli.demo import show_demo

    return show_demo(out, json=json)


@app.command()
def run(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file.", metavar="PLAN")],
    world: Annotated[
        str, typer.Option(help="Where the nodes run: sim (this process) or hosts (over SSH).")
    ] = "sim",
    seed: Annotated[int | None, typer.Option(help="In place of the plan's seed.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds, in place of the plan's.")] = None,
    inventory: Annotated[
        Path | None,
        typer.Option(help="The hosts, for --world hosts; by default the only cluster that is up."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="The cluster made by `quorate hosts up`, in place of --inventory.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change the plan: --set system.mode=eventual (repeatable).", metavar="KEY=VALUE"
        ),
    ] = None,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast", help="End the load at the first violation that is seen while it runs."),
    ] = False,
    tape: Annotated[
        bool,
        typer.Option("--tape", help="In the simulator: record every random draw, in the run's tape.jsonl."),
    ] = False,
    out: Out = Path("runs"),
    json: Json = False,
) -> int:
    """Run a plan, judge what happened, and leave a run folder with a report.

    Examples:

      quorate run examples/register.toml

      quorate run examples/register.toml --seed 8 --set system.mode=eventual

      sudo quorate run examples/register.toml --world hosts --inventory hosts.toml
    """
    from harness.cli.run import run_plan

    return run_plan(
        plan, world, seed, time_limit, inventory, cluster, change or [], out, fail_fast=fail_fast, tape=tape, json=json
    )  # fmt: skip


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="Histories: JSONL, Jepsen's EDN or log, elle-cli's JSON.", metavar="FILE..."),
    ],
    model: Annotated[
        str, typer.Option(help="What the operations are: register, set-full, bank …; a wrong name lists all.")
    ] = "register",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="How the files are written: jsonl, edn, json or log; auto looks.",
            metavar="FORMAT",
        ),
    ] = "auto",
    engine: Annotated[
        str,
        typer.Option(
            help="auto, zones, polynomial, search or knossos; for objects with a sequential meaning."
        ),
    ] = "auto",
    timeout: Timeout = None,
    memory: Memory = None,
    initial: Initial = None,
    key_by: KeyBy = None,
    vacuous: Annotated[
        str,
        typer.Option(
            help="The verdict if nothing succeeded: unknown, or valid as other checkers say.", metavar="V"
        ),
    ] = "unknown",
    ray: Ray = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why, operation by operation.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write one HTML page of the verdicts too.", metavar="OUT.HTML")
    ] = None,
    json: Json = False,
) -> int:
    """Judge recorded histories: is there an order of the operations that a single copy could have produced?

    Exit status: the worst file's, of INVALID 1, a crash 255, bad input 254, UNKNOWN 2, VALID 0. A file that cannot be read does not stop the others.

    Examples:

      quorate check runs/register-under-faults/latest/history.jsonl

      quorate check --format edn store/latest/history.edn

      quorate check --model fifo-queue --explain --report verdict.html *.jsonl

      quorate check --json *.jsonl | jq .verdict
    """
    from harness.cli.check import Options, check_files

    options = Options(model, form, engine, timeout, memory, initial, key_by, explain, vacuous)
    return check_files(files, options, ray=ray, json=json, report=report)


@app.command()
def compare(
    file: Annotated[Path, typer.Argument(help="A history of reads and writes of registers.", metavar="FILE")],
    form: Annotated[
        str,
        typer.Option(
            "--format", help="How the file is written: jsonl, edn, json or log; auto looks.", metavar="FORMAT"
        ),
    ] = "auto",
    timeout: Timeout = None,
    memory: Memory = None,
    initial: Initial = None,
    key_by: KeyBy = None,
    json: Json = False,
) -> int:
    """Judge a history by every level, from safe to linearizable: which is the strongest it kept?

    The exit status is 1 if a level is refuted.

    Example:

      quorate compare runs/register-under-faults/latest/history.jsonl
    """
    from harness.cli.check import Options
    from harness.cli.compare import compare_file

    options = Options(form=form, timeout_s=timeout, memory_mb=memory, initial=initial, key_by=key_by)
    return compare_file(file, options, json=json)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    other: Annotated[
        Path | None, typer.Argument(help="Another, to be compared with the first.", metavar="OTHER")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="html and pdf write a page and print its path; md and json print the report. By default html, and of two runs md. A pdf needs Chromium.",
            metavar="FORM",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Write the report of a run again, or print it as Markdown or JSON; with two runs, say what is new, gone and different.

    A page of two runs is comparison.html in the folder of the second. The exit status is 1 then if a guarantee is newly broken in the second.

    Examples:

      quorate report runs/register/latest --format md

      quorate report runs/register/latest runs/eventual/latest
    """
    from harness.cli.report import report_run

    return report_run(run, other, form, json=json)


@app.command()
def doctor(json: Json = False) -> int:
    """Look at this machine, name each thing that is missing and the command that mends it.

    Exit status: 0 when nothing is missing, 255 when something is.
    """
    from harness.cli.doctor import show_doctor

    return show_doctor(json=json)


@app.command()
def node(
    config: Annotated[
        Path, typer.Option("--config", help="The node's configuration, a TOML file.", metavar="FILE")
    ],
    system: Annotated[
        str, typer.Option(help="Whose node; needed only if several systems are installed.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Its disk was lost: wait until it is replaced, do not end.")
    ] = False,
) -> int:
    """Start one store node in the foreground; end it with Ctrl-C.

    Example:

      quorate node --config node.toml
    """
    from harness.cli.node import start_node

    return start_node(config, system, replace=replace)


@app.command()
def version(json: Json = False) -> int:
    """Print the version, and whether the code is compiled."""
    from importlib.metadata import version as installed

    from harness.cli.console import emit
    from harness.compiled import how

    number = installed("quorate")
    emit({"version": number, "modules": how()}) if json else print(f"quorate {number}, {how()}")
    return 0


@hosts.command("up")
def hosts_up(
    kind: Annotated[
        str,
        typer.Option(
            help="How they are made: netns (network namespaces), docker (containers), qemu (emulated machines); vagrant: an inventory of machines that are up."
        ),
    ] = "netns",
    count: Annotated[int, typer.Option("-n", "--count", help="How many.")] = 5,
    name: Annotated[str, typer.Option(help="The name of the cluster.")] = "quorate",
    json: Json = False,
) -> int:
    """Make local hosts with their own address and sshd, and print the path of their inventory.

    Example:

      sudo quorate hosts up --kind netns -n 5

    The first hosts of kind docker or qemu take some minutes: a small Debian is made for them, with packages from apt's mirror.
    """
    from harness.cli.hosts import up

    return up(kind, count, name, json=json)


@hosts.command("compose")
def hosts_compose(
    folder: Annotated[Path, typer.Argument(help="The directory to make.", metavar="FOLDER")],
    count: Annotated[int, typer.Option("-n", "--count", help="How many.")] = 5,
    name: Annotated[str, typer.Option(help="The name of the cluster, in the inventory.")] = "compose",
    subnet: Annotated[
        str, typer.Option(help="Their addresses; nothing else may use them.")
    ] = "10.214.0.0/24",
    json: Json = False,
) -> int:
    """Write a compose file with Dockerfile, keys and inventory, for the Docker that is here. Starts nothing; asks no registry.

    Example:

      sudo quorate hosts compose lab && docker-compose -f lab/docker-compose.yml up -d --build
    """
    from harness.cli.hosts import compose

    return compose(folder, name, count, subnet, json=json)


@hosts.command("down")
def hosts_down(
    name: Annotated[
        str | None, typer.Option(help="The name of the cluster; needed only if there are several.")
    ] = None,
    json: Json = False,
) -> int:
    """Remove every trace of a cluster, also after a crash."""
    from harness.cli.hosts import down

    return down(name, json=json)


@hosts.command("heal")
def hosts_heal(
    name: Annotated[
        str | None, typer.Option(help="The name of the cluster; needed only if there are several.")
    ] = None,
    inventory: Annotated[
        Path | None, typer.Option(help="The hosts, in place of a cluster of ours.", metavar="FILE")
    ] = None,
    json: Json = False,
) -> int:
    """Remove every fault of ours from hosts: dropped packets, a stopped process, a shifted clock. Says what it found.

    A harness that died leaves none for long: each host heals itself when its lease ends (\\[hosts] lease_s, 20 s).
    """
    from harness.cli.hosts import heal

    return heal(name, inventory, json=json)


@hosts.command("list")
def hosts_list(json: Json = False) -> int:
    """List the clusters that are up."""
    from harness.cli.hosts import show_list

    return show_list(json=json)
