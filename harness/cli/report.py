"""`quorate report`: the page of a run, the same as Markdown or JSON, and two runs side by side."""

from __future__ import annotations

from pathlib import Path

from harness import runs
from harness.cli.console import emit
from harness.plan import PlanError
from harness.report import write_report
from harness.report.folder import read_folder
from harness.report.markdown import compared, comparison_markdown, run_markdown

FORMS = ("html", "md", "json")


def report_run(run: Path, other: Path | None, form: str, *, json: bool) -> int:
    """Write or print; the exit status is 0, or of two runs 1 if a guarantee is newly broken."""
    if form not in FORMS:
        raise PlanError(f"there is no form {form!r}; use one of {', '.join(FORMS)}")
    if other is not None:
        found = compared(read_folder(runs.find(run)), read_folder(runs.find(other)))
        emit(found) if form == "json" else print(comparison_markdown(found), end="")
        return int(any(each["became"] == "newly broken" for each in found["guarantees"]))
    if form == "md":
        print(run_markdown(read_folder(run)), end="")
    elif form == "json":
        emit(read_folder(run).results)
    else:
        path = write_report(run)
        emit({"report": str(path)}) if json else print(path)
    return 0
