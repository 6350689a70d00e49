"""What a run leaves on a host, and taking it away: also what a run left that was killed.

    thaw groups ─► unmount the disk ─► kill the process ─► rules, programs that hold packets ─► control groups ─► the clock ─► files

In this order: what is frozen does not die, what writes on a frozen disk does not die, and a group goes when nobody is in it.
"""

from __future__ import annotations

import shlex

from harness.control import Connection
from harness.system import Deployment
from harness.worlds.hosts import disk, files, groups, links, own_clock
from harness.worlds.hosts.daemon import Daemon


def clear(
    connection: Connection, node: str, deployment: Deployment, daemon: Daemon, directory: str
) -> None:  # fmt: skip
    """Stop what runs, remove our rules and files. `directory` is ours on the host."""
    groups.heal(connection)
    disk.drop(connection, directory)
    daemon.stop(connection)
    links.heal(connection, directory)
    groups.drop(connection)
    own_clock.heal(connection, directory)
    data = deployment.data_directory
    beside = (disk.image(data), disk.kept(data), files.kept(data))
    own = (deployment.directory, data, *beside, deployment.log_file)
    places = [*(place.replace("{node}", node) for place in own), directory]
    for place in places:
        assert place.count("/") >= 2, f"refusing to remove {place}"
        assert ".." not in place, f"refusing to remove {place}"
    connection.shell(f"rm -rf {shlex.join(places)}")
