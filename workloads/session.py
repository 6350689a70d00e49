"""Workload "session": reads and uniquely valued writes of single keys by clients that carry a session token.

    connect          KV.SESSION TRACK on, or RESUME token if this process had a connection before
    read, write      as in "register"; then KV.SESSION TOKEN, kept for the next connection

A process is a session, also over the loss of its connection, as long as its operations have known outcomes. An operation
whose token could not be had does not count as done: a read `fail`s, a write is `info`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from checkers.op import Op, Type
from harness.client import Channel, ChannelError
from harness.generator import each_thread, numbered, op
from harness.workload import Workload
from kvstore.client import StoreError
from workloads.options import Option, parse
from workloads.register import RegisterClient, Touched, key_name, load

OPTIONS: Final[Mapping[str, Option]] = {
    "keys": Option(5, 1, 20, True, "how many keys there are; their versions must fit into a token"),
    "read_fraction": Option(0.6, 0.0, 1.0, False, "share of reads"),
}
ENDLESS: Final = 1 << 40  # operations on a key: it is never given up for a fresh one


class SessionClient(RegisterClient):
    """One connection of a session; `tokens` holds what each process has seen."""

    def __init__(
        self, channel: Channel, timeout_s: float, touched: Touched, tokens: dict[int | str, bytes]
    ) -> None:
        super().__init__(channel, timeout_s, touched)
        self._tokens = tokens
        self._begun = False

    async def invoke(self, op: Op) -> Op:
        """Do it within the session."""
        try:
            if not self._begun:
                token = self._tokens.get(op.process)
                what = (b"TRACK", b"on") if token is None else (b"RESUME", token)
                await self._store.call(b"KV.SESSION", *what)
                self._begun = True
        except (StoreError, ChannelError) as error:
            raise ChannelError(f"no session: {error}", definite=True) from error
        done = await super().invoke(op)
        if done.type is not Type.OK:
            return done
        try:
            self._tokens[op.process] = await self._store.call(b"KV.SESSION", b"TOKEN")
        except (StoreError, ChannelError) as error:
            return op.fail(f"no token: {error}") if op.f == "read" else op.info(f"no token: {error}")
        return done


def workload(options: Mapping[str, Any]) -> Workload:
    """Make it. Raises PlanError on an unknown or bad option."""
    values = parse("session", OPTIONS, options)
    touched, tokens = Touched(), dict[int | str, bytes]()
    timeout_s = float(options.get("op_timeout_ms", 1000.0)) / 1000
    return Workload(
        name="session",
        description="reads and uniquely valued writes of single keys by sessions that remember what they saw",
        generator=numbered(load(int(values["keys"]), ENDLESS, values["read_fraction"])),
        final=each_thread(numbered(lambda n, _: op("read", n) if n <= touched.key_max else None)),
        client=lambda channel: SessionClient(channel, timeout_s, touched, tokens),
        model="register",
        key_name=key_name,
        operations=("read", "write"),
        draws_keys=True,
    )
