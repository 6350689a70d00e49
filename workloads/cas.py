"""Workloads "cas-register", "counter" and "append-list": single keys that are changed depending on what they hold.

    cas-register  read k -> v          KV.GET, or SET k … NX GET: a condition that is false and must tell the newest value too
                  write k v            KV.PUT; every v is written once in the whole run
                  cas k [old, new]     KV.CAS k VERSION (that of `old`) new; some `old`s are known to be outdated
    counter       add k 1              KV.INCR with a request id, tried again on the same connection after a time-out
                  read k -> n          GET
    append-list   append k v           APPEND "v,"
                  read k -> [v, …]     GET

A few keys are hot at a time and are given up for fresh ones after a while. When the faults are over and healed, every
process reads every key once more.

How errors end: a definite refusal is `fail`, and so is a condition that was false (CASFAIL). A read that a node answered
with any error is `fail`, for it surely returned nothing. Everything else is `info`; of an add that was tried several times
one indefinite answer is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from checkers.op import Op, Type
from harness.client import Channel, ChannelError, Client
from harness.generator import Context, GeneratorLike, each_thread, numbered, op
from harness.workload import Workload
from kvstore.client import StoreClient, StoreError
from workloads.options import Option, parse

RECENT: Final = 4  # values of a key that a cas may name; of those before, some
TRIES: Final = 4

COMMON: Final = {
    "keys": Option(5, 1, 10_000, True, "how many keys are hot at a time"),
    "ops_per_key": Option(
        200, 1, 10_000_000, True, "operations on a key, on average, before a fresh one replaces it"
    ),
    "read_fraction": Option(0.4, 0.0, 1.0, False, "share of reads"),
}
OPTIONS: Final[Mapping[str, Mapping[str, Option]]] = {
    "cas-register": {
        **COMMON,
        "cas_fraction": Option(0.6, 0.0, 1.0, False, "share of the updates that are compare-and-sets"),
        "outdated_fraction": Option(
            0.2, 0.0, 1.0, False, "share of the compare-and-sets that expect an old value"
        ),
    },
    "counter": COMMON,
    "append-list": {**COMMON, "ops_per_key": Option(30, 1, 10_000, True, COMMON["ops_per_key"].meaning)},
}
MODELS: Final = {"cas-register": "cas-register", "counter": "counter-exact", "append-list": "append-list"}
OPERATIONS: Final = {
    "cas-register": ("read", "write", "cas"),
    "counter": ("read", "add"),
    "append-list": ("read", "append"),
}
WORDS: Final = {
    "cas-register": "reads, writes and compare-and-sets of single keys",
    "counter": "increments that are tried again after a time-out, and reads",
    "append-list": "appends of unique values, and reads of the whole list",
}


class Board:
    """What all clients of a run know together: the highest key used, and each key's versions by value."""

    def __init__(self) -> None:
        self.key_max = -1
        self.versions: dict[int, dict[int, int]] = {}  # key: value: version, the newest found last

    def note(self, key: int, value: int, version: int) -> None:
        """A value of a key has this version, for ever."""
        known = self.versions.setdefault(key, {})
        if value not in known and version > max(known.values(), default=0):
            known[value] = version

    def expected(self, key: int, rng: Random, outdated: bool) -> int | None:
        """A value for a cas to expect: the newest known, or one that is not. None: none is known."""
        known = list(self.versions.get(key, ()))
        if outdated and len(known) > 1:
            return known[-2 - int(rng.random() * min(RECENT, len(known) - 1))]
        return known[-1] if known else None


class KeyClient:
    """One process's connection. Subclasses say what an operation does; this class says how it ends."""

    errors: Mapping[type[BaseException], Type] = {}

    def __init__(self, channel: Channel, timeout_s: float, board: Board, prefix: bytes) -> None:
        self._store = StoreClient(channel, timeout_s=timeout_s)
        self._timeout_s = timeout_s
        self._board = board
        self._prefix = prefix

    async def invoke(self, op: Op) -> Op:
        """Do it. A lost connection raises ChannelError, which the interpreter knows how to classify."""
        self._board.key_max = max(self._board.key_max, op.key)
        try:
            return op.ok(await self.do(op, b"%b-%d" % (self._prefix, op.key)))
        except StoreError as error:
            return op.fail(str(error)) if error.definite or op.f == "read" else op.info(str(error))

    async def do(self, op: Op, key: bytes) -> Any:
        """The operation's value once it is done. Raises StoreError."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connection."""
        await self._store.close()


class CasClient(KeyClient):
    """read, write, cas."""

    async def do(self, op: Op, key: bytes) -> Any:
        """See the head of this file."""
        if op.f == "read":
            return await self._read(op, key)
        if op.f == "write":
            value, answer = op.value, await self._store.call(b"KV.PUT", key, b"%d" % op.value)
        else:
            old, value = op.value
            version = self._board.versions.get(op.key, {}).get(old)
            if version is None:  # in a script of which the operation that told it was left out
                raise StoreError(
                    "UNSEEN", f"no answer told the version of {old} to compare with", definite=True
                )
            answer = await self._store.call(b"KV.CAS", key, b"VERSION", b"%d" % version, b"%d" % value)
        self._board.note(op.key, value, int(_pairs(answer)[b"tag"]))
        return op.value

    async def _read(self, op: Op, key: bytes) -> int | None:
        if op.index % 2 and self._board.versions.get(op.key):  # it has a value, and nobody deletes it
            found = await self._store.call(b"SET", key, b"-1", b"NX", b"GET")
            return None if found is None else int(found)
        answer = _pairs(await self._store.call(b"KV.GET", key))
        if not answer[b"values"]:
            return None
        value = int(answer[b"values"][0])
        self._board.note(op.key, value, int(answer[b"tag"]))
        return value


class CounterClient(KeyClient):
    """add, read. An add is tried up to TRIES times under one request id, in the time one request may take."""

    async def do(self, op: Op, key: bytes) -> Any:
        """See the head of this file."""
        if op.f == "read":
            return int(await self._store.get(key) or 0)
        # A key remembers 64 clients, each by its last request; the number is of the run, for a client that connects anew would begin to count again.
        rid = f"{op.process}:{op.index}".encode()
        share_ms = b"%d" % max(1000 * self._timeout_s / (TRIES + 1), 1)
        command = (b"KV.INCR", key, b"%d" % op.value, b"RID", rid, b"TIMEOUT", share_ms)
        doubt: StoreError | None = None
        for _ in range(TRIES):
            try:
                await self._store.call(*command)
                return op.value
            except StoreError as error:
                if error.definite and doubt is None:
                    raise
                doubt = error if doubt is None else doubt
            except ChannelError:
                if doubt is None:
                    raise
                break  # what was surely not sent is this try alone
        assert doubt is not None
        raise doubt


class ListClient(KeyClient):
    """append, read."""

    async def do(self, op: Op, key: bytes) -> Any:
        """See the head of this file."""
        if op.f == "read":
            return [int(item) for item in (await self._store.get(key) or b"").split(b",") if item]
        await self._store.call(b"APPEND", key, b"%d," % op.value)
        return op.value


CLIENTS: Final[Mapping[str, type[KeyClient]]] = {
    "cas-register": CasClient,
    "counter": CounterClient,
    "append-list": ListClient,
}


def _pairs(answer: Any) -> Mapping[bytes, Any]:
    """A map as RESP 2 or 3 gives it."""
    return dict(zip(answer[::2], answer[1::2], strict=True)) if isinstance(answer, list) else answer


def load(name: str, values: Mapping[str, float], board: Board) -> Callable[[int, Context], GeneratorLike]:
    """The n-th operation: hot keys are g*keys … g*keys+keys-1 in generation g; a written value is n."""
    keys, per_generation = int(values["keys"]), int(values["keys"] * values["ops_per_key"])

    def nth(n: int, ctx: Context) -> GeneratorLike:
        rng = ctx.rng
        key = ctx.key(keys, n // per_generation * keys)
        if rng.random() < values["read_fraction"]:
            return op("read", key)
        if name == "counter":
            return op("add", key, 1)
        if name == "append-list":
            return op("append", key, n)
        if rng.random() < values["cas_fraction"]:
            old = board.expected(key, rng, rng.random() < values["outdated_fraction"])
            if old is not None:
                return op("cas", key, [old, n])
        return op("write", key, n)

    return nth


def _workload(name: str, options: Mapping[str, Any]) -> Workload:
    values = parse(name, OPTIONS[name], options)
    board = Board()
    timeout_s = float(options.get("op_timeout_ms", 1000.0)) / 1000
    last = each_thread(numbered(lambda n, _: op("read", n) if n <= board.key_max else None))

    def client(channel: Channel) -> Client:
        return CLIENTS[name](channel, timeout_s, board, name.encode())

    return Workload(
        name=name,
        description=WORDS[name],
        generator=numbered(load(name, values, board)),
        final=last,
        client=client,
        model=MODELS[name],
        key_name=lambda key: b"%b-%d" % (name.encode(), key),
        operations=OPERATIONS[name],
        draws_keys=True,
    )


def cas_register(options: Mapping[str, Any]) -> Workload:
    """Make it. Raises PlanError on an unknown or bad option."""
    return _workload("cas-register", options)


def counter(options: Mapping[str, Any]) -> Workload:
    """Make it. Raises PlanError on an unknown or bad option."""
    return _workload("counter", options)


def append_list(options: Mapping[str, Any]) -> Workload:
    """Make it. Raises PlanError on an unknown or bad option."""
    return _workload("append-list", options)
