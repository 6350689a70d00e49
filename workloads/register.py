"""Workload "register": reads and writes of single keys, to find out whether each key behaves like one register.

    write k v     every v is written once in the whole run, so a read tells exactly which write it saw
    read k        the value, None if there never was one, or it was deleted
    write k None  the key is deleted, if the plan asks for that

A few keys are hot at a time, so that operations meet; after a while they are given up for fresh ones, so that no key's
history grows without end. When the faults are over and healed, every process reads every key once more: what was
acknowledged must still be there, wherever one looks.

How errors end: a definite refusal is `fail`. A read that a node answered with any error is `fail`, for it surely returned
nothing. Everything else is `info`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from checkers.op import Op, Type
from harness.client import Channel
from harness.generator import Context, GeneratorLike, each_thread, numbered, op
from harness.workload import Workload
from kvstore.client import StoreClient, StoreError
from workloads.options import Option, parse

OPTIONS: Final[Mapping[str, Option]] = {
    "keys": Option(5, 1, 10_000, True, "how many keys are hot at a time"),
    "ops_per_key": Option(
        200, 1, 10_000_000, True, "operations on a key, on average, before a fresh one replaces it"
    ),
    "read_fraction": Option(0.5, 0.0, 1.0, False, "share of reads"),
    "delete_fraction": Option(0.0, 0.0, 1.0, False, "share of the writes that delete the key"),
}


def key_name(key: int) -> bytes:
    """What a key is called in the store."""
    return b"register-%d" % key


class Touched:
    """The highest key any client has used: what the last reads have to look at."""

    def __init__(self) -> None:
        self.key_max = -1


class RegisterClient:
    """One process's connection, speaking the workload's operations."""

    errors: Mapping[type[BaseException], Type] = {}

    def __init__(self, channel: Channel, timeout_s: float, touched: Touched) -> None:
        self._store = StoreClient(channel, timeout_s=timeout_s)
        self._touched = touched

    async def invoke(self, op: Op) -> Op:
        """Do it. A lost connection raises ChannelError, which the interpreter knows how to classify."""
        key = key_name(op.key)
        if op.key > self._touched.key_max:
            self._touched.key_max = op.key
        try:
            if op.f == "read":
                found = await self._store.get(key)
                return op.ok(None if found is None else int(found))
            if op.value is None:
                await self._store.delete(key)
            else:
                await self._store.put(key, b"%d" % op.value)
            return op.ok()
        except StoreError as error:
            if error.definite or op.f == "read":
                return op.fail(str(error))
            return op.info(str(error))

    async def close(self) -> None:
        """Close the connection."""
        await self._store.close()


def load(
    keys: int, ops_per_key: int, read_fraction: float, delete_fraction: float = 0.0
) -> Callable[[int, Context], GeneratorLike]:
    """The n-th operation: hot keys are g*keys … g*keys+keys-1 in generation g; a write's value is n, or None: it deletes."""

    def nth(n: int, ctx: Context) -> GeneratorLike:
        generation = n // (keys * ops_per_key)
        key = ctx.key(keys, generation * keys)
        if ctx.rng.random() < read_fraction:
            return op("read", key)
        deletes = delete_fraction and ctx.rng.random() < delete_fraction
        return op("write", key, None if deletes else n)

    return nth


def workload(options: Mapping[str, Any]) -> Workload:
    """Make it. Raises PlanError on an unknown or bad option."""
    values = parse("register", OPTIONS, options)
    touched = Touched()
    timeout_s = float(options.get("op_timeout_ms", 1000.0)) / 1000
    last = each_thread(numbered(lambda n, _: op("read", n) if n <= touched.key_max else None))
    return Workload(
        name="register",
        description="reads and uniquely valued writes of single keys; each key is judged as one register",
        generator=numbered(
            load(
                int(values["keys"]),
                int(values["ops_per_key"]),
                values["read_fraction"],
                values["delete_fraction"],
            )
        ),
        final=last,
        client=lambda channel: RegisterClient(channel, timeout_s, touched),
        model="register",
        key_name=key_name,
        operations=("read", "write"),
        draws_keys=True,
    )
