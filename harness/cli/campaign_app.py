"""The commands of `quorate campaign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import Json, Ray
from harness.cli.configuration_app import app as app

campaign = typer.Typer(help="Many runs night after night: what is new, what is rare, what is resolved.", rich_markup_mode="rich")  # fmt: skip
app.add_typer(campaign, name="campaign")

File = Annotated[Path, typer.Argument(help="The campaign, a TOML file.", metavar="CAMPAIGN")]
Id = Annotated[
    str, typer.Argument(help="The id of a finding, from the morning or `status`.", metavar="FINDING")
]
Folder = Annotated[Path, typer.Option("--out", help="Where the ledger and the pages are.", metavar="FOLDER")]


@campaign.command("run")
def campaign_run(
    file: File,
    jobs: Annotated[int, typer.Option(help="Processes that run at the same time; 0: one for each core.")] = 0,
    budget: Annotated[
        str | None, typer.Option(help="The longest it may take, in place of the file's.", metavar="TIME")
    ] = None,
    ray: Ray = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Make nothing; say how long the night will take.")
    ] = False,
    out: Folder = Path("campaign"),
    json: Json = False,
) -> int:
    """Make tonight's runs; go on with a night that was cut off.

    Exit status: 1 when a finding is there that nobody has accepted, 255 after a crash or trouble with the machine, 2 when runs are missing,
    unknown or vacuous, else 0. With --estimate: 2 when the budget is too short.

    Example:

      quorate campaign run campaigns/smoke.toml --out smoke
    """
    from harness.cli.campaign import run_campaign

    return run_campaign(file, jobs, ray, budget, out, estimate=estimate, json=json)


@campaign.command("report")
def campaign_report(
    file: File,
    form: Annotated[
        str, typer.Option("--format", help="text, html, md, json, junit, sarif, or github (annotations).")
    ] = "text",
    out: Folder = Path("campaign"),
) -> int:
    """Tell what the last night left, with the exit status of that night."""
    from harness.cli.campaign import report_campaign

    return report_campaign(file, form, out)


@campaign.command("diff")
def campaign_diff(
    file: File,
    earlier: Annotated[int, typer.Argument(help="A night, counted from 0.")],
    later: Annotated[int, typer.Argument(help="Another.")],
    out: Folder = Path("campaign"),
    json: Json = False,
) -> int:
    """Say which findings are new in the later night, gone in it, and in both. Exit status: 1 when something is new."""
    from harness.cli.campaign import diff_nights

    return diff_nights(file, earlier, later, out, json=json)


@campaign.command("status")
def campaign_status(file: File, out: Folder = Path("campaign"), json: Json = False) -> int:
    """Say where the nights stand: the last one, how far one is that has not ended, and what is open. Nothing is run or written.

    Example:

      quorate campaign status campaigns/smoke.toml --out smoke
    """
    from harness.cli.campaign_status import status_campaign

    return status_campaign(file, out, json=json)


@campaign.command("show")
def campaign_show(file: File, finding: Id, out: Folder = Path("campaign"), json: Json = False) -> int:
    """Tell of one finding: night after night, its rate, its example, and the command that makes it again.

    Example:

      quorate campaign show campaigns/smoke.toml 3419363c --out smoke
    """
    from harness.cli.campaign_status import show_finding

    return show_finding(file, finding, out, json=json)


@campaign.command("replay")
def campaign_replay(file: File, finding: Id, out: Folder = Path("campaign"), json: Json = False) -> int:
    """Make the example of a finding again in the simulator, and say whether it came back, byte for byte or otherwise.

    Exit status: 1 when it came back; else that of the run: 0 ok, 2 unknown or vacuous, 1 another violation, 255 a crash.

    Example:

      quorate campaign replay campaigns/smoke.toml 3419363c --out smoke
    """
    from harness.cli.campaign_status import replay_finding

    return replay_finding(file, finding, out, json=json)


@campaign.command("runs")
def campaign_runs(
    file: File,
    night: Annotated[int | None, typer.Option(help="Of this night only, counted from 0.")] = None,
    item: Annotated[str | None, typer.Option(help="Of this item only.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="violation, crash, infrastructure, unknown, vacuous or ok.")
    ] = None,
    finding: Annotated[
        str | None, typer.Option(help="That show this finding, or one of its family.", metavar="FINDING")
    ] = None,
    out: Folder = Path("campaign"),
    json: Json = False,
) -> int:
    """List the runs of all nights, or some of them: seed, outcome, and the findings they show.

    Example:

      quorate campaign runs campaigns/smoke.toml --outcome violation --out smoke
    """
    from harness.cli.campaign_status import list_runs

    return list_runs(file, night, item, outcome, finding, out, json=json)
