"""What a host does to packets by a program of ours: iptables queues a peer's packets, the program takes them (`queue_daemon`).

    begin    start: it returns when it has bound the queue ─► the rules             never rules without the program:
    end      the rules ─► SIGTERM: it lets all go and writes its counts ─► gone     packets would go through as they are

Each is one command on the host. Where a kernel has netem, that does the same; where it is missing (as on many cloud kernels) this does, at 0.1 ms more a packet.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.control import Connection, ControlError
from harness.worlds.hosts import queue_daemon
from harness.worlds.hosts.daemon import found
from harness.worlds.hosts.packets import QUEUE_FIRST
from harness.worlds.trouble import CORRUPT, DELAY, REORDER, Touch, Trouble

START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); import queue_daemon; queue_daemon.main(*sys.argv[2:])"
)
NOT_THERE: Final = 9  # exit status
END_TIMEOUT_S: Final = 30.0
END: Final = """{found}
if [ -n "$pid" ]; then
  kill -TERM $pid
  turns=0
  while kill -0 $pid 2>/dev/null; do
    [ $turns -lt 1500 ] || {{ echo "pid $pid runs on after SIGTERM" >&2; exit 1; }}
    sleep 0.01
    turns=$(( turns + 1 ))
  done
fi
cat {place}/counts 2>/dev/null || true
rm -rf {place}"""
"""Shell that ends a program and prints its counts: 15 s at most, for it has packets to let go."""
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


def place_of(directory: str, slot: int) -> str:
    """The directory of a program, by its slot."""
    return f"{directory}/queue-{slot}"


def begin(connection: Connection, directory: str, slot: int, trouble: Trouble) -> None:
    """Start the program, which has the queue when this returns. Raises ControlError with its last words if it does not take it."""
    program = f"{directory}/{Path(queue_daemon.__file__).name}"
    place = place_of(directory, slot)
    words = (
        "python3",
        "-I",
        "-S",
        "-c",
        START,
        directory,
        str(QUEUE_FIRST + slot),
        place,
        *asked_of(trouble),
    )
    script = (
        f"[ -e {shlex.quote(program)} ] || exit {NOT_THERE}\n"
        f"rm -rf {shlex.quote(place)} && mkdir {shlex.quote(place)} && echo {WORDS[trouble.kind]} >{shlex.quote(place)}/act || exit 1\n"
        f"exec {shlex.join(words)}"
    )
    began = connection.shell(script, check=False)
    if began.status == NOT_THERE:  # the first of a run: where a plan has such a fault, its probe
        connection.upload(Path(queue_daemon.__file__).read_bytes(), program)
        began = connection.shell(script, check=False)
    if began.status != 0:
        said = (began.stderr.strip() or f"exit status {began.status}").splitlines()[-1]
        raise ControlError(f"{connection.host.label}: packets cannot be {WORDS[trouble.kind]}: {said}")


def end(connection: Connection, directory: str, slot: int) -> Mapping[str, Touch]:
    """End the program; what it saw and touched, by the IPv4 address of the source. Raises ControlError when it does not end."""
    place = shlex.quote(place_of(directory, slot))
    ended = connection.shell(END.format(found=found(f"{place}/pid"), place=place), timeout_s=END_TIMEOUT_S)
    lines = [line.split() for line in ended.stdout.splitlines()]
    return {source: Touch(int(seen), int(hit), float(held_ms)) for source, seen, hit, held_ms in lines}


def told(trouble: Trouble, did: Mapping[str, Touch], met: Touch, source: str = "") -> Touch:
    """What a rule has met, with what the program did to it: to packets of this source, or of a delay, which spares none, to all it had."""
    if trouble.kind != DELAY:
        return met._replace(hit=did[source].hit if source in did else 0)
    held_ms = sum(touch.hit * touch.held_ms for touch in did.values())
    return met._replace(held_ms=held_ms / max(1, sum(touch.hit for touch in did.values())))


def probe(connection: Connection, directory: str, trouble: Trouble) -> str:
    """Why this host cannot do it; nothing if it can."""
    try:
        begin(connection, directory, 0, trouble)
    except ControlError as error:
        return str(error)
    end(connection, directory, 0)
    return ""
