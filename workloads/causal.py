"""Workloads "siblings", "or-set" and "pn-counter": what replicas must agree on without agreeing beforehand.

    siblings     write k {"value": n, "seen": [a, b]}   KV.PUT with the context of a read that showed a and b; blind: seen []
                 read k -> [n, …]                       KV.GET
                 delete k                               DEL, if the plan asks for it: for the claim convergence alone
    or-set       add k {"value": e, "tag": t}           KV.SET.ADD; few elements, so that they are added and removed often
                 remove k {"value": e, "seen": [t, …]}  KV.SET.REM with the context of a read, which had seen these adds
                 read k -> [e, …]
    pn-counter   add k n                                KV.COUNTER.ADD with a request id, tried once more after a time-out
                 read k -> n

After the heal every thread reads every key, which repairs what is behind. Then come the reads that count (`final-read`)
and, for each key, a `digest` of what every replica holds (KV.RAW): again, through whichever node, until all of them have answered, eight times at most.

What a removal has seen must be told exactly, or the checker would be wrong. So a context is used only when no add is in
progress that had begun before its read ended: then the dots in it are those of finished adds, and of adds of unknown
outcome, which the checker leaves free.

Contexts are not in the history: an operation says what it had seen, and takes the context of the newest read that showed just this. So a script
(`harness.plan_script`) does as the run did that it was written from, and what no read has shown is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from checkers.op import Op, Type
from harness.client import Channel, ChannelError
from harness.generator import (
    Context,
    GeneratorLike,
    delay,
    each_thread,
    limit,
    numbered,
    op,
    phases,
    repeat,
    sleep,
    until_ok,
)
from harness.workload import Workload
from kvstore.client import StoreClient, StoreError
from workloads.options import Option, parse

COMMON: Final = {
    "keys": Option(5, 1, 10_000, True, "how many keys there are"),
    "read_fraction": Option(0.4, 0.0, 1.0, False, "share of reads"),
    "settle_s": Option(
        0.5, 0.0, 600.0, False, "how long repairs have between the heal and the reads that count"
    ),
}
OPTIONS: Final[Mapping[str, Mapping[str, Option]]] = {
    "siblings": {
        **COMMON,
        "blind_fraction": Option(0.2, 0.0, 1.0, False, "share of the writes that pass no context"),
        "delete_fraction": Option(0.0, 0.0, 1.0, False, "share of the updates that delete the key"),
    },
    "or-set": {
        **COMMON,
        "elements": Option(4, 1, 10_000, True, "how many elements there are"),
        "remove_fraction": Option(0.4, 0.0, 1.0, False, "share of the updates that remove"),
    },
    "pn-counter": COMMON,
}


READS_MAX: Final = 16  # of a key, among which a context is looked for
DIGESTS_MAX: Final = 8  # tries for a key
DIGEST_DELAY_S: Final = 0.3  # between two of them
Dot = tuple[bytes, int, int]


class Read:
    """What a read showed: values, the context, how many adds had begun when it ended."""

    __slots__ = ("_cloud", "_vector", "begun", "token", "values")

    def __init__(
        self, values: list[int], token: bytes, vector: list[Any], cloud: list[Any], begun: int
    ) -> None:
        self.values = values
        self.token = token
        self.begun = begun
        self._vector = {(node, epoch): n for node, epoch, n in vector}
        self._cloud = frozenset(map(tuple, cloud))

    def covers(self, dot: Dot) -> bool:
        """Whether the context has it."""
        return dot[2] <= self._vector.get(dot[:2], 0) or dot in self._cloud


class Board:
    """What the clients of one run know together."""

    def __init__(self) -> None:
        self.key_max = -1
        self.reads: dict[int, deque[Read]] = {}  # of each key those that showed something, the newest last
        self.tags: dict[int, dict[Dot, tuple[int, int]]] = {}  # key -> dot -> the element and the add's tag
        self.begun: dict[int, int] = {}  # adds of a key
        self.running: dict[int, set[int]] = {}  # numbers of those in progress
        self.apart: list[int] = []  # keys whose replicas differed in a digest

    def newest(self, key: int) -> Read | None:
        """The newest read of a key that showed something."""
        return self.reads[key][-1] if key in self.reads else None

    def showing(self, key: int, values: list[int]) -> Read | None:
        """The newest read that showed these values, if it is not too long ago."""
        return next((read for read in reversed(self.reads.get(key, ())) if read.values == values), None)

    def showing_tags(self, key: int, element: int, tags: list[int]) -> Read | None:
        """The newest read that had seen the element by these adds, if it is not too long ago."""
        reads = reversed(self.reads.get(key, ()))
        return next((read for read in reads if self.seen_tags(key, element, read) == tags), None)

    def seen_tags(self, key: int, element: int, read: Read | None) -> list[int] | None:
        """The tags of an element that a read had seen; None if they are not surely known."""
        if read is None or element not in read.values:
            return None
        if any(number <= read.begun for number in self.running.get(key, ())):
            return None
        adds = self.tags.get(key, {}).items()
        return sorted(tag for dot, (what, tag) in adds if what == element and read.covers(dot))


class CausalClient:
    """One process's connection. Subclasses speak the operations of one workload."""

    errors: Mapping[type[BaseException], Type] = {}
    prefix = b""
    updates: tuple[str, ...] = ()

    def __init__(self, channel: Channel, timeout_s: float, board: Board) -> None:
        self.store = StoreClient(channel, timeout_s=timeout_s)
        self.board = board

    async def invoke(self, op: Op) -> Op:
        """Do it. A lost connection raises ChannelError, which the interpreter knows how to classify."""
        self.board.key_max = max(self.board.key_max, op.key)
        key = self.prefix + b"-%d" % op.key
        try:
            if op.f in ("read", "final-read"):
                return op.ok(await self.read(op, key))
            if op.f == "digest":
                views = await self.digest(key)
                silent = [node for node, view in sorted(views.items()) if view is None]
                if not silent and len(set(views.values())) > 1 and op.key not in self.board.apart:
                    self.board.apart.append(op.key)
                return op.fail(f"these nodes did not answer: {', '.join(silent)}") if silent else op.ok(views)
            return op.ok(await self.update(op, key))
        except StoreError as error:
            if error.definite or op.f in ("read", "final-read", "digest"):
                return op.fail(str(error))
            return op.info(str(error))

    async def read(self, op: Op, key: bytes) -> Any:
        """What the key stands for."""
        raise NotImplementedError

    async def update(self, op: Op, key: bytes) -> Any:
        """Change it."""
        raise NotImplementedError

    async def ask(self, *command: bytes) -> dict[bytes, Any]:
        """A command whose answer is a map."""
        answer = await self.store.call(*command)
        return dict(zip(answer[::2], answer[1::2], strict=True)) if isinstance(answer, list) else dict(answer)

    async def look(self, op: Op, key: bytes) -> list[int]:
        """KV.GET; puts what was seen on the board."""
        found = await self.ask(b"KV.GET", key)
        values = sorted(map(int, found[b"values"]))
        begun = self.board.begun.get(op.key, 0)
        if values:
            token, vector, cloud = found.get(b"ctx", b""), [], []
            if token:  # a mode without contexts has none; what was seen is told all the same
                seen = await self.ask(b"KV.CTX", key, token)
                vector, cloud = seen[b"vector"], seen[b"cloud"]
            reads = self.board.reads.setdefault(op.key, deque(maxlen=READS_MAX))
            reads.append(Read(values, token, vector, cloud, begun))
        return values

    async def digest(self, key: bytes) -> dict[str, str | None]:
        """What every replica holds, as a hash; None of one that did not answer."""
        views: dict[str, str | None] = {}
        for node, view in (await self.ask(b"KV.RAW", key)).items():
            found = dict(zip(view[::2], view[1::2], strict=True)) if isinstance(view, list) else view
            digest = found.get(b"digest") or found.get(b"tag") or (b"-" if b"values" in found else None)
            views[node.decode()] = None if digest is None else digest.decode()
        return views

    async def close(self) -> None:
        """Close the connection."""
        await self.store.close()


def _unseen(what: str) -> StoreError:
    """An operation of a script says to have seen what no read shows here: nothing is asked of the store."""
    return StoreError(
        "UNSEEN", f"none of the newest {READS_MAX} reads of the key surely showed {what}", definite=True
    )


class SiblingsClient(CausalClient):
    """Values with contexts."""

    prefix = b"siblings"
    updates = ("write", "delete")

    async def read(self, op: Op, key: bytes) -> list[int]:
        """The siblings."""
        return await self.look(op, key)

    async def update(self, op: Op, key: bytes) -> None:
        """Replace what the context covers, or delete the key."""
        if op.f == "delete":
            await self.store.delete(key)
            return
        read = self.board.showing(op.key, op.value["seen"]) if op.value["seen"] else None
        if op.value["seen"] and read is None:
            raise _unseen(f"{op.value['seen']} to write with")
        context = [b"CTX", read.token] if read is not None and read.token else []
        await self.ask(b"KV.PUT", key, b"%d" % op.value["value"], *context)


class SetClient(CausalClient):
    """Elements."""

    prefix = b"set"
    updates = ("add", "remove")

    async def read(self, op: Op, key: bytes) -> list[int]:
        """The elements."""
        return await self.look(op, key)

    async def update(self, op: Op, key: bytes) -> None:
        """Add or remove one element."""
        element = b"%d" % op.value["value"]
        if op.f == "remove":
            read = self.board.showing_tags(op.key, op.value["value"], op.value["seen"])
            if read is None:
                raise _unseen(f"the element by the adds {op.value['seen']} to remove it with")
            await self.ask(b"KV.SET.REM", key, element, b"CTX", read.token)
            return
        await self._add(op, key, element)

    async def _add(self, op: Op, key: bytes, element: bytes) -> None:
        board, tag = self.board, op.value["tag"]
        number = board.begun[op.key] = board.begun.get(op.key, 0) + 1
        running = board.running.setdefault(op.key, set())
        running.add(number)
        try:
            made = await self.ask(b"KV.SET.ADD", key, element)
            for node, epoch, n in made[b"dots"]:
                board.tags.setdefault(op.key, {})[node, epoch, n] = (op.value["value"], tag)
        finally:
            running.discard(number)


class CounterClient(CausalClient):
    """Numbers to add."""

    prefix = b"counter"
    updates = ("add",)

    async def read(self, op: Op, key: bytes) -> int:
        """The sum."""
        return int(await self.store.get(key) or 0)

    async def update(self, op: Op, key: bytes) -> None:
        """Add; after an error that leaves it open, once more under the same request id."""
        command = (b"KV.COUNTER.ADD", key, b"%d" % op.value, b"RID", b"%d-%d" % (op.index, op.time_ns))
        half_ms = b"%d" % max(1, int(self.store.timeout_s * 400))
        try:
            await self.store.call(*command, b"TIMEOUT", half_ms)
        except StoreError as error:
            if error.definite:
                raise
            await self._again(*command, b"TIMEOUT", half_ms)

    async def _again(self, *command: bytes) -> None:
        try:
            await self.store.call(*command)
        except (StoreError, ChannelError) as error:  # however surely this try did nothing
            raise StoreError("INDEFINITE", f"the second try: {error}") from error


def _siblings(values: Mapping[str, float], board: Board) -> Callable[[int, Context], GeneratorLike]:
    def nth(n: int, ctx: Context) -> GeneratorLike:
        key = ctx.key(int(values["keys"]))
        read = board.newest(key)
        if ctx.rng.random() < values["read_fraction"]:
            return op("read", key)
        if values["delete_fraction"] and ctx.rng.random() < values["delete_fraction"]:
            return op("delete", key)
        if read is None or ctx.rng.random() < values["blind_fraction"]:
            return op("write", key, {"value": n, "seen": []})
        return op("write", key, {"value": n, "seen": read.values})

    return nth


def _set(values: Mapping[str, float], board: Board) -> Callable[[int, Context], GeneratorLike]:
    def nth(n: int, ctx: Context) -> GeneratorLike:
        key = ctx.key(int(values["keys"]))
        element = int(ctx.rng.random() * values["elements"])
        if ctx.rng.random() < values["read_fraction"]:
            return op("read", key)
        if ctx.rng.random() < values["remove_fraction"]:
            tags = board.seen_tags(key, element, board.newest(key))
            if tags is None:
                return op("read", key)
            return op("remove", key, {"value": element, "seen": tags})
        return op("add", key, {"value": element, "tag": n})

    return nth


def _counter(values: Mapping[str, float], board: Board) -> Callable[[int, Context], GeneratorLike]:
    def nth(n: int, ctx: Context) -> GeneratorLike:
        key = ctx.key(int(values["keys"]))
        if ctx.rng.random() < values["read_fraction"]:
            return op("read", key)
        return op("add", key, int(ctx.rng.random() * 9) - 3)

    return nth


def _final(board: Board, settle_s: float) -> GeneratorLike:
    def over(f: str) -> GeneratorLike:
        return numbered(lambda n, _: op(f, n) if n <= board.key_max else None)

    def answered(key: int) -> GeneratorLike:
        return until_ok(delay(DIGEST_DELAY_S, limit(DIGESTS_MAX, repeat(op("digest", key)))))

    def digest(n: int, _: Context) -> GeneratorLike:
        return answered(n) if n <= board.key_max else None

    def wait(n: int, _: Context) -> GeneratorLike:
        return sleep(DIGEST_DELAY_S) if board.apart and n == 0 else None

    def again(n: int, _: Context) -> GeneratorLike:
        """Replicas that differ are asked a second time: a write that came late is no divergence."""
        return answered(board.apart[n]) if n < len(board.apart) else None

    ends = each_thread(over("read")), sleep(settle_s), each_thread(over("final-read"))
    return phases(*ends, numbered(digest), numbered(wait), numbered(again))


def _make(
    name: str, client: type[CausalClient], load: Any, description: str, model: str
) -> Callable[[Mapping[str, Any]], Workload]:
    def workload(options: Mapping[str, Any]) -> Workload:
        """Make it. Raises PlanError on an unknown or bad option."""
        values = parse(name, OPTIONS[name], options)
        board = Board()
        timeout_s = float(options.get("op_timeout_ms", 1000.0)) / 1000
        return Workload(
            name=name,
            description=description,
            generator=numbered(load(values, board)),
            final=_final(board, values["settle_s"]),
            client=lambda channel: client(channel, timeout_s, board),
            model=model,
            key_name=lambda key: client.prefix + b"-%d" % key,
            operations=("read", *client.updates, "final-read", "digest"),
            draws_keys=True,
        )

    return workload


siblings = _make(
    "siblings", SiblingsClient, _siblings, "writes with the context of a read, or blind ones", "mv-register"
)
or_set = _make("or-set", SetClient, _set, "elements are added and removed again", "or-set")
pn_counter = _make("pn-counter", CounterClient, _counter, "numbers are added, and retried", "pn-counter")
