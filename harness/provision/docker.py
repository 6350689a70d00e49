"""Local hosts from Docker containers, each with its own sshd, key, address and hostname. Needs root, and no registry.

    switch namespace of the cluster (local.py)
    ┌────────────────────────────────────────────────┐
    │ dockerd of this cluster alone (docker_init.py) │   image: the small Debian of debian.py, built once and kept;
    │ br0 ── n1 .1, n2 .2, … containers              │   a cluster's daemon has books of its own, and shares the layer
    └────────────────────────────────────────────────┘

A daemon for each cluster costs a third of a second, and buys an end that cannot go wrong: nothing is asked of a daemon when hosts are
removed, its processes are ended like those of any kind. No Docker that runs on the machine is used or touched.
A container has Docker's usual rights; NET_ADMIN, for the faults on links; and SYS_ADMIN with the loop devices, for a disk of its own.
It cannot set the clock.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.provision import debian, local
from harness.provision.docker_image import DOCKERFILE, IMAGE, NODE, write_context, write_home
from harness.provision.docker_init import SCRIPT
from harness.provision.inventory import Host, Inventory
from harness.provision.local import PLAIN
from harness.provision.processes import in_namespaces
from harness.provision.state import DISK_ROOT, NETNS_ROOT, STATE_ROOT, name_of_cgroup
from harness.worlds import WorldError

TOOLS: Final = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    **debian.TOOLS,
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "ssh-keygen": "openssh-client",
}  # tool: the Debian package that has it
DAEMON_TIMEOUT_S: Final = 20.0
RIGHTS: Final = (
    "--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
    "--device-cgroup-rule", "c 10:237 rmw", "--device-cgroup-rule", "b 7:* rmw",  # loop devices, and what gives them out
)  # fmt: skip


def up(
    name: str, count: int, *, timeout_s: float = 20.0, log: Callable[[str], None] = lambda text: None
) -> Inventory:  # fmt: skip
    """Make `count` hosts n1, n2, … and return once each answers SSH. Raises PlanError, WorldError as `local.up` says."""
    local.require(TOOLS, "docker")

    def start(hosts: Sequence[Host], subnet: ipaddress.IPv4Network) -> None:
        state, data, image = STATE_ROOT / name, DISK_ROOT / name / "docker", _image(log)
        _copy(image, data)
        switch = local.link_switch(name, subnet)
        (state / "init.sh").write_text(SCRIPT)
        init = [f"{state}/init.sh", str(state), str(data), name_of_cgroup(name), str(image)]
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh"]
        local.launch(switch, [*apart, *init], state / "dockerd.log")
        log(f"starting {count} containers in {subnet}")
        _wait_for_daemon(name, switch)
        # The bridge is there already; the gateway, which Docker must have, is an address that leads nowhere.
        network = ["--internal", "--subnet", str(subnet), "--gateway", str(subnet[-3])]
        _docker(name, "network", "create", *network, "--opt", "com.docker.network.bridge.name=br0", "cluster")
        _run_all(name, hosts)

    return local.up("docker", name, count, start, timeout_s=timeout_s, log=log)


def _image(log: Callable[[str], None]) -> Path:
    """Data of a daemon of this version that knows the image and has no containers."""
    tree = debian.tree(log)
    version = debian.run("dockerd", "--version").strip()

    def make(place: Path) -> None:
        log("making the image of containers: once, some twenty seconds")
        with tempfile.TemporaryDirectory(prefix="quorate-image-") as state:
            (script := Path(state) / "init.sh").write_text(SCRIPT)
            write_context(context := Path(state) / "context", tree)
            debian.run(
                *debian.APART,
                "--net",
                "sh",
                str(script),
                state,
                str(place),
                "quorate-image",
                "",
                str(context),
            )
        place.with_name(f"{place.name}.run").rmdir()

    return debian.kept("docker", (version, tree.name, DOCKERFILE, NODE), make)


def _copy(image: Path, data: Path) -> None:
    """A daemon's own books, by copies; the layers, which nobody writes to, are shown to it by bind mounts (docker_init.py)."""

    def left_out(folder: str, names: Sequence[str]) -> Sequence[str]:
        if os.path.basename(folder) == "diff":
            return names
        return [name for name in names if _is_special(f"{folder}/{name}")]

    shutil.copytree(image, data, symlinks=True, ignore=left_out)


def _is_special(path: str) -> bool:
    """Neither file nor directory nor link: a daemon makes its device files anew."""
    mode = os.lstat(path).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _wait_for_daemon(name: str, switch: str) -> None:
    """Return when it answers. Raises WorldError with what it said last, at once if it has ended."""
    deadline = time.monotonic() + DAEMON_TIMEOUT_S
    while True:
        with suppress(WorldError):
            _docker(name, "version")
            return
        if time.monotonic() > deadline or not in_namespaces([NETNS_ROOT / switch]):
            said = (STATE_ROOT / name / "dockerd.log").read_text(errors="replace").splitlines()
            raise WorldError(
                f"the Docker daemon of cluster {name} does not answer; it said: {said[-1] if said else 'nothing'}"
            )
        time.sleep(0.05)


def _run_all(name: str, hosts: Sequence[Host]) -> None:
    """Start a container for each host, all at once."""
    peers = [f"--add-host={host.name}:{host.address}" for host in hosts]
    started = [(host, _run(name, host, peers)) for host in hosts]
    for host, process in started:
        _, errors = process.communicate(timeout=60)
        if process.returncode != 0:
            raise WorldError(f"the container of {host.label} does not start: {errors.strip()}")


def _run(name: str, host: Host, peers: Sequence[str]) -> subprocess.Popen[str]:
    home = STATE_ROOT / name / host.name
    write_home(home, local.files_of(STATE_ROOT / name, host))
    (STATE_ROOT / name / f"{host.name}.log").symlink_to(home / "log")
    disk = DISK_ROOT / name / host.name
    command = ["docker", "run", "--detach", "--name", host.name, "--hostname", host.name, "--network", "cluster",
               "--ip", host.address, *peers, *RIGHTS, "--volume", f"{home}:/etc/quorate",
               "--volume", f"{disk}:/var/lib/quorate", IMAGE]  # fmt: skip
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=_ours(name)
    )  # fmt: skip


def _docker(name: str, *words: str) -> str:
    return debian.run("docker", *words, env=_ours(name))


def _ours(name: str) -> dict[str, str]:
    """The environment in which `docker` talks to the cluster's daemon, whatever the user has set up for another."""
    state = STATE_ROOT / name
    return {**PLAIN, "DOCKER_HOST": f"unix://{state}/docker.sock", "DOCKER_CONFIG": f"{state}/docker-config"}
