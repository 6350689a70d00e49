"""Where a call goes, when it is tried again, and what its failure means: the deciding half of every client of a cluster.

    Attempts ── where(now) ──► a replica of the key, then the others, those that failed lately last
       ▲                              │ answer: done
       └── failed(error, now) ◄───────┘ pause, and again; or raises DefiniteError or MaybeAppliedError

Rule 1. A write that may have taken effect is tried again only under its request id (RID): the node then tells what the first try did.
        Without one a second try may be a second change, or show one value under two versions (docs/store.md), so the client is told instead.
Rule 2. What a node says about the request itself (a wrong argument, no permission) is final. What it says about its state is not.
Rule 3. "Definite" is the sum of all tries: one that may have taken effect makes the whole call so. That a later try met a false condition
        proves nothing about an earlier one, which may still be in progress at another node and meet a true one: unless it can never be
        true again, for the key is past the version that was asked for, and not so far that it could have forgotten an earlier try.
Rule 4. A request id belongs to a lane, which has one request in progress, and is given up with a request whose end is not known
        (`kvstore.commands_cas`). There are few lanes: a key remembers the last request of 64 of them.

No sockets and no clock here: `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from kvstore.client_calls import version_told
from kvstore.errors import CASFAIL
from kvstore.ring import SLOTS, slot_of

AVOID_S: Final = (
    2.0  # how long a node that failed is asked last: about as long as the others take to suspect it
)
PAUSE_S_MIN: Final = 0.01
PAUSE_S_MAX: Final = 0.5
LANES_MAX: Final = 32
TRANSIENT: Final = frozenset(
    ("OVERLOADED", "LOADING", "NOQUORUM", "STALE", "CLOCKSKEW", "TIMEOUT", "INDEFINITE", "LOST", "MOVED")
)


class CallError(Exception):
    """A call failed. `code` is a row of `kvstore.errors.TABLE`, or LOST: no answer came. `tries`: how often it was sent."""

    def __init__(self, code: str, text: str, tries: int = 1) -> None:
        super().__init__(f"{code} {text}" + (f" (after {tries} tries)" if tries > 1 else ""))
        self.code = code
        self.text = text
        self.tries = tries


class DefiniteError(CallError):
    """Surely nothing was changed, nor will be."""


class ConditionFailed(DefiniteError):
    """The condition of `cas` was false, in the order of all operations; the key is at `version`."""

    @property
    def version(self) -> int:
        """How often the key was changed."""
        return version_told(self.text)


class MaybeAppliedError(CallError):
    """The change may have been made, or may yet be. Read, or use an operation that can be repeated."""


class Address(NamedTuple):
    """A node's client port."""

    host: str
    port: int


class Routes:
    """Which nodes there are, and which of them hold a key: CLUSTER SLOTS, and who failed lately."""

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.seeds = tuple(seeds)
        self.learned_s = float("-inf")
        self._by_slot: list[tuple[Address, ...]] = [()] * SLOTS
        self._nodes: tuple[Address, ...] = self.seeds
        self._failed_s: dict[Address, float] = {}

    def learn(self, rows: Sequence[Any], now_s: float) -> None:
        """Take in the answer of CLUSTER SLOTS: rows of first slot, last slot, [host, port, id]…, the one to ask first."""
        self.learned_s = now_s
        if not rows:
            return  # a single node that does not know its own port yet
        nodes: dict[Address, None] = {}
        for first, last, *places in rows:
            replicas = tuple(Address(place[0].decode(), int(place[1])) for place in places)
            self._by_slot[first : last + 1] = [replicas] * (last + 1 - first)
            nodes.update(dict.fromkeys(replicas))
        nodes.update(dict.fromkeys(self.seeds))
        self._nodes = tuple(nodes)

    def order(self, key: bytes | None, now_s: float) -> list[Address]:
        """Whom to ask, best first: the key's replicas, then anybody; who failed lately comes last, the longest ago first."""
        replicas = () if key is None else self._by_slot[slot_of(key)]
        every = dict.fromkeys((*replicas, *self._nodes))
        return sorted(every, key=lambda node: self._blame(node, now_s))

    def _blame(self, node: Address, now_s: float) -> float:
        failed_s = self._failed_s.get(node)
        return 0.0 if failed_s is None or now_s - failed_s > AVOID_S else AVOID_S - (now_s - failed_s) + 1.0

    def failed(self, node: Address, now_s: float) -> None:
        """It gave no answer, or is stopping."""
        self._failed_s[node] = now_s

    def answered(self, node: Address) -> None:
        """It is well."""
        self._failed_s.pop(node, None)


class Lane:
    """One line of requests with ids: each number is used for one request, which may be tried many times."""

    __slots__ = ("_number", "_who")

    def __init__(self, who: bytes) -> None:
        self._who = who
        self._number = 0

    def next(self) -> bytes:
        """The id of a new request."""
        self._number += 1
        return b"%b:%d" % (self._who, self._number)


class Lanes:
    """Lanes of one client, whose name nobody else has. The one used last is used first, so that few are in use."""

    def __init__(self, client: bytes) -> None:
        self._client = client
        self._made = 0
        self._free: list[Lane] = []

    def take(self) -> Lane:
        """A lane without a request in progress."""
        if self._free:
            return self._free.pop()
        self._made += 1
        return Lane(b"%b-%d" % (self._client, self._made))

    def give_back(self, lane: Lane) -> None:
        """Its request has ended, and it is known how. One whose end is not known is not given back."""
        self._free.append(lane)


class Attempts:
    """The tries of one call."""

    def __init__(
        self,
        routes: Routes,
        key: bytes | None,
        *,
        writes: bool,
        rid: bool,
        never: Callable[[str], bool] = lambda text: False,
        until_s: float,
        random: Callable[[], float],
    ) -> None:
        self.tries = 0
        self._routes = routes
        self._key = key
        self._writes = writes
        self._rid = rid
        self._never = never
        self._until_s = until_s
        self._random = random
        self._tried: set[Address] = set()
        self._doubt = False  # a try may have taken effect
        self._at: Address | None = None

    def where(self, now_s: float) -> Address:
        """The node for the next try."""
        order = self._routes.order(self._key, now_s)
        if self._tried >= set(order):
            self._tried.clear()
        self._at = next(node for node in order if node not in self._tried)
        self._tried.add(self._at)
        self.tries += 1
        return self._at

    def answered(self) -> None:
        """The last try has its answer."""
        assert self._at is not None
        self._routes.answered(self._at)

    def failed(self, code: str, text: str, definite: bool, now_s: float) -> float:
        """The last try failed: seconds to wait before the next. Raises CallError if there is to be none."""
        assert self._at is not None
        if code in ("LOST", "LOADING"):
            self._routes.failed(self._at, now_s)
        told = code == CASFAIL and self._never(text)  # rule 3
        self._doubt = not told and (self._doubt or (self._writes and not definite))
        if code not in TRANSIENT or (self._doubt and not self._rid):
            raise self._error(code, text)
        pause_s = 0.0
        if self.tries > 1 or code != "LOST":
            ceiling = min(PAUSE_S_MAX, PAUSE_S_MIN * 2.0 ** min(self.tries, 10))
            pause_s = ceiling * (0.5 + 0.5 * self._random())
        if now_s + pause_s >= self._until_s:
            raise self._error(code, text)
        return pause_s

    def _error(self, code: str, text: str) -> CallError:
        if self._doubt:
            return MaybeAppliedError(code, text, self.tries)
        kind = ConditionFailed if code == CASFAIL else DefiniteError
        return kind(code, text, self.tries)
