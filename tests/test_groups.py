"""Tests of one group run one after the other, in one worker: a browser, cargo and the control groups are there once on a machine.

pytest-xdist told of groups in the ids of tests; where pytest lets no id be changed, groups are gone and nothing says so.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TOGETHER = """
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_together(number):
    pass
"""


def test_a_group_has_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_together.py").write_text(TOGETHER)
    command = [sys.executable, "-m", "pytest", "-v", "-n", "2", "--dist", "loadgroup", "-c", "/dev/null", "test_together.py"]  # fmt: skip
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120).stdout
    passed = re.findall(r"^\[(gw\d)\].* PASSED ", said, re.M)
    assert len(passed) == 6, said
    assert len(set(passed)) == 1, said
