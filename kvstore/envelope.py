"""What a CASPaxos register holds: a value, how often it was changed, and who changed it last.

    Envelope(version 7, value b"42", done = [("!n1", 12, version 5), ("alice", 3, version 7, result 42)], floor 0)

A request that is tried again must not take effect again, and must be told what the first try did. So each change leaves
its *request id* behind, beside the value and under the same ballot: who, a number that grows with each request of theirs,
the version it made, and its result. One entry each: whoever sends a new request no longer waits for the last one
(Ongaro's thesis, 6.3). A node that coordinates is somebody too, for its own second attempts.

At most DONE_MAX entries stay. `floor` is the version that the newest entry let go had made: a change that would have made
a version at or below it may have been forgotten, and then the answer is "cannot tell", never "no".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from kvstore.caspaxos import KEEP, Keep
from kvstore.errors import FORGOTTEN
from kvstore.flows.steps import GaveUpError

DONE_MAX: Final = 64


class Rid(NamedTuple):
    """A request id: `number` grows from request to request of the same `who`, and stays when one is tried again."""

    who: bytes
    number: int


class Done(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The last change of somebody: it made `version`, and `result` was what the operation counts or says.

    `attempt` tells tries of one request apart, which may have started from different states.
    """

    who: bytes
    number: int
    version: int
    result: int
    attempt: int


class Envelope(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A register's state. `version` counts its changes; `value` None: deleted, or never written at version 0."""

    version: int = 0
    value: bytes | None = None
    done: tuple[Done, ...] = ()
    floor: int = 0

    def last(self, who: bytes) -> Done | None:
        """The last change they made that is remembered."""
        return next((done for done in self.done if done.who == who), None)

    def changed(self, rid: Rid, value: bytes | None, result: int, attempt: int = 0) -> Envelope:
        """The state after one more change."""
        version = self.version + 1
        mine = Done(rid.who, rid.number, version, result, attempt)
        done = (*(each for each in self.done if each.who != rid.who), mine)
        if len(done) <= DONE_MAX:
            return Envelope(version, value, done, self.floor)
        return Envelope(version, value, done[1:], done[0].version)


EMPTY: Final = Envelope()
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Envelope)


def sealed(envelope: Envelope) -> bytes:
    """As bytes: equal states, equal bytes."""
    return _ENCODER.encode(envelope)


def opened(data: bytes | None) -> Envelope:
    """The inverse of `sealed`; None is EMPTY. Raises msgspec.DecodeError."""
    return EMPTY if data is None else _DECODER.decode(data)


Effect = Callable[[Envelope], tuple[bytes | None, int] | Keep]
"""What an operation makes of a state: (new value, result), or KEEP when there is nothing to change."""


class Request:
    """An operation on an enveloped register that takes effect at most once: a `kvstore.caspaxos.Change`.

    Afterwards `state` is the state it left or found; `took_effect` says which, in this try or an earlier one;
    `result` and `version` are then those of its change. `before` is the state it changed; it is known only of a request
    that nobody else may try.
    """

    __slots__ = ("_attempts", "_effect", "before", "result", "rid", "state", "took_effect", "version")

    def __init__(self, rid: Rid, effect: Effect) -> None:
        self.rid = rid
        self._effect = effect
        self._attempts: list[Envelope] = []  # what each try that changes something started from
        self.state = EMPTY
        self.took_effect = False
        self.result = 0
        self.version = 0
        self.before: Envelope | None = None

    def apply(self, value: bytes | None) -> bytes | Keep | None:
        """Evaluate it on this state. Raises GaveUpError when the same client has since made another change."""
        state = opened(value)
        done = None if self._attempts else state.last(self.rid.who)  # after a try, `settled` has been asked
        if done is not None and done.number >= self.rid.number:
            self._found(state, done)
            return KEEP
        effect = self._effect(state)
        self.took_effect = not isinstance(effect, Keep)
        if isinstance(effect, Keep):
            self.state = state
            return KEEP
        new, self.result = effect
        self.before, self.state = state, state.changed(self.rid, new, self.result, len(self._attempts))
        self.version = self.state.version
        self._attempts.append(state)
        return sealed(self.state)

    def settled(self, value: bytes | None) -> bool | None:
        """Whether an earlier `apply` of ours is in this state's past. A change of ours made a version we know."""
        state = opened(value)
        done = state.last(self.rid.who)
        if done is not None and done.number >= self.rid.number:
            self._found(state, done)
            return True
        return None if min(attempt.version for attempt in self._attempts) < state.floor else False

    def _found(self, state: Envelope, done: Done) -> None:
        if done.number > self.rid.number:
            raise GaveUpError(
                FORGOTTEN, "this client has made a later change: what became of this one is forgotten"
            )
        self.state, self.took_effect = state, True
        self.result, self.version = done.result, done.version
        self.before = self._attempts[done.attempt] if done.attempt < len(self._attempts) else None
