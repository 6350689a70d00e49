"""Hosts from a compose file, under the Docker that a user has: a directory with all it takes, an inventory of it among them.

    lab/docker-compose.yml   read alike by docker-compose (1.27 or later) and `docker compose`: services n1, n2, … with fixed addresses
        image/               Dockerfile, node.sh, rootfs.tar
        n1/ n2/ …            what each has at /etc/quorate
        inventory.toml       id_ed25519  known_hosts

Nothing is started here, and nothing of ours has to take it down: that is compose's work. A cluster of kind docker (docker.py) is what to use where there
is no Docker yet, or none that may be touched.
Reference: the Compose Specification, "Services top-level elements", "Networks top-level elements".
"""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from harness.plan import PlanError
from harness.provision import debian, local
from harness.provision.docker_image import IMAGE, write_context, write_home
from harness.provision.inventory import Host, Inventory
from harness.provision.state import check_name

TOOLS: Final = {
    **debian.TOOLS,
    "ssh-keygen": "openssh-client",
    "tar": "tar",
}  # tool: the Debian package that has it
SUBNET: Final = "10.214.0.0/24"
HEAD: Final = f"""\
# Hosts for `quorate run PLAN --world hosts --inventory inventory.toml`, written by `quorate hosts compose`.
#   docker-compose up -d --build     or `docker compose`
x-host: &host
  image: {IMAGE}
  build:
    context: ./image
    network: none
  cap_add: [NET_ADMIN]
"""


def write(
    folder: Path, name: str, count: int, subnet: str, *, log: Callable[[str], None] = lambda text: None
) -> Inventory:  # fmt: skip
    """Make the directory. Raises PlanError if there is something of this name, or for a subnet that is none."""
    check_name(name)
    network = _network(subnet, count)
    if folder.exists():
        raise PlanError(f"{folder} is there already: remove it, or name another directory.")
    local.require(TOOLS, "docker")
    tree = debian.tree(log)
    folder.mkdir(mode=0o700, parents=True)
    try:
        return _fill(folder.absolute(), name, count, network, tree, log)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _fill(
    state: Path, name: str, count: int, network: ipaddress.IPv4Network, tree: Path, log: Callable[[str], None]
) -> Inventory:
    """All of it, the inventory last."""
    hosts = local.hosts_of(state, count, network)
    local.write_files(state, name, hosts)
    for host in hosts:
        write_home(state / host.name, local.files_of(state, host))
    log("packing the small Debian")
    write_context(state / "image", tree)
    (state / "docker-compose.yml").write_text(compose_file(hosts, network))
    inventory = Inventory(cluster=name, kind="docker", hosts=hosts)
    inventory.dump(state / "inventory.toml")
    return inventory


def compose_file(hosts: Sequence[Host], subnet: ipaddress.IPv4Network) -> str:
    """The file as both tools read it: without a version, which one would warn of."""
    peers = ", ".join(f'"{host.name}:{host.address}"' for host in hosts)
    services = "".join(
        f"  {host.name}:\n    <<: *host\n    hostname: {host.name}\n    extra_hosts: [{peers}]\n"
        f"    networks:\n      hosts:\n        ipv4_address: {host.address}\n"
        f'    volumes: ["./{host.name}:/etc/quorate"]\n'
        for host in hosts
    )
    gateway = f"        - subnet: {subnet}\n          gateway: {subnet[-2]}\n"
    return f"{HEAD}services:\n{services}networks:\n  hosts:\n    ipam:\n      config:\n{gateway}"


def _network(text: str, count: int) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise PlanError(f"--subnet: {error}; give one such as {SUBNET}.") from None
    if not 1 <= count <= min(local.HOSTS_MAX, network.num_addresses - 3):
        raise PlanError(f"{count} hosts do not fit in {network}: ask for 1 to {local.HOSTS_MAX}.")
    return network
