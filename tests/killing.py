"""A program and all that it started, killed at a moment that no test chooses for it."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any


def killed(process: subprocess.Popen[Any], later_s: float) -> bool:
    """Kill a process that leads a session, and the session with it, so much later; False if it had ended by itself."""
    with suppress(subprocess.TimeoutExpired):  # no moment is safer than another
        process.wait(timeout=later_s)
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True
