"""The tests of Ctrl-C pass in a session that a script started with `&`, which is deaf to SIGINT until tests/conftest.py mends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ONE = "tests/harness/test_matrix_interrupt.py::test_patience_is_kept_where_it_is_asked_for"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "in a worker"])
def test_a_session_in_the_background_hears_ctrl_c(workers: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, ONE],
        cwd=ROOT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr
