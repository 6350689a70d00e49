"""Local hosts of a process: made when it first needs some, named after it, taken down with it or, if it was killed, by the next that needs some.

    own-<maker>-<process>      maker: who began the work (`quorate campaign run`, a pytest worker); process: who does it, one of its workers

The name is the process's alone and the subnet is claimed under a lock, so two never get in each other's way. Names need no file: whatever is called
after a maker that lives no more is left over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.provision import down, find_inventory, up
from harness.provision.processes import alive
from harness.provision.state import list_clusters

PREFIX: Final = "own"


class OwnHosts:
    """At most one cluster at a time. `maker` is the process that began the work."""

    def __init__(self, maker: int) -> None:
        self._name = f"{PREFIX}-{maker}-{os.getpid()}"
        self._up: tuple[str, int] | None = None

    def inventory(self, kind: str, count: int) -> Path:
        """The inventory of at least so many hosts of this kind; they are made if they are not there. Raises PlanError and WorldError."""
        if self._up is None or self._up[0] != kind or self._up[1] < count:
            self.down()
            up(kind, self._name, count)
            self._up = kind, count
        return find_inventory(self._name)

    def down(self) -> None:
        """Nothing is left of them. Idempotent."""
        if self._up is not None:
            self._up = None
            down(self._name)


def sweep(maker: int) -> None:
    """Take down all that was made for this maker, by whichever process."""
    _down(lambda made_for: made_for == maker)


def sweep_left() -> None:
    """Take down all whose maker lives no more."""
    _down(lambda made_for: not alive(made_for))


def _down(meant: Callable[[int], bool]) -> None:
    for cluster in list_clusters():
        word, _, rest = cluster.name.partition("-")
        made_for = rest.partition("-")[0]
        if word == PREFIX and made_for.isdigit() and meant(int(made_for)):
            down(cluster.name)
