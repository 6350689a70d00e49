"""At one instant a write's end and a read's call are concurrent: a safe register may then return anything."""

from __future__ import annotations

import pytest

from checkers import History, Op, Type, Verdict
from checkers.op import MISSING
from checkers.regular import check_safe


@pytest.mark.parametrize(("called", "verdict"), [(10, Verdict.UNKNOWN), (11, Verdict.INVALID)])
def test_a_read_called_as_a_write_ends_is_not_bound(called: int, verdict: Verdict) -> None:
    records = [
        Op(-1, 0, 0, Type.INVOKE, "write", 1, 1),
        Op(-1, called, 1, Type.INVOKE, "read", 1, MISSING),
        Op(-1, 10, 0, Type.OK, "write", 1, 1),
        Op(-1, 20, 1, Type.OK, "read", 1, None),
    ]
    assert check_safe(History.from_ops(sorted(records, key=lambda op: op.time_ns))).verdict is verdict
