"""HostsWorld: the World protocol on SSH hosts. What runs here runs in earnest; what it reports was measured there.

    up     connect ─► check the host ─► clear what a crashed run left ─► upload ─► start ─► ready
    down   kill the process ─► remove our rules ─► remove our files; what fails on one host does not spare the others

Everything that blocks runs in threads, all hosts at once; the event loop, which drives the clients, never waits.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from harness.client import Channel
from harness.control import Connection, Control
from harness.plan_options import SIGNAL
from harness.provision.inventory import Inventory
from harness.system import Deployment, SystemFault, SystemUnderTest
from harness.worlds import PowerCut, ProcessState, WorldError
from harness.worlds.disk_trouble import DiskTrouble, Probe
from harness.worlds.hosts import cable, clock, disk, files, groups, lease, leavings, links, own_clock, packets
from harness.worlds.hosts.cancelling import to_its_end
from harness.worlds.hosts.daemon import GONE, Daemon, listeners
from harness.worlds.hosts.endings import Endings
from harness.worlds.hosts.memory import HostMemory
from harness.worlds.serving import first_asked
from harness.worlds.trouble import Touches, Trouble

T = TypeVar("T")
RUN_DIRECTORY: Final = "/run/quorate-node"  # pid file and clock offset
READY_TIMEOUT_S: Final = 60.0  # a process that has ended is not waited for
DIAL_TIMEOUT_S: Final = 2.0


class HostsWorld:
    """A system on hosts. `log` gets a line for each command. `shift_clocks`: preload libfaketime where it is found.

    `faults` are the kinds that will be asked for, `grouped` the controllers that they need a control group of: a host that cannot do one is
    refused before anything is installed.
    """

    kind = "hosts"

    def __init__(
        self,
        system: SystemUnderTest,
        inventory: Inventory,
        *,
        log: Callable[[str], None] = lambda text: None,
        shift_clocks: bool = True,
        faults: Collection[str] = (),
        grouped: Collection[str] = (),
        lease_s: float = lease.LEASE_S,
    ) -> None:
        self._renewing: asyncio.Task[None] | None = None
        self.nodes = tuple(system.nodes)
        self.system, self._inventory, self._log = system, inventory, log
        self._hosts = dict(zip(self.nodes, inventory.first(len(self.nodes)), strict=True))
        self.slowness = max(host.slowness for host in self._hosts.values())
        self._ready_timeout_s = READY_TIMEOUT_S * self.slowness
        self._leases = lease.Leases(self._each, self.nodes, RUN_DIRECTORY, lease_s * self.slowness)
        self._control = Control(self._hosts, trace=log)
        self._deployment: Deployment = system.deployment()
        self._shift_clocks, self._faults, self._grouped = shift_clocks, faults, grouped
        self._addresses: dict[str, str] = {}
        self._libraries: dict[str, str | None] = {}
        self._links = links.Links(self._each, self._addresses, RUN_DIRECTORY, self._deployment.client_port)
        self.memory = HostMemory(self._each)
        self.files = files.HostFiles(self._each, self._daemon, self._deployment, RUN_DIRECTORY)
        self._facts: dict[str, str] = {}
        self._endings, self._is_down = Endings(), False
        self._offset_file = f"{RUN_DIRECTORY}/clock-offset"

    # ---- up and down ---------------------------------------------------------------------------------------------

    async def up(self) -> None:
        """Install and start everywhere, and wait until every node is ready. Raises WorldError."""
        bundle = await self._block(self._deployment.bundle)
        self._addresses |= await self._block(
            lambda: {node: links.ipv4(host.address) for node, host in self._hosts.items()}
        )
        self._log(f"uploading {len(bundle)} bytes to {len(self.nodes)} hosts")
        await self._each(lambda node, connection: self._install(node, connection, bundle))
        await self._each(lambda node, connection: self._daemon(node).start(connection))
        await self._leases.begin()
        self._renewing = asyncio.create_task(self._leases.keep())
        deadline = time.monotonic() + self._ready_timeout_s
        await self._all_ready(deadline)
        await self._each(self._endings.begin)

    async def _all_ready(self, deadline: float) -> None:
        """Wait for every node at once, so that the one which fails is named, and not one that waits for it."""
        waiting = [asyncio.ensure_future(self._wait_ready(node, deadline)) for node in self.nodes]
        try:
            await asyncio.gather(*waiting)
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def down(self) -> None:
        """Stop, remove rules and files, hang up. A second call does nothing. Raises the first host's error after all hosts were tried.

        Once begun it comes to its end: a cancellation is heard only then.
        """
        if self._is_down:
            return
        self._is_down = True
        if self._renewing is not None:
            self._renewing.cancel()
        await to_its_end(asyncio.get_running_loop().run_in_executor(None, self._leave))

    def _leave(self) -> None:
        """Clear every host, after what a cancelled step still does in its thread: it could start a process behind us."""
        try:
            self._control.settle()
            self._control.each(self._clear)
        finally:
            self._control.close()

    def _install(self, node: str, connection: Connection, bundle: bytes) -> None:
        """Check one host, clear it, and put bundle and files there."""
        self._facts[node] = connection.run("uname", "-srm").stdout.strip()
        try:
            self._deployment.requires(lambda command: connection.shell(command, check=False).stdout)
        except SystemFault as error:
            raise WorldError(f"{self._hosts[node].label}: {error}") from None
        self._clear(node, connection)
        peer = next((other for name, other in self._addresses.items() if name != node), packets.NOBODY)
        links.check(connection, RUN_DIRECTORY, self._faults, peer)
        groups.prepare(connection, self._grouped)
        port = self._deployment.client_port
        if listeners(connection, port):
            raise WorldError(
                f"{self._hosts[node].label}: port {port} is in use by another program; "
                f"see `ss -ltnp sport = :{port}` there and stop it."
            )
        faked = self._shift_clocks and not self._hosts[node].owns_clock
        self._libraries[node] = clock.find_library(connection) if faked else None
        directory = shlex.quote(self._path(node, self._deployment.directory))
        data = shlex.quote(self._data(node))
        connection.shell(f"mkdir -p {directory} {data} {RUN_DIRECTORY}")
        if self._owns(node):
            own_clock.begin(connection, RUN_DIRECTORY)
        disk.prepare(connection, RUN_DIRECTORY, self._data(node), self._faults)
        if bundle:
            archive = f"{RUN_DIRECTORY}/bundle.tar.gz"
            connection.upload(bundle, archive)
            connection.shell(f"tar -xzf {archive} -C {directory} && rm -f {archive}", timeout_s=60.0)
        for path, content in self._deployment.files(node, self._addresses).items():
            connection.upload(content, self._path(node, path), mode=0o600)
        clock.set_offset(connection, self._offset_file, 0.0)

    def _clear(self, node: str, connection: Connection) -> None:
        """Stop what runs, remove our rules and files. Also after a crash of an earlier run."""
        leavings.clear(connection, node, self._deployment, self._daemon(node), RUN_DIRECTORY)

    def _daemon(self, node: str) -> Daemon:
        library = self._libraries.get(node)
        preload = clock.environment(library, self._offset_file) if library else {}
        return Daemon(
            command=tuple(self._path(node, word) for word in self._deployment.command),
            environment={**self._deployment.environment, **preload},
            directory=self._path(node, self._deployment.directory),
            pid_file=f"{RUN_DIRECTORY}/pid",
            log_file=self._path(node, self._deployment.log_file),
            groups=tuple(map(groups.place, self._grouped)),
        )

    def _path(self, node: str, text: str) -> str:
        return text.replace("{node}", node)

    def _data(self, node: str) -> str:
        return self._path(node, self._deployment.data_directory)

    async def _wait_ready(self, node: str, deadline: float) -> None:
        """Until the node says that it serves. Raises WorldError at the deadline, or at once if its process is gone."""
        while True:
            if await first_asked(self, node):
                return
            state = await self.process(node)
            if state.state == "gone" or time.monotonic() > deadline:
                words = await self._on(node, lambda connection: self._daemon(node).last_words(connection))
                late = f"not within {self._ready_timeout_s:g} s"
                why = "its process has ended" if state.state == "gone" else late
                raise WorldError(
                    f"{self._hosts[node].label}: {self.system.name} does not serve: {why}; its log ends: {words}"
                )
            await asyncio.sleep(0.05)

    # ---- clients -------------------------------------------------------------------------------------------------

    async def dial(self, node: str) -> Channel:
        """A new client connection. Raises ChannelError."""
        address = self._addresses.get(node, self._hosts[node].address)
        return await self.system.dial(
            address, self._deployment.client_port, timeout_s=DIAL_TIMEOUT_S * self.slowness
        )

    # ---- troubles on links ---------------------------------------------------------------------------------------

    async def disturb(self, trouble: Trouble) -> None:
        """Begin a trouble on links; its counts begin here."""
        await self._links.disturb(trouble)

    async def relieve(self, number: int) -> Touches:
        """End it, verified; what it did, by link."""
        return await self._links.relieve(number)

    async def mend(self) -> None:
        """End every trouble on every node, verified. Raises WorldError, also when a lease had lapsed."""
        await self._links.mend()
        await self._leases.refuse_lapsed()

    # ---- processes -----------------------------------------------------------------------------------------------

    async def kill(self, node: str) -> None:
        """SIGKILL the process, if it is there, and wait until it is gone."""
        await self._on(node, lambda connection: self._daemon(node).stop(connection))

    async def cut_power(self, nodes: Sequence[str]) -> Mapping[str, PowerCut]:
        """SIGKILL, and then the power of the disk goes: what is not synced is gone. Raises WorldError where there is no disk of its own."""

        def cut(node: str, connection: Connection) -> PowerCut:
            place = self._disk(node)
            self._daemon(node).stop(connection)
            return disk.cut(connection, RUN_DIRECTORY, place)

        return await self._each(cut, tuple(nodes))

    async def unplug(self, nodes: Sequence[str]) -> None:
        """Drop what the system gets and sends there, SSH left alone."""

        def out(node: str, connection: Connection) -> None:
            peers = [address for name, address in self._addresses.items() if name != node]
            cable.unplug(connection, self._deployment.client_port, peers)

        await self._each(out, tuple(nodes))

    async def plug_in(self, nodes: Sequence[str]) -> Mapping[str, int]:
        """Let everything through again; how many packets were dropped."""
        return await self._each(lambda node, connection: cable.plug_in(connection), tuple(nodes))

    async def spoil_disks(self, nodes: Sequence[str], trouble: DiskTrouble) -> Mapping[str, Probe]:
        """Begin a trouble of the disks; what a write there gets."""
        return await self._each(
            lambda node, connection: disk.spoil(connection, RUN_DIRECTORY, self._disk(node), trouble), tuple(nodes)
        )  # fmt: skip

    async def mend_disks(self, nodes: Sequence[str]) -> Mapping[str, Probe]:
        """End every trouble of them. A process is killed where its disk has to be mounted anew."""
        return await self._each(
            lambda node, connection: disk.mend(connection, RUN_DIRECTORY, self._disk(node), self._daemon(node)), tuple(nodes)
        )  # fmt: skip

    def _disk(self, node: str) -> str:
        """Where the node's own disk is mounted. Raises WorldError if it has none."""
        return disk.place_of(self._hosts[node].label, self._data(node), self._faults)

    async def stop(self, node: str) -> None:
        """SIGTERM, and wait until the process has ended by itself."""
        await self._on(node, lambda connection: self._daemon(node).terminate(connection))

    async def wipe(self, node: str) -> int:
        """Remove what is in the data directory of a host without a process; how many files that were."""

        def empty(connection: Connection) -> int:
            if self._daemon(node).look(connection) is not None:
                return 0
            data = shlex.quote(self._data(node))
            found = connection.shell(f"find {data} -type f | wc -l; find {data} -mindepth 1 -delete")
            return int(found.stdout.strip())

        return await self._on(node, empty)

    async def start(self, node: str) -> None:
        """Start the process unless it is there."""

        def begin(connection: Connection) -> None:
            daemon = self._daemon(node)
            if daemon.look(connection) is None:
                daemon.start(connection)

        await self._on(node, begin)

    async def pause(self, node: str, how: str = SIGNAL) -> None:
        """SIGSTOP or the freezer, and wait until the kernel says stopped. Raises WorldError if the process is gone."""
        await self._on(node, lambda connection: self._daemon(node).pause(connection, how))

    async def resume(self, node: str) -> None:
        """SIGCONT, and no freezer; wait until the kernel says otherwise."""
        await self._on(node, lambda connection: self._daemon(node).resume(connection))

    async def throttle(self, nodes: Sequence[str], share: float) -> None:
        """A quota for the control group of the system."""
        await self._each(lambda node, connection: groups.throttle(connection, share), tuple(nodes))

    async def unthrottle(self, nodes: Sequence[str]) -> Mapping[str, float]:
        """No quota, verified; for how long it had to wait, as the kernel counts."""
        return await self._each(lambda node, connection: groups.unthrottle(connection), tuple(nodes))

    async def process(self, node: str) -> ProcessState:
        """The process as /proc on the host shows it now."""
        seen = await self._on(node, lambda connection: self._daemon(node).look(connection))
        return GONE if seen is None else seen.state

    # ---- clocks --------------------------------------------------------------------------------------------------

    def _owns(self, node: str) -> bool:
        """Whether the fault clock sets the host's own clock."""
        return self._shift_clocks and self._hosts[node].owns_clock

    async def set_clock(self, node: str, offset_ms: float) -> None:
        """Shift the wall clock: the host's if it has one of its own, else what the process sees. Raises WorldError where neither can be."""
        if self._owns(node):
            await self._on(
                node, lambda connection: own_clock.set_offset(connection, RUN_DIRECTORY, offset_ms)
            )
            return
        if self._libraries.get(node) is None:
            raise WorldError(clock.refusal(self._hosts[node].label, wanted=self._shift_clocks))
        await self._on(node, lambda connection: clock.set_offset(connection, self._offset_file, offset_ms))

    async def clock_offset_ms(self, node: str) -> float:
        """The offset, measured with the settings of the living process, or on the host whose clock it is. Raises WorldError if there is none."""

        def measure(connection: Connection) -> float:
            if self._owns(node):
                return own_clock.measure_ms(connection, RUN_DIRECTORY)
            seen = self._daemon(node).look(connection)
            return clock.measure_ms(connection, None if seen is None else seen.pid)

        return await self._on(node, measure)

    # ---- what is left to read ------------------------------------------------------------------------------------

    async def logs(self) -> Mapping[str, str]:
        """The end of each node's log, as far as it can be fetched; of a host that does not answer, why. How processes ended is looked at too."""
        await self._each(lambda node, connection: self._endings.finish(node, connection, self._daemon(node)))
        return await self._each(lambda node, connection: self._daemon(node).log(connection))

    def environment(self) -> Mapping[str, Any]:
        """The hosts, for environment.json."""
        return {
            "cluster": self._inventory.cluster,
            "kind": self._inventory.kind,
            "hosts": {
                node: {
                    "address": host.address,
                    "system": self._facts.get(node),
                    "libfaketime": self._libraries.get(node),
                }
                for node, host in self._hosts.items()
            },
            **self._endings.told(),
        }

    # ---- threads -------------------------------------------------------------------------------------------------

    async def _block(self, call: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._control.submit(call))

    async def _on(self, node: str, call: Callable[[Connection], T]) -> T:
        return await self._block(lambda: call(self._control[node]))

    async def _each(
        self, call: Callable[[str, Connection], T], nodes: tuple[str, ...] | None = None
    ) -> dict[str, T]:
        """All chosen nodes at once; every one is tried to its end before the first error is raised."""
        chosen = self.nodes if nodes is None else nodes
        waiting = [self._on(node, lambda connection, node=node: call(node, connection)) for node in chosen]  # type: ignore[misc]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return dict(zip(chosen, answers, strict=True))  # type: ignore[arg-type]
