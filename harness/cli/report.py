"""`quorate report`: the page of a run, the same as PDF, Markdown or JSON, and two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import runs
from harness.cli.console import emit, say
from harness.paper import print_page
from harness.plan import PlanError
from harness.report import write_report
from harness.report.comparison import versus_html
from harness.report.folder import RunFiles, read_folder
from harness.report.markdown import run_markdown
from harness.report.versus import compared, comparison_markdown

FORMS = ("html", "md", "json", "pdf")


def report_run(run: Path, other: Path | None, form: str | None, *, json: bool) -> int:
    """Write or print; the exit status is 0, or of two runs 1 if a guarantee is newly broken."""
    if form is not None and form not in FORMS:
        raise PlanError(f"there is no form {form!r}; use one of {', '.join(FORMS)}")
    if other is not None:
        both = [noted(read_folder(runs.find(each))) for each in (run, other)]
        found = compared(*both)
        show_two(found, runs.find(other), form or ("json" if json else "md"), json=json)
        return int(any(each["became"] == "newly broken" for each in found["guarantees"]))
    if form == "md":
        print(run_markdown(noted(read_folder(run))), end="")
    elif form == "json":
        read = noted(read_folder(run))
        emit({**read.results, "changed": read.changed} if read.changed else read.results)
    else:
        noted(read_folder(run))
        path = write_report(run)
        tell(print_page(path, path.with_suffix(".pdf")) if form == "pdf" else path, json=json)
    return 0


def noted(run: RunFiles) -> RunFiles:
    """The same run; what was changed in its folder is said on stderr."""
    for line in run.changed:
        say(f"{run.folder}: {line}")
    return run


def show_two(found: Mapping[str, Any], folder: Path, form: str, *, json: bool) -> None:
    """Two runs; a page of them goes into the folder of the second."""
    if form == "md":
        print(comparison_markdown(found), end="")
    elif form == "json":
        emit(found)
    else:
        path = folder / "comparison.html"
        runs.write_text(path, versus_html(found))
        tell(print_page(path, path.with_suffix(".pdf")) if form == "pdf" else path, json=json)


def tell(path: Path, *, json: bool) -> None:
    """What was written."""
    emit({"report": str(path)}) if json else print(path)
