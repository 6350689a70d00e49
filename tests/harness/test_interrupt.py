"""Ctrl-C, SIGTERM or a closed terminal half way through a simulated run: what was recorded is kept and judged, and it can no longer be VALID."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.polling import poll

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow
PATIENCE_S = 600.0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda sent: sent.name)
def test_ctrl_c_keeps_and_judges_what_was_recorded(sent: signal.Signals, tmp_path: Path) -> None:
    quorate = str(Path(sys.executable).parent / "quorate")
    plan = str(ROOT / "examples" / "register.toml")
    run = subprocess.Popen(
        [quorate, "run", plan, "--time-limit", "100000", "--out", str(tmp_path), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    history = tmp_path / "register" / "latest" / "history.jsonl"

    def written() -> bool:
        assert run.poll() is None, run.communicate()
        return history.exists() and history.stat().st_size > 200_000

    poll(written, wait_s=PATIENCE_S)
    run.send_signal(sent)
    out, err = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, "Traceback" in err) == (2, False), err
    results = json.loads(out)
    assert results["outcome"] == "unknown"
    assert "interrupted" in results["reason"]
    assert results["levels"]["linearizable"]["verdict"] == "valid"
    assert history.read_bytes().endswith(b"\n")
    assert (tmp_path / "register" / "latest" / "report.html").exists()
    faults = [json.loads(line) for line in (history.parent / "faults.jsonl").read_text().splitlines()]
    assert all(fault["healed"] or fault["note"] for fault in faults)


def test_ctrl_c_while_modules_are_loaded_has_no_trace() -> None:
    """Wherever the first module of a command stands, the signal may come there."""
    program = """
import sys
class Struck:
    def find_spec(self, name, path=None, target=None):
        if name == "harness.cli.app":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Struck())
from harness.cli import main
sys.argv = ["quorate", "version"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr == "error: stopped by Ctrl-C; what a run had recorded until then is kept\n"
