"""The commands that read what runs left: review, serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import Json
from harness.cli.campaign_app import app as app


@app.command()
def review(
    places: Annotated[
        list[Path], typer.Argument(help="Run folders, or one campaign file.", metavar="RUN...|CAMPAIGN")
    ],
    ledger: Annotated[
        Path,
        typer.Option(help="Of a campaign: the folder that its nights were written to.", metavar="FOLDER"),
    ] = Path("campaign"),
    out: Annotated[Path, typer.Option(help="Where the document goes.", metavar="FOLDER")] = Path("review"),
    json: Json = False,
) -> int:
    """Write one document for a design review: what was claimed, tested and found, which event it needs, what was not tested, what follows.

    Writes review.html (print it to PDF in a browser) and review.md, and prints their paths.

    Examples:

      quorate review runs/quorum/latest runs/register/latest

      quorate review campaigns/smoke.toml --ledger smoke
    """
    from harness.cli.review import write_review

    return write_review(places, ledger, out, json=json)


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(help="Where the run folders are.", metavar="FOLDER")] = Path(
        "runs"
    ),
    host: Annotated[
        str, typer.Option(help="The address to listen on; only this machine can reach the usual one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8000,
) -> int:
    """Show run folders in a browser: a list to search, filter and sort, their pages and files, and each as a zip. Nothing is written.

    A run that goes on has a page of what it has recorded so far. Whoever can reach the address can read all runs: there is no password.

    Example:

      quorate serve runs --port 8000
    """
    from harness.cli.serve import serve_runs

    return serve_runs(folder, host, port)
