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
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900).stdout
    passed = re.findall(r"^\[(gw\d)\].* PASSED ", said, re.M)
    assert len(passed) == 6, said
    assert len(set(passed)) == 1, said


OTHERS = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("number", range(9))
def test_quick(number):
    (Path(__file__).parent / f"{number}").touch()

@pytest.mark.slow
def test_slow():
    pass
"""
ON_HOSTS = """
from pathlib import Path
import pytest
from tests.polling import poll

@pytest.mark.parametrize("number", range(9))
def test_on_hosts(number):
    poll(lambda: all((Path(__file__).parents[1] / f"{each}").exists() for each in range(9)), wait_s=300)
"""


@pytest.mark.parametrize("workers", [2, 3])
def test_while_hosts_are_waited_for_another_worker_does_the_rest(workers: int, tmp_path: Path) -> None:
    """The hosts wait for all the others, so that whoever puts them in all workers waits for ever."""
    (tmp_path / "tests" / "hosts").mkdir(parents=True)
    (tmp_path / "tests" / "hosts" / "test_on_hosts.py").write_text(ON_HOSTS)
    (tmp_path / "tests" / "test_others.py").write_text(OTHERS)
    (tmp_path / "tests" / "conftest.py").write_bytes((Path(__file__).parent / "conftest.py").read_bytes())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: longer\n")
    command = [sys.executable, "-m", "pytest", "-v", "-n", str(workers), "--dist", "loadgroup", "tests"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900).stdout
    assert "19 passed" in said, said
    passed = re.findall(r"^\[(gw\d)\].* PASSED .*::(\w+)", said, re.M)
    [other] = [worker for worker, name in passed if name == "test_slow"]
    assert [name for worker, name in passed if worker == other][:10] == ["test_slow"] + ["test_quick"] * 9
