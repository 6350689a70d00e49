"""An fsync that fails ends the node before it answers: a second one would report success for pages that the kernel has dropped."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path

import pytest

from tests.kvstore.failing_disk import NUMBERS
from tests.kvstore.live import READY_S, LiveCluster, ask
from tests.polling import poll

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine() not in NUMBERS, reason="the numbers of its system calls are not listed"
    ),
]
LAUNCHER = Path(__file__).with_name("failing_disk.py")


def poll_log(made: LiveCluster, words: str) -> str:
    """The log, once these words are in it."""
    log = made.folder / "n1.log"
    poll(lambda: words in log.read_text(), wait_s=READY_S, told=log.read_text)
    return log.read_text()


@pytest.mark.parametrize("durability", ["always", "group:5", "interval:0.2"])
def test_a_node_whose_fsync_fails_ends_and_has_acknowledged_nothing_that_is_lost(
    tmp_path: Path, durability: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    made = LiveCluster(tmp_path, 1, bucket=f'mode = "quorum"\nn = 1\ndurability = "{durability}"')
    try:
        made.python = [sys.executable, str(LAUNCHER), str(tmp_path / "pipe")]
        made.start_all()
        assert ask(made.ports["n1"], [b"SET", b"before", b"1"]) == [b"OK"]
        (tmp_path / "pipe").write_bytes(b"x")
        poll_log(made, "fsyncs fail from now on")
        answers: list[object] = []
        with contextlib.suppress(ConnectionError):
            answers = ask(made.ports["n1"], [b"SET", b"after", b"2"])
        assert answers == ([b"OK"] if durability == "interval:0.2" else [])  # it waits for no fsync
        assert made.running.pop("n1").wait(READY_S) == 255
        assert "stops at once: Storage failed (disk I/O error)" in poll_log(made, "stops at once")
        made.python = [sys.executable]
        made.start_all()
        assert ask(made.ports["n1"], [b"GET", b"before"]) == [b"1"]
    finally:
        made.stop_all()
