"""The tests of Ctrl-C and of a closed terminal pass in a session that `nohup … &` started, which ignores both; tests/conftest.py sees to that."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ONE = "tests/harness/test_matrix_interrupt.py::test_patience_is_kept_where_it_is_asked_for"


def deaf() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "in a worker"])
def test_a_session_in_the_background_hears_ctrl_c(workers: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, ONE],
        cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=deaf,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr
