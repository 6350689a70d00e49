"""A page that cannot be written to its end leaves the one that was there as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

QUORATE = str(Path(sys.executable).parent / "quorate")
COMMANDS = {
    "run/report.html": ["report", "run"],
    "page.html": ["check", "run/history.jsonl", "--report", "page.html"],
    "review/review.html": ["review", "run", "--out", "review"],
}


@pytest.mark.slow
@pytest.mark.parametrize("page", COMMANDS)
def test_a_page_is_there_whole_or_as_it_was(page: str, tmp_path: Path) -> None:
    """Files of more than 16 KiB cannot be made, and the pages are longer."""
    run_folders.make(tmp_path / "run", ops=300)
    command = [QUORATE, *COMMANDS[page]]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode in (0, 1)
    before = (tmp_path / page).read_bytes()
    assert len(before) > 16_384
    done = subprocess.run(["bash", "-c", 'ulimit -f 16; exec "$@"', "bash", *command], cwd=tmp_path, capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 255, done.stderr
    assert b"File too large" in done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / page).read_bytes() == before
