"""Old nights made small: what findings rest on is kept, run by run; of clean runs only how many there were.

    night 3:  ok ok violation ok ok unknown ok     ──►     ok x 5, violation, unknown

The clean runs of an item with one configuration become one record: its `count` says how many, its numbers are theirs together, its place is that of the
first of them. So rates, the clean runs since a finding and the trends stay what they were; where a clean run was after the last hit of its own night
and cannot be told from one before it, it is not counted: in doubt, a finding needs more. A night that is made small once more stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from harness.campaign.ledger import Record
from harness.intervals import middle
from harness.results import OK


def folded(records: Iterable[Record]) -> list[Record]:
    """The records of one night, small."""
    kept, clean = list[Record](), dict[tuple[str, str], list[Record]]()
    for record in records:
        if record.outcome == OK:
            clean.setdefault((record.item, record.configuration), []).append(record)
        else:
            kept.append(record)
    return sorted([*kept, *map(_together, clean.values())], key=lambda record: (record.item, record.run))


def _together(runs: Sequence[Record]) -> Record:
    bit: dict[str, int] = {}
    for run in runs:
        for kind, count in run.faults.items():
            bit[kind] = bit.get(kind, 0) + count
    return msgspec.structs.replace(
        min(runs, key=lambda run: run.run),
        count=sum(run.count for run in runs),
        ops=sum(run.ops for run in runs),
        virtual_s=sum(run.virtual_s for run in runs),
        cpu_s=round(sum(run.cpu_s for run in runs), 4),
        real_s=round(sum(run.real_s for run in runs), 4),
        faults=bit,
        p99_ms=middle([run.p99_ms for run in runs if run.p99_ms is not None]),
        digest="" if len(runs) > 1 else runs[0].digest,
    )
