"""Delays on a host: iptables queues a peer's packets, a program of ours lets each go when it is due (`delay_daemon`).

    begin    upload ─► start, wait until it has bound the queue ─► the rules        never rules without the program:
    end      the rules ─► SIGTERM: it lets all go and writes its counts ─► gone     packets would not be delayed

This kernel's netem would do the same; where it is missing (as on many cloud kernels) this does, at 0.1 ms more a packet.
"""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Final

from harness.control import Connection, ControlError
from harness.worlds.hosts import delay_daemon
from harness.worlds.hosts.daemon import POLL_S, Daemon, found
from harness.worlds.hosts.packets import QUEUE_FIRST
from harness.worlds.trouble import Trouble

START_TIMEOUT_S: Final = 10.0
HEAL: Final = r"""
for file in {directory}/delay-*/pid; do
  {found}
  if [ -n "$pid" ]; then
    kill -TERM $pid && echo "packets are delayed no more: process $pid ends"
    turns=0
    while kill -0 $pid 2>/dev/null && [ $turns -lt 40 ]; do sleep 0.05; turns=$(( turns + 1 )); done
  fi
done
"""


def heal_script(directory: str) -> str:
    """Shell that ends our programs, and prints what it found."""
    return HEAL.format(directory=shlex.quote(directory), found=found("$file"))


def daemon(directory: str, slot: int, trouble: Trouble | None = None) -> Daemon:
    """The program of a slot; with the trouble, so that it can be started."""
    place = f"{directory}/delay-{slot}"
    asked = [] if trouble is None else [f"{trouble.delay_ms:g}", f"{trouble.jitter_ms:g}"]
    return Daemon(
        command=("python3", f"{place}/daemon.py", str(QUEUE_FIRST + slot), *asked, f"{place}/counts"),
        environment={},
        directory=place,
        pid_file=f"{place}/pid",
        log_file=f"{place}/log",
    )


def begin(connection: Connection, directory: str, slot: int, trouble: Trouble) -> None:
    """Start the program. Raises ControlError with its last words if it does not take the queue."""
    program = daemon(directory, slot, trouble)
    connection.upload(Path(delay_daemon.__file__).read_bytes(), f"{program.directory}/daemon.py")
    connection.shell(f"rm -f {shlex.quote(program.directory)}/counts")
    program.start(connection)
    give_up = time.monotonic() + START_TIMEOUT_S
    while counts(connection, program) is None:
        if program.look(connection) is None or time.monotonic() > give_up:
            words = program.last_words(connection)
            program.stop(connection)
            raise ControlError(f"{connection.host.label}: packets cannot be delayed: {words}")
        time.sleep(POLL_S)


def end(connection: Connection, directory: str, slot: int) -> float:
    """End the program; for how long packets were held, on average, in milliseconds."""
    program = daemon(directory, slot)
    program.terminate(connection)
    found = counts(connection, program)
    connection.shell(f"rm -rf {shlex.quote(program.directory)}")
    return found[1] if found is not None else 0.0


def counts(connection: Connection, program: Daemon) -> tuple[int, float] | None:
    """Packets let go and the mean time they were held, None while the queue is not bound."""
    words = connection.shell(
        f"cat {shlex.quote(program.directory)}/counts 2>/dev/null || true"
    ).stdout.split()
    return (int(words[0]), float(words[1])) if len(words) == 2 else None


def probe(connection: Connection, directory: str) -> str:
    """Why this host cannot delay packets; nothing if it can."""
    nothing = Trouble(number=0, kind="delay", links={}, delay_ms=1.0)
    try:
        begin(connection, directory, 0, nothing)
    except ControlError as error:
        return str(error)
    end(connection, directory, 0)
    return ""
