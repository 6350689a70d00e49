"""What a host does to packets by a program of ours: iptables queues a peer's packets, the program takes them (`queue_daemon`).

    begin    upload ─► start, wait until it has bound the queue ─► the rules        never rules without the program:
    end      the rules ─► SIGTERM: it lets all go and writes its counts ─► gone     packets would go through as they are

Where a kernel has netem, that does the same; where it is missing (as on many cloud kernels) this does, at 0.1 ms more a packet.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.control import Connection, ControlError
from harness.worlds.hosts import queue_daemon
from harness.worlds.hosts.daemon import POLL_S, Daemon, found
from harness.worlds.hosts.packets import QUEUE_FIRST
from harness.worlds.trouble import CORRUPT, DELAY, REORDER, Touch, Trouble

START_TIMEOUT_S: Final = 10.0
HEAL: Final = r"""
for file in {directory}/queue-*/pid; do
  {found}
  if [ -n "$pid" ]; then
    kill -TERM $pid && echo "packets are $(cat ${{file%/pid}}/act) no more: process $pid ends"
    turns=0
    while kill -0 $pid 2>/dev/null && [ $turns -lt 40 ]; do sleep 0.05; turns=$(( turns + 1 )); done
  fi
done
"""
WORDS: Final = {"delay": "delayed", "reorder": "reordered", "duplicate": "doubled", "corrupt": "corrupted"}


def heal_script(directory: str) -> str:
    """Shell that ends our programs, and prints what it found."""
    return HEAL.format(directory=shlex.quote(directory), found=found("$file"))


def asked_of(trouble: Trouble) -> list[str]:
    """What the program is told to do."""
    share, delay = f"{trouble.share:g}", f"{trouble.delay_ms:g}"
    if trouble.kind == DELAY:
        return [DELAY, delay, f"{trouble.jitter_ms:g}"]
    if trouble.kind == REORDER:
        return [REORDER, share, delay]
    return [
        trouble.kind,
        share,
        *(["right" if trouble.mends_checksum else "wrong"] * (trouble.kind == CORRUPT)),
    ]


def daemon(directory: str, slot: int, trouble: Trouble) -> Daemon:
    """The program of a slot."""
    place = f"{directory}/queue-{slot}"
    return Daemon(
        command=(
            "python3",
            f"{place}/daemon.py",
            str(QUEUE_FIRST + slot),
            f"{place}/counts",
            *asked_of(trouble),
        ),
        environment={},
        directory=place,
        pid_file=f"{place}/pid",
        log_file=f"{place}/log",
    )


def begin(connection: Connection, directory: str, slot: int, trouble: Trouble) -> None:
    """Start the program. Raises ControlError with its last words if it does not take the queue."""
    program = daemon(directory, slot, trouble)
    place = shlex.quote(program.directory)
    connection.upload(Path(queue_daemon.__file__).read_bytes(), f"{program.directory}/daemon.py")
    connection.shell(f"rm -f {place}/counts; echo {WORDS[trouble.kind]} >{place}/act")
    program.start(connection)
    give_up = time.monotonic() + START_TIMEOUT_S * connection.host.slowness
    while counts(connection, program) is None:
        if program.look(connection) is None or time.monotonic() > give_up:
            words = program.last_words(connection)
            program.stop(connection)
            raise ControlError(f"{connection.host.label}: packets cannot be {WORDS[trouble.kind]}: {words}")
        time.sleep(POLL_S)


def end(connection: Connection, directory: str, slot: int, trouble: Trouble) -> Mapping[str, Touch]:
    """End the program; what it saw and touched, by the IPv4 address of the source."""
    program = daemon(directory, slot, trouble)
    program.terminate(connection)
    found = counts(connection, program)
    connection.shell(f"rm -rf {shlex.quote(program.directory)}")
    return found or {}


def told(trouble: Trouble, did: Mapping[str, Touch], met: Touch, source: str = "") -> Touch:
    """What a rule has met, with what the program did to it: to packets of this source, or of a delay, which spares none, to all it had."""
    if trouble.kind != DELAY:
        return met._replace(hit=did[source].hit if source in did else 0)
    held_ms = sum(touch.hit * touch.held_ms for touch in did.values())
    return met._replace(held_ms=held_ms / max(1, sum(touch.hit for touch in did.values())))


def counts(connection: Connection, program: Daemon) -> Mapping[str, Touch] | None:
    """What the program has done, by source; None while the queue is not bound."""
    told = connection.shell(f"cat {shlex.quote(program.directory)}/counts 2>/dev/null || echo none").stdout
    if told == "none\n":
        return None
    lines = [line.split() for line in told.splitlines()]
    return {source: Touch(int(seen), int(hit), float(held_ms)) for source, seen, hit, held_ms in lines}


def probe(connection: Connection, directory: str, trouble: Trouble) -> str:
    """Why this host cannot do it; nothing if it can."""
    try:
        begin(connection, directory, 0, trouble)
    except ControlError as error:
        return str(error)
    end(connection, directory, 0, trouble)
    return ""
