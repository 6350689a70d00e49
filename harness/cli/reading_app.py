"""The commands that read what runs left: review."""

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
