"""An add that is tried again: what the first try may have done stays in doubt, however surely the second was never sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from checkers.op import Op, Type
from harness.client import ChannelError
from harness.completion import after_error
from harness.workload import Workload
from kvstore.client import StoreError
from workloads.cas import counter
from workloads.causal import pn_counter


class Closing:
    """A connection whose node answers once, with this error, and closes it."""

    def __init__(self, code: str) -> None:
        self.code, self.asked = code, 0

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        self.asked += 1
        if self.asked > 1:
            raise ChannelError("not sent: the node closed the connection", definite=True)
        return StoreError(self.code, "what the first try came to")

    async def close(self) -> None:
        pass


async def ended(workload: Workload, code: str) -> Op:
    """As the interpreter records it."""
    client, add = workload.client(Closing(code)), Op(0, 0, 0, Type.INVOKE, "add", 0, 1)
    try:
        return await client.invoke(add)
    except Exception as error:
        return after_error(add, error, client.errors)


@pytest.mark.parametrize("made", [counter, pn_counter])
@pytest.mark.parametrize(("code", "outcome"), [("TIMEOUT", Type.INFO), ("OVERLOADED", Type.FAIL)])
def test_one_try_in_doubt_is_enough(made: Callable[[Any], Workload], code: str, outcome: Type) -> None:
    assert asyncio.run(ended(made({}), code)).type is outcome
