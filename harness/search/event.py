"""The event required: what attribution (`harness.search.ablation`) says of a thing that was left out, and which of them are worth a name.

needed      nothing shows without it, and that is no chance        no matter   not clearly less shows without it
helps       clearly less shows without it                          undecided   too few runs to say
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

AS_IT_IS: Final = "as it is"
ANY_FAULT: Final = "any fault"
BESIDE: Final = ("loss", "reordering", "delays that vary", "concurrency")  # no fault, or may be none
NEEDED, HELPS, NO_MATTER, UNDECIDED = "needed", "helps", "no matter", "undecided"


def essential(names: Sequence[str]) -> list[str]:
    """Without "any fault" where a kind of fault is among them: that there has to be one goes without saying."""
    named = any(name != ANY_FAULT and name not in BESIDE for name in names)
    return [name for name in names if not (named and name == ANY_FAULT)]
