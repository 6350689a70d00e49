"""What a run left, in whichever world: what campaigns and matrices count.

simulator ─► SimRun (harness.simulate)  ┐
hosts ─► run folder ─► `read_folder`    ┴─► Made: history, faults, results, verdict
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from checkers import History
from checkers.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Made:
    """A run that came to its end. `lines` and `fault_lines` are the bytes of history.jsonl and faults.jsonl."""

    history: History
    faults: list[dict[str, Any]]
    results: dict[str, Any]
    verdict: Verdict
    lines: bytes
    fault_lines: bytes

    @property
    def digest(self) -> str:
        """Of history and faults: two runs with the same digest are the same, byte for byte."""
        return sha256(self.lines + self.fault_lines).hexdigest()[:32]


def read_folder(folder: Path, results: Mapping[str, Any], verdict: Verdict) -> Made:
    """The run in a folder, judged already."""
    lines, fault_lines = ((folder / name).read_bytes() for name in ("history.jsonl", "faults.jsonl"))
    faults = [json.loads(line) for line in fault_lines.splitlines()]
    return Made(History.parse(lines), faults, dict(results), verdict, lines, fault_lines)
