"""Client: one logical client's connection to the system under test, and the table that turns errors into outcomes.

    generator ─► Op(invoke) ─► client.invoke(op) ─► op.ok(value) | op.fail(why) | op.info(why)
                                     │ raises
                                     └─► `errors` table: FAIL when listed as FAIL, otherwise INFO

An error that nobody has classified is `info`: in doubt the operation may have happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from checkers.op import Op, Type


class Client(Protocol):
    """Performs operations of one process against one node. One operation at a time."""

    errors: Mapping[type[BaseException], Type]

    async def invoke(self, op: Op) -> Op:
        """Perform the operation and return its completion: same process, f and key; type OK, FAIL or INFO."""

    async def close(self) -> None:
        """Give the connection back. Never raises."""


class SpoiltRunError(RuntimeError):
    """Something was done that would make a simulated run another each time: the run ends with it, whoever did it. The message names the place."""


class ChannelError(Exception):
    """A request got no answer. `definite` is true only if the request surely never reached the system."""

    def __init__(self, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.definite = definite


NO_ANSWER: Final = (ChannelError, OSError, EOFError)
"""What asking a node may raise, where its channel is a plain socket too: the node did not answer."""


class Channel(Protocol):
    """A connection to one node, in either world: a socket on hosts, a stream of events in the simulator.

    Answers have the form hiredis gives them: bytes, int, str for a simple string, list, dict, None; an error answer
    is *returned* as a `ReplyError`-like exception instance, not raised.
    """

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """Send one command and wait for its answer. Raises ChannelError (a time-out is never definite), or what its socket raises."""

    async def close(self) -> None:
        """Close. Never raises."""


def outcome_of(error: BaseException, table: Mapping[type[BaseException], Type]) -> Type:
    """FAIL if the table says so for the error's class or a base of it, otherwise INFO."""
    for cls in type(error).__mro__:
        if cls in table:
            return Type.FAIL if table[cls] is Type.FAIL else Type.INFO
    if isinstance(error, ChannelError) and error.definite:
        return Type.FAIL
    return Type.INFO
