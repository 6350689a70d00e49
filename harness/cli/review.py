"""`quorate review`: one document of several runs, or of a campaign, for a design review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness import runs
from harness.cli.console import emit, readable
from harness.plan import PlanError
from harness.report.folder import read_folder
from harness.report.review import review_html, review_markdown
from harness.report.study import Study, study_of_runs


def write_review(places: Sequence[Path], ledger: Path, folder: Path, *, json: bool) -> int:
    """Write review.html and review.md; the exit status is 0."""
    files = [place for place in places if place.is_file()]
    if files and len(places) > 1:
        raise PlanError("give either run folders or one campaign file; they are counted in different ways")
    study = of_campaign(readable(files[0]), ledger) if files else of_runs(places)
    folder.mkdir(parents=True, exist_ok=True)
    page, text = folder / "review.html", folder / "review.md"
    runs.write_text(page, review_html(study))
    runs.write_text(text, review_markdown(study))
    if json:
        findings = [{key: value for key, value in asdict(each).items() if key != "bars"} for each in study.findings]  # fmt: skip
        emit({"html": str(page), "markdown": str(text), "findings": findings})
    else:
        print(page)
        print(text)
    return 0


def of_runs(places: Sequence[Path]) -> Study:
    """Run folders, each once though it be named twice."""
    return study_of_runs([read_folder(folder) for folder in dict.fromkeys(runs.find(place) for place in places)])  # fmt: skip


def of_campaign(path: Path, folder: Path) -> Study:
    """What the ledger of a campaign has."""
    from harness.campaign.file import load_campaign
    from harness.campaign.ledger import opened
    from harness.campaign.studied import study_of_campaign
    from harness.cli.campaign import LEDGER, gathered

    campaign = load_campaign(path)
    with opened(folder / LEDGER) as ledger:
        found = gathered(campaign, ledger, folder)
        if found is None:
            raise PlanError(f"{folder} holds no night yet; begin with `quorate campaign run {path}`")
        return study_of_campaign(campaign, ledger.records(), found.findings, found.ways, found.night.version)
