"""The report of a run: one HTML file that a stranger understands and that loads nothing from anywhere."""

from harness.report.comparison import write_comparison
from harness.report.page import write_report

__all__ = ["write_comparison", "write_report"]
