"""Files of a system's data directory on hosts, those that it names (`Deployment.data_files`): damaged, cut short, taken back to an older state.

    damage        SIGTERM, so that what it has in a log is in its table ─► the file is changed ─► a process is started
    cut           SIGKILL, so that its log is what it was               ─► the same
    keep          SIGSTOP ─► copies ─► SIGCONT: what a crash would leave           restore   SIGKILL ─► the copies ─► a process is started

The work is done by a program on the host (`file_program`), which says what the files were and are by SHA-256. Nobody sees whether a read met
a flipped bit: it counts as met if the process that was started on it has the file open, or has ended by itself since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

from harness.control import Connection
from harness.system import Deployment, Rot
from harness.worlds import WorldError
from harness.worlds.files import NOBODY, Restored
from harness.worlds.hosts import file_program
from harness.worlds.hosts.daemon import Daemon
from harness.worlds.hosts.links import Each

TIMEOUT_S: Final = 60.0
ALL: Final = "*"


def kept(data: str) -> str:
    """The folder for copies and what else is needed later, beside the data directory."""
    return f"{data}.quorate-files"


class HostFiles:
    """`harness.worlds.files.Files` on hosts. `directory` is ours on each host; `daemon` gives a node's process."""

    def __init__(
        self, each: Each, daemon: Callable[[str], Daemon], deployment: Deployment, directory: str
    ) -> None:
        self._each, self._daemon, self._directory = each, daemon, directory
        self._data, self._files = deployment.data_directory, deployment.data_files
        self._damaged: dict[str, Any] = {}  # what the program said of it, by node

    def _paths(self, node: str, file: str = "") -> list[str]:
        """The file of that name, the first that the system names, or all of them."""
        names = list(self._files) if file == ALL else [file or next(iter(self._files))]
        return [f"{self._data}/{self._files[name]}".replace("{node}", node) for name in names]

    def _run(self, connection: Connection, node: str, *words: str) -> Any:
        program = f"{self._directory}/file_program.py"
        connection.upload(Path(file_program.__file__).read_bytes(), program)
        place = kept(self._data.replace("{node}", node))
        return json.loads(connection.run("python3", program, place, *words, timeout_s=TIMEOUT_S).stdout)

    async def _start(self, nodes: Sequence[str], gone: AbstractSet[str]) -> None:
        left = tuple(node for node in nodes if node not in gone)
        await self._each(lambda node, connection: self._daemon(node).start(connection), left)

    async def _stop(self, nodes: Sequence[str]) -> None:
        await self._each(lambda node, connection: self._daemon(node).stop(connection), tuple(nodes))

    async def _all(self, nodes: Sequence[str], command: str, *words: str, file: str = ALL) -> dict[str, Any]:
        """What the program says on each host of what it does to these files."""
        return await self._each(
            lambda node, connection: self._run(connection, node, command, *words, *self._paths(node, file)),
            tuple(nodes),
        )

    async def damage(
        self,
        nodes: Sequence[str],
        share: float,
        number: int,
        file: str,
        *,
        repairable: bool = False,
        gone: AbstractSet[str] = NOBODY,
    ) -> Mapping[str, AbstractSet[str]]:
        """Flip bits in a share of the pages of a file."""
        if repairable:
            raise WorldError("nobody knows on hosts which records the pages of a file hold")
        await self._each(lambda node, connection: self._daemon(node).terminate(connection), tuple(nodes))
        told = await self._all(nodes, "flip", f"{share:g}", str(number), file=file)
        await self._start(nodes, gone)
        self._damaged |= told
        return {node: frozenset(told[node]["flips"]) for node in nodes}

    async def rot(self, nodes: Sequence[str]) -> Mapping[str, Rot]:
        """What is flipped still, and whether a process has met it."""

        def look(node: str, connection: Connection) -> Rot:
            damaged, seen = self._damaged[node], self._daemon(node).look(connection)
            held = "" if seen is None else connection.shell(f"ls -l /proc/{seen.pid}/fd", check=False).stdout
            is_met = seen is None or any(f"-> {path}\n" in held for path in damaged["files"])
            left = frozenset(self._run(connection, node, "left")["left"])
            state = "gone" if seen is None else seen.state.state
            met = frozenset(damaged["flips"] if is_met else ())
            return Rot(left, met, {"files": damaged["files"], "state": state})

        return await self._each(look, tuple(nodes))

    async def undo(self, nodes: Sequence[str], gone: AbstractSet[str] = NOBODY) -> Mapping[str, int]:
        """Flip back what is flipped, and put back what was cut off, where nobody has written since."""
        await self._stop(nodes)
        told = await self._each(lambda node, connection: self._run(connection, node, "undo"), tuple(nodes))
        await self._start(nodes, gone)
        return {node: each["flipped_back"] + len(each["put_back"]) for node, each in told.items()}

    async def cut(
        self, nodes: Sequence[str], share: float, file: str, gone: AbstractSet[str] = NOBODY
    ) -> Mapping[str, Mapping[str, Any]]:
        """Cut off the end of a file."""
        await self._stop(nodes)
        told = await self._all(nodes, "cut", f"{share:g}", file=file)
        await self._start(nodes, gone)
        return {node: each["files"] for node, each in told.items()}

    async def keep(self, nodes: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Copy all files of processes that stand still."""

        def copy(node: str, connection: Connection) -> Mapping[str, Any]:
            daemon = self._daemon(node)
            if daemon.signal(connection, "STOP") is not None:
                daemon.wait_state(connection, "stopped")
            try:
                told = self._run(connection, node, "keep", *self._paths(node, ALL))
            finally:
                daemon.signal(connection, "CONT")
            return {path: digest for path, digest in told["files"].items() if digest}

        return await self._each(copy, tuple(nodes))

    async def restore(self, nodes: Sequence[str], gone: AbstractSet[str] = NOBODY) -> Mapping[str, Restored]:
        """The copies take the places of all files."""
        await self._stop(nodes)
        told = await self._all(nodes, "restore")
        await self._start(nodes, gone)
        files = {node: each["files"] for node, each in told.items()}
        return {
            node: Restored(any(before != after for before, after in each.values()), each)
            for node, each in files.items()
        }
