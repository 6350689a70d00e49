"""How a finding is seen again, in the words of a shell.

in the simulator    the plan with its seed: the same run, byte for byte
on hosts            the plan again and again, for no run there is the same: how often it shows is all that can be had; what the one run left is kept
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final

from harness.hosted import Place

TIMES: Final = 10  # that a plan is tried on hosts


@dataclass(frozen=True, slots=True)
class Ways:
    """To one finding. `plan` shows it; a run on hosts has a `place`, where so many `nodes` are, and left a `folder`."""

    plan: str
    nodes: int = 0
    place: Place | None = None
    folder: str = ""
    smallest: str = ""  # a plan that shows it, made small
    size: str = ""  # of that one

    @property
    def again(self) -> str:
        """The command that makes the run again."""
        plan = shlex.quote(self.plan)
        if self.place is None:
            return f"quorate replay {plan}"
        if self.place.inventory:
            return f"quorate run {plan} --world hosts --inventory {shlex.quote(self.place.inventory)}"
        return f"quorate hosts up --kind {self.place.kind} -n {self.nodes} && quorate replay {plan} --world hosts --times {TIMES}"

    @property
    def smaller(self) -> str:
        """The command that makes it small; empty for what was seen on hosts, or is small."""
        return "" if self.place is not None or self.smallest else f"quorate shrink {shlex.quote(self.plan)}"

    @property
    def smallest_again(self) -> str:
        """The command that shows the smallest plan with every message; empty if none was made."""
        return f"quorate replay {shlex.quote(self.smallest)} --trace" if self.smallest else ""

    @property
    def evidence(self) -> str:
        """The command that shows what the run left; empty in the simulator, where the run can be had again."""
        return f"quorate report {shlex.quote(self.folder)}" if self.folder else ""

    def told(self, code: str = "") -> str:
        """All of them in one sentence, each command between two `code` marks."""
        said = [
            (
                "Again" if self.place is None else f"On hosts no run is the same again; {TIMES} more",
                self.again,
            )
        ]
        said += [(f"the smallest, {self.size}", self.smallest_again)] if self.smallest else []
        said += [("smaller", self.smaller)] if self.smaller else []
        said += [("what the run left", self.evidence)] if self.evidence else []
        return "; ".join(f"{what}: {code}{command}{code}" for what, command in said)

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "plan": self.plan,
            "again": self.again,
            "smaller": self.smaller or None,
            "smallest": self.smallest or None,
            "size": self.size or None,
            "folder": self.folder or None,
        }
