"""`quorate doctor`: what this machine has, what it lacks, and the command that mends it."""

from __future__ import annotations

from dataclasses import asdict

from harness import doctor
from harness.cli.console import BROKEN, emit, out


def show_doctor(*, json: bool) -> int:
    """Look, and say what was found; 255 when something is missing."""
    findings = doctor.examine()
    missing = [finding for finding in findings if not finding.ok]
    if json:
        emit({"ok": not missing, "findings": [asdict(finding) for finding in findings]})
        return BROKEN if missing else 0
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for heading in ("", "needed for", "what", "found", "mend it with"):
        table.add_column(heading)
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("missing", style="bold red")
        table.add_row(mark, finding.what, finding.detail, finding.mend)
    out().print(table)
    return BROKEN if missing else 0
