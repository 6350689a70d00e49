"""`quorate doctor`: what this machine has, what it lacks, and the command that mends it."""

from __future__ import annotations

from dataclasses import asdict

from harness import doctor
from harness.cli.console import BROKEN, emit, out

WIDTH_MAX = 10_000
"""Of a line of the table: as wide as it is."""


def show_doctor(*, json: bool) -> int:
    """Look, and say what was found; 255 when something is missing."""
    findings = doctor.diagnose()
    missing = [finding for finding in findings if finding.needed and not finding.ok]
    if json:
        emit({"ok": not missing, "findings": [asdict(finding) for finding in findings]})
        return BROKEN if missing else 0
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for heading in ("", "what", "found", "mend it with"):
        table.add_column(heading)
    for finding in findings:
        lack = Text("missing", style="bold red") if finding.needed else Text("optional", style="yellow")
        mark = Text("ok", style="green") if finding.ok else lack
        table.add_row(
            mark, Text(finding.name), Text(finding.detail), Text("" if finding.ok else finding.mend)
        )
    console = out()
    console.width = console.measure(table, options=console.options.update(max_width=WIDTH_MAX)).maximum
    console.print(table)  # a line each, also in a narrow terminal
    return BROKEN if missing else 0
