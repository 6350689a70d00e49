"""Work on several cores: results come in order, and no process outlives the one that hands out the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from harness.pool import _deaf, in_order
from tests.polling import poll

PROGRAM = """
import os, sys, time
from harness.pool import in_order

def work(folder, number):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    time.sleep(0.01 if number else 600)

if __name__ == "__main__":
    for _ in in_order(work, ((number, (sys.argv[1], number)) for number in range(100)), 2):
        pass
"""


def square(number: int) -> int:
    return number * number


def test_results_come_in_the_order_of_the_tasks() -> None:
    tasks = [(number, (number,)) for number in range(20)]
    assert list(in_order(square, iter(tasks), 2)) == [(number, number * number) for number in range(20)]


def test_a_signal_that_another_thread_takes_waits_until_a_process_is_made() -> None:
    """The thread is older than the mask, as the one that draws progress is: whoever takes the signal, its handler runs in the main thread."""
    heard, go = list[int](), threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(), signal.raise_signal(signal.SIGINT)))
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        thread.start()
        with _deaf():
            go.set()
            thread.join()
            assert heard == []
        assert heard == [signal.SIGINT]
        signal.raise_signal(signal.SIGINT)
        assert heard == [signal.SIGINT] * 2, "the handler is the old one again"
    finally:
        signal.signal(signal.SIGINT, before)


def alive(pid: int) -> bool:
    """Whether it runs: not gone, and no zombie whom nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_go_when_who_hands_out_the_work_is_killed(tmp_path: Path) -> None:
    script, marks = tmp_path / "program.py", tmp_path / "marks"
    script.write_text(PROGRAM)
    marks.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(marks)])
    try:
        poll(lambda: len(os.listdir(marks)) == 2, wait_s=300.0, told=lambda: os.listdir(marks))
        workers = [int(name) for name in os.listdir(marks)]
        assert all(map(alive, workers))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        poll(lambda: not any(map(alive, workers)), wait_s=300.0, told=lambda: workers)
    finally:
        parent.kill()
        parent.wait()
        for pid in map(int, os.listdir(marks)):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
