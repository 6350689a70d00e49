"""The system's process on a host: started apart from SSH, found again by its pid file, signalled only when it is it.

    sh: its pid, and when it was born ─► pid_file, pid_file.born ─► exec env ─► exec redis-server …     one process throughout
    its parent, a shell that waits    ─► pid_file.exits: how it ended, and when

A pid alone proves nothing: it may have been given to another program since. With the tick of the host's uptime in which it was
born it names one process (proc(5), field 22), whatever that becomes and writes over its command line or its environment. The
tick is compared when it is looked for, and again, on the host, when it is signalled. Pid 1 is refused.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.control import Connection, ControlError
from harness.plan_options import FREEZER
from harness.worlds import ProcessState
from harness.worlds.hosts.groups import STATE, place

MARK: Final = "QUORATE_PID_FILE"
GONE: Final = ProcessState(None, "gone")
POLL_S: Final = 0.02
PATIENCE_S: Final = 60.0  # what is in a system call ends when that is over, and a busy disk takes its time
LOG_BYTES_MAX: Final = 4_000_000
MS_OF_TICK: Final = 10.0  # USER_HZ is 100 for every program
BORN: Final = "sed 's/.*) //' /proc/{pid}/stat 2>/dev/null | cut -d' ' -f20"
"""Shell: the tick of the uptime in which a process began."""


WAITS: Final = (
    'cd /; exec 9>>{exits}; sh -c "$0" sh "$@" >>{log} 2>&1 </dev/null 9>&- & child=$!; '
    'wait $child; status=$?; read up rest </proc/uptime; echo "$child $status $up" >&9'
)
"""Shell that starts a process and outlives it. It keeps no directory but the root, and no file but the one that it writes, also when that is removed."""
ENDS: Final = """turns=0 owed=yes
while [ -n "$owed" ] && [ $turns -lt 100 ]; do
  owed=
  for pid in $(cat {pid_file} {asked} 2>/dev/null | cut -d' ' -f1); do
    case "$(sed 's/.*) //' /proc/$pid/stat 2>/dev/null | cut -c1)" in
      ""|Z|X) grep -qs "^$pid " {exits} || {{ owed=$pid; sleep 0.05; }};;
    esac
  done
  turns=$(( turns + 1 ))
done
cat {exits} {asked} 2>/dev/null || true"""
"""Shell that tells how processes ended. Who waits for one writes that down a moment after it has gone, which is waited for: 5 s at most, for it may have been killed."""


def found(pid_file: str) -> str:
    """Shell that puts the pid of the process of this pid file in $pid, nothing if it is gone. `pid_file` is quoted, or a variable."""
    return (
        f"pid=$(cat {pid_file} 2>/dev/null) born=$(cat {pid_file}.born 2>/dev/null)\n"
        'case "$pid" in ""|*[!0-9]*) pid=;; esac\n'
        f'[ -n "$pid" ] && [ -n "$born" ] && [ "$({BORN.format(pid="$pid")})" = "$born" ] || pid='
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A process as /proc showed it. `born` is its start time in ticks since boot; `letter` its state in ps's terms; `ran_ms` the processor time it has had."""

    pid: int
    born: int
    letter: str
    ran_ms: float = 0.0
    frozen: bool = False

    @property
    def state(self) -> ProcessState:
        """In the words of the World protocol."""
        stands = self.frozen or self.letter in "Tt"
        return ProcessState(self.pid, "stopped" if stands else "running", self.ran_ms)


@dataclass(frozen=True, slots=True)
class Daemon:
    """One node's process: how it is started and where its traces are. Paths are on the host. `groups`: where the control groups are that it is born in."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    pid_file: str
    log_file: str
    groups: tuple[str, ...] = ()

    @property
    def freezer(self) -> str:
        """The group of the freezer, if it is in one."""
        return next((group for group in self.groups if group == place(FREEZER)), "")

    @property
    def exits(self) -> str:
        """The file of how processes ended, a line each: pid, status as a shell tells it, uptime."""
        return f"{self.pid_file}.exits"

    @property
    def asked(self) -> str:
        """The file of the signals with which we ended processes: pid, signal."""
        return f"{self.pid_file}.asked"

    def ends(self, connection: Connection) -> str:
        """The lines of both; nobody who has ended is left out."""
        files = {"pid_file": self.pid_file, "exits": self.exits, "asked": self.asked}
        return connection.shell(ENDS.format(**{name: shlex.quote(file) for name, file in files.items()})).stdout  # fmt: skip

    def start(self, connection: Connection, *, timeout_s: float = PATIENCE_S) -> int:
        """Start it in a session of its own and return its pid. Raises ControlError with its last words if it is gone."""
        variables = [f"{name}={value}" for name, value in {**self.environment, MARK: self.pid_file}.items()]
        born, pid_file = shlex.quote(f"{self.pid_file}.born"), shlex.quote(self.pid_file)
        steps = [
            *([self._thaw()] if self.freezer else []),
            *(f"echo $$ >{group}/cgroup.procs" for group in self.groups),
        ]
        join = "".join(f"{step} || exit 1; " for step in steps)
        inner = f'{join}cd {shlex.quote(self.directory)}; {BORN.format(pid="$$")} >{born}; echo $$ >{pid_file}; exec env "$@"'
        words = shlex.join(["sh", "-c", WAITS.format(log=shlex.quote(self.log_file), exits=shlex.quote(self.exits)), inner, *variables, *self.command])  # fmt: skip
        connection.shell(
            f"set -e\ncd {shlex.quote(self.directory)}\nrm -f {pid_file} {born}\n"
            f"mkdir -p {shlex.quote(self.log_file.rpartition('/')[0])}\n"
            f"setsid {words} >/dev/null 2>&1 </dev/null &"
        )
        deadline = time.monotonic() + timeout_s * connection.host.slowness
        while (seen := self.look(connection)) is None:
            if self._has_ended(connection) or time.monotonic() > deadline:
                raise ControlError(
                    f"{connection.host.label}: {self.command[0]} did not start; its log ends: {self.last_words(connection)}"
                )
            time.sleep(POLL_S)
        return seen.pid

    def _has_ended(self, connection: Connection) -> bool:
        """Whether it was there since the last start, and is not any more."""
        pid_file = shlex.quote(self.pid_file)
        first = f"[ -s {pid_file} ] || exit 0"  # it may be there a moment later
        gone = connection.shell(f'{first}\n{found(pid_file)}\n[ -n "$pid" ] || echo gone')
        return gone.stdout != ""

    def look(self, connection: Connection) -> Seen | None:
        """The process as it is now, None if there is none (or the pid is somebody else's, or a zombie's)."""
        stat = connection.shell(
            f"{found(shlex.quote(self.pid_file))}\n"
            '[ -n "$pid" ] || exit 0\n'
            f"grep -qaF {MARK}= /proc/$pid/cmdline && exit 0\n"  # not the command yet, but what starts it
            "cat /proc/$pid/stat 2>/dev/null || exit 0\n"
            + (f"cat {self.freezer}/{STATE}" if self.freezer else "")
        ).stdout
        return parse_stat(stat)

    def signal(self, connection: Connection, name: str) -> Seen | None:
        """Send a signal ("KILL", "STOP", "CONT", "TERM") to the process; returns what it was sent to, None if it is gone."""
        seen = self.look(connection)
        if seen is None:
            return None
        if seen.pid <= 1:
            raise ControlError(
                f"{connection.host.label}: refusing to signal pid {seen.pid}: it is not a node's process."
            )
        born = f"born=$({BORN.format(pid=seen.pid)})"
        thaw = (
            f"\n{self._thaw()}" if self.freezer and name in ("KILL", "CONT") else ""
        )  # after it: nothing of it runs in between
        note = f" echo {seen.pid} {name} >>{shlex.quote(self.asked)};" if name in ("KILL", "TERM") else ""
        connection.shell(
            f'{born}; [ "x$born" = x{seen.born} ] || exit 0;{note} kill -{name} {seen.pid} 2>/dev/null || true{thaw}'
        )
        return seen

    def pause(self, connection: Connection, how: str) -> None:
        """Stop it by a signal, or by the freezer of its group. Raises ControlError if it is gone."""
        seen = self.look(connection) if how == FREEZER else self.signal(connection, "STOP")
        if seen is None:
            raise ControlError(f"{connection.host.label}: there is no process to be paused.")
        if how == FREEZER:
            connection.shell(f"echo FROZEN >{self.freezer}/{STATE}")
        self.wait_state(connection, "stopped")

    def resume(self, connection: Connection) -> None:
        """Let it go on, however it was paused. Raises ControlError if it is gone."""
        if self.signal(connection, "CONT") is None:
            raise ControlError(f"{connection.host.label}: there is no process to go on.")
        self.wait_state(connection, "running")

    def _thaw(self) -> str:
        return f"echo THAWED >{self.freezer}/{STATE}"

    def stop(self, connection: Connection, *, timeout_s: float = PATIENCE_S) -> None:
        """SIGKILL, then wait until it is gone. Nothing to do if it is not there."""
        killed = self.signal(connection, "KILL")
        deadline = time.monotonic() + timeout_s * connection.host.slowness
        while killed is not None and (seen := self.look(connection)) is not None and seen.pid == killed.pid:
            if time.monotonic() > deadline:
                raise ControlError(
                    f"{connection.host.label}: pid {killed.pid} does not end after SIGKILL; look at its disk."
                )
            time.sleep(POLL_S)

    def terminate(self, connection: Connection, *, timeout_s: float = PATIENCE_S) -> None:
        """SIGTERM, then wait until it has ended by itself. Raises ControlError when it has not in time."""
        told = self.signal(connection, "TERM")
        deadline = time.monotonic() + timeout_s * connection.host.slowness
        while told is not None and (seen := self.look(connection)) is not None and seen.pid == told.pid:
            if time.monotonic() > deadline:
                raise ControlError(
                    f"{connection.host.label}: pid {told.pid} runs on {timeout_s:g} s after SIGTERM; its log ends: "
                    f"{self.last_words(connection)}"
                )
            time.sleep(POLL_S)

    def wait_state(self, connection: Connection, state: str, *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the process is in this state ("running", "stopped"). Raises ControlError."""
        deadline = time.monotonic() + timeout_s * connection.host.slowness
        while True:
            seen = self.look(connection)
            found = seen.state.state if seen is not None else "gone"
            if found == state:
                return
            if found == "gone" or time.monotonic() > deadline:
                raise ControlError(f"{connection.host.label}: the process is {found}, and was to be {state}.")
            time.sleep(POLL_S)

    def last_words(self, connection: Connection) -> str:
        """The last line of its log, for a message."""
        text = connection.shell(f"tail -n 1 {shlex.quote(self.log_file)} 2>/dev/null || true").stdout.strip()
        return text or "(it is empty)"

    def log(self, connection: Connection) -> str:
        """The end of its log, or why it cannot be fetched."""
        read = f"tail -c {LOG_BYTES_MAX} {shlex.quote(self.log_file)} 2>/dev/null || true"
        try:
            return connection.shell(read, timeout_s=30.0).stdout
        except ControlError as error:
            return f"(the log could not be fetched: {error})\n"


def parse_stat(stat: str) -> Seen | None:
    """Read /proc/<pid>/stat, and what its freezer says behind it. The program's name, in brackets, may itself hold blanks and brackets. None for a zombie."""
    head, _, tail = stat.rpartition(")")
    columns = tail.split()
    if not head or len(columns) < 20 or columns[0] in ("Z", "X"):
        return None
    ran_ms = (int(columns[11]) + int(columns[12])) * MS_OF_TICK
    return Seen(int(head.split()[0]), int(columns[19]), columns[0], ran_ms, columns[-1] == "FROZEN")


def listeners(connection: Connection, port: int) -> list[str]:
    """Addresses on which something listens on this TCP port there, as /proc/net/tcp writes them."""
    table = connection.shell("cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true").stdout
    return parse_listeners(table, port)


def parse_listeners(table: str, port: int) -> list[str]:
    """Local addresses in LISTEN state (0A) with this port."""
    rows = (line.split() for line in table.splitlines())
    return [row[1] for row in rows if len(row) > 3 and row[3] == "0A" and row[1].endswith(f":{port:04X}")]
