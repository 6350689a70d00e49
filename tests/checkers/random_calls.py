"""Random small histories of every model, well formed and not: what `test_unchanged.py` judges. A function of model and seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from checkers import MISSING, History, Op, Type

ODD = (None, True, 1.5, "1", "text " * 20, [1], {"value": 1}, {}, [], [1, 2, 3], -1, 10**12)
FINAL = ("read", "read", "final-read")
Act = Callable[[random.Random, dict[str, Any]], tuple[str, Any, Any]]
"""(rng, what this history has made so far) -> (f, value, result)"""


def _listed(rng: random.Random, shown: list[Any]) -> list[Any]:
    """What was added, more or less."""
    roll = rng.random()
    if roll < 0.5:
        return shown
    kept = [each for each in shown if rng.random() < 0.7]
    return [*kept, rng.choice((*shown, 99))] if roll < 0.75 and shown else kept


def sets(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """set, set-full, or-set without tags."""
    shown: list[Any] = state.setdefault("shown", [])
    roll = rng.random()
    if roll < 0.5:
        value = rng.choice((rng.randint(0, 6), rng.randint(0, 6), "a", [1], False))
        shown.append(value) if value not in shown else None
        return "add", value, value
    if roll < 0.6 and state["removes"]:
        value = rng.choice((*shown, 5))
        shown[:] = [each for each in shown if each != value]
        return "remove", value, value
    return rng.choice(FINAL if state["removes"] else ("read",)), MISSING, _listed(rng, list(shown))


def tagged(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """or-set with tags."""
    tags: list[tuple[int, int]] = state.setdefault("tags", [])
    roll = rng.random()
    if roll < 0.45:
        value, tag = rng.randint(0, 2), rng.choice((len(tags), len(tags), 0))
        tags.append((value, tag))
        return "add", {"value": value, "tag": tag}, MISSING
    if roll < 0.65:
        value = rng.randint(0, 2)
        return (
            "remove",
            {"value": value, "seen": [tag for own, tag in tags if own == value and rng.random() < 0.8]},
            MISSING,
        )
    return rng.choice(FINAL), MISSING, _listed(rng, sorted({value for value, _ in tags}))


def queues(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """queue, total-queue."""
    held: list[Any] = state.setdefault("held", [])
    roll = rng.random()
    if roll < 0.5:
        value = rng.choice((rng.randint(0, 9), rng.randint(0, 9), "a"))
        held.append(value)
        return "enqueue", value, value
    if roll < 0.85:
        return "dequeue", MISSING, rng.randint(0, 9) if rng.random() < 0.1 else held.pop(0) if held else None
    drained, held[:] = _listed(rng, list(held)), []
    return "drain", MISSING, drained


def ids(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """unique-ids."""
    state["id"] = state.get("id", 0) + rng.choice((0, 1, 1, 1, 2))
    return "generate", MISSING, rng.choice((state["id"], state["id"], f"id-{state['id']}"))


def counters(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """counter, g-counter, pn-counter."""
    if rng.random() < 0.5:
        value = rng.choice((1, 1, 2, 0, -1, -2) if state["removes"] else (1, 1, 2, 3, 0))
        state["sum"] = state.get("sum", 0) + value
        return "add", value, value
    return (
        rng.choice(FINAL if state["final"] else ("read",)),
        MISSING,
        state.get("sum", 0) + rng.choice((0, 0, 0, 0, 0, 0, -1, 1)),
    )


def bank(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """bank."""
    held: dict[str, Any] = state.setdefault("held", {"a": 5, "b": 5, "c": 0})
    if rng.random() < 0.4:
        amount, src, dst = rng.randint(1, 4), *rng.sample("abc", 2)
        held[src], held[dst] = held[src] - amount, held[dst] + amount
        return (
            "transfer",
            rng.choice(({"from": src, "to": dst, "amount": amount},) * 5 + ({"from": src, "amount": 1},)),
            MISSING,
        )
    roll = rng.random()
    wrong = (
        {"a": held["a"] + 1}
        if roll < 0.15
        else {"b": None}
        if roll < 0.25
        else {"d": 0}
        if roll < 0.35
        else {}
    )
    return "read", MISSING, {**held, **wrong}


def forks(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """long-fork."""
    written: dict[int, int] = state.setdefault("written", {})
    if rng.random() < 0.35:
        fresh = [key for key in range(5) if key not in written]
        key, value = (
            rng.choice(fresh) if fresh and rng.random() < 0.95 else rng.randint(0, 4),
            rng.randint(1, 3),
        )
        written[key] = value
        return "txn", [["w", key, value]], [["w", key, value]]
    keys = rng.sample(range(3), 2) if rng.random() < 0.8 else rng.sample(range(5), 3)
    return (
        "txn",
        [["r", key, None] for key in keys],
        [["r", key, rng.choice((written.get(key), None))] for key in keys],
    )


def locks(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """mutex-fencing."""
    state["token"] = state.get("token", 30) + rng.choice((0, 1, 1, 2, -1))
    f = rng.choice(("acquire", "acquire", "release", "write", "write"))
    if f == "acquire":
        return f, MISSING, state["token"]
    if f == "release":
        return f, MISSING, MISSING
    value = [state["token"] - rng.choice((0, 0, 1, 2)), rng.randint(0, 9)]
    return f, value, value


def logs(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """append-log."""
    log: list[list[Any]] = state.setdefault("log", [])
    if rng.random() < 0.5:
        offset = rng.choice((len(log), len(log), len(log) + 1, max(0, len(log) - 1)))
        value = len(log) * 10 if rng.random() < 0.95 else 10
        log.append([offset, value])
        return "append", value, [offset, value]
    begin = rng.randint(0, max(0, len(log) - 1))
    shown = log[begin:] if rng.random() < 0.6 else [record for record in log if rng.random() < 0.7]
    return (("poll", MISSING, shown), ("read", MISSING, log[: rng.randint(0, len(log))]))[rng.random() < 0.4]


def siblings(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """mv-register."""
    shown: list[int] = state.setdefault("shown", [])
    if rng.random() < 0.5:
        state["n"] = state.get("n", 0) + 1
        seen = [value for value in shown if rng.random() < 0.6]
        shown[:] = [value for value in shown if value not in seen] + [state["n"]]
        return "write", {"value": state["n"], "seen": seen}, MISSING
    return rng.choice(FINAL), MISSING, _listed(rng, list(shown))


def versions(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """lww."""
    state["n"] = state.get("n", 0) + 1
    if rng.random() < 0.5:
        made = {"value": state["n"], "version": [state["n"] * 10 + rng.randint(-15, 15), rng.choice("ab")]}
        if "best" not in state or made["version"] > state["best"]["version"]:
            state["best"] = made
        state["last"] = made
        return "write", state["n"], made
    return (
        rng.choice(FINAL),
        MISSING,
        rng.choice((state.get("best"), state.get("best"), state.get("last"), None)),
    )


def replicas(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """convergence."""
    done: list[int] = state.setdefault("done", [])
    roll = rng.random()
    if roll < 0.4:
        done.append(len(done))
        return rng.choice(("write", "add")), len(done) - 1, MISSING
    if roll < 0.5:
        return "read", MISSING, list(done)
    digests = [rng.choice(("9f", "9f", "9f", "3a")) for _ in "abc"]
    delivered = [[value for value in done if rng.random() < 0.9] for _ in "abc"]
    plain: dict[str, Any] = dict(zip(("n1", "n2", "n3"), digests, strict=True))
    full = {
        node: {"digest": digest, "delivered": own}
        for (node, digest), own in zip(plain.items(), delivered, strict=True)
    }
    view = rng.choice(
        (
            plain,
            full,
            {**plain, "n2": None},
            {**full, "n3": {"digest": "9f"}},
            {**full, "n1": {"delivered": 1}},
        )
    )
    return rng.choice(("digest", "digest", "snapshot")), MISSING, view


def registers(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """Reads, writes and compare-and-sets."""
    roll, now = rng.random(), state.get("value")
    if roll < 0.5:
        return "read", MISSING, rng.choice((now, now, now, state.get("before"), rng.randint(1, 6)))
    state["n"] = state.get("n", 0) + 1
    fresh = state["n"] if rng.random() < 0.9 else rng.randint(1, state["n"])
    state["before"], state["value"] = now, fresh
    return ("write", fresh, fresh) if roll < 0.85 else ("cas", [now, fresh], [now, fresh])


def containers(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """fifo-queue, stack, priority-queue: `words` are the names of the two operations, `take` which one goes first."""
    put, take = state["words"]
    held: list[int] = state.setdefault("held", [])
    if rng.random() < 0.5:
        state["n"] = state.get("n", 0) + 1
        value = (
            state["n"]
            if state["take"] != "greatest"
            else rng.choice([v for v in range(1, 40) if v not in held])
        )
        held.append(value)
        return put, value, value
    if rng.random() < 0.1 or not held:
        return take, MISSING, rng.choice((None, *held[:1]))
    at = {"first": 0, "last": -1, "greatest": held.index(max(held))}[state["take"]]
    at = rng.randrange(len(held)) if rng.random() < 0.08 else at
    return take, MISSING, held.pop(at)


def forced(rng: random.Random, state: dict[str, Any]) -> tuple[str, Any, Any]:
    """append-list, grow-set, linearizable-set, linearizable-counter, fetch-and-add, revisions: by `kind`."""
    kind, shown = state["kind"], state.setdefault("shown", [])
    stale, write = rng.random() < 0.12, rng.random() < 0.5
    if kind in ("counter", "fetch"):
        count = state.get("count", 0)
        if write:
            state["count"] = count + 1
            return ("add", 1, 1) if kind == "counter" else ("fetch-add", 1, max(0, count - stale))
        return "read", MISSING, max(0, count + (rng.choice((-1, 1)) if stale else 0))
    if kind == "revisions":
        if write:
            state["revision"] = state.get("revision", 0) + rng.choice((1, 1, 2))
            state["before"], state["held"] = state.get("held"), [state["revision"], f"v{len(shown)}"]
            shown.append(1)
            return "write", state["held"][1], state["revision"]
        return "read", MISSING, (state.get("before") if stale else state.get("held")) or [0, None]
    if write:
        value = len(shown) + 1
        shown.append(value)
        return ("append" if kind == "list" else "add"), value, value
    if kind == "set":
        value = rng.choice((*shown, 1))
        roll = rng.random()
        if roll < 0.3:
            state.setdefault("gone", set()).add(value)
            return "remove", value, value
        return "contains", value, [value, (value in shown and value not in state.get("gone", ())) != stale]
    seen = shown[:-1] if stale else list(shown)
    return "read", MISSING, seen if kind == "list" or rng.random() < 0.5 else seen[::-1]


ACTS: dict[str, tuple[Act, dict[str, Any]]] = {
    "set": (sets, {"removes": False}), "set-full": (sets, {"removes": False}), "set-full-linearizable": (sets, {"removes": False}),
    "queue": (queues, {}), "total-queue": (queues, {}), "total-queue-at-least-once": (queues, {}), "unique-ids": (ids, {}),
    "counter": (counters, {"removes": True, "final": False}), "g-counter": (counters, {"removes": False, "final": True}),
    "pn-counter": (counters, {"removes": True, "final": True}), "bank": (bank, {}), "long-fork": (forks, {}), "mutex-fencing": (locks, {}),
    "append-log": (logs, {}), "mv-register": (siblings, {}), "mv-register-session": (siblings, {}), "lww": (versions, {}),
    "convergence": (replicas, {}), "or-set": (sets, {"removes": True}), "or-set tagged": (tagged, {}),
    "fifo-queue": (containers, {"words": ("enqueue", "dequeue"), "take": "first"}),
    "stack": (containers, {"words": ("push", "pop"), "take": "last"}),
    "priority-queue": (containers, {"words": ("insert", "poll"), "take": "greatest"}),
    "append-list": (forced, {"kind": "list"}), "grow-set": (forced, {"kind": "grow-set"}), "linearizable-set": (forced, {"kind": "set"}),
    "linearizable-counter": (forced, {"kind": "counter"}), "fetch-and-add": (forced, {"kind": "fetch"}), "revisions": (forced, {"kind": "revisions"}),
    "register": (registers, {}), "cas-register": (registers, {}), "sequential": (registers, {}),
}  # fmt: skip


def random_history(name: str, seed: int) -> History:
    """A history for the model: mostly what it may meet, now and then what it must refuse."""
    rng = random.Random(f"{name}/{seed}")
    act, first = ACTS[name]
    states: dict[Any, dict[str, Any]] = {}
    odd, info, keys = rng.choice((0.0, 0.0, 0.0, 0.05)), rng.choice((0.0, 0.1, 0.3)), rng.choice((1, 1, 1, 2))
    widen, now, events = rng.choice((1, 4, 9)), 0, list[tuple[int, int, int, Op]]()
    busy = [0, 0, 0, 0]
    for number in range(rng.randint(1, 14)):
        now += rng.randint(0, 4)
        thread = rng.randrange(4)
        begin = max(now, busy[thread])
        key = rng.randrange(keys) if keys > 1 else None
        f, value, result = act(rng, states.setdefault(key, dict(first)))
        if rng.random() < odd:
            f, value, result = rng.choice(
                (
                    (f, rng.choice(ODD), result),
                    (f, value, rng.choice(ODD)),
                    (f, MISSING, MISSING),
                    ("fly", 1, 1),
                )
            )
        roll, end = rng.random(), begin + rng.randint(0, widen)
        kind = Type.INFO if roll < info else Type.FAIL if roll < info + 0.05 else Type.OK
        process = thread if kind is not Type.INFO else 10 + number
        busy[thread] = end if kind is not Type.INFO else busy[thread]
        events.append((begin, 1, number, Op(-1, begin, process, Type.INVOKE, f, key, value)))
        if kind is not Type.INFO or rng.random() < 0.5:
            events.append(
                (end, 2, number, Op(-1, end, process, kind, f, key, result if kind is Type.OK else value))
            )
        if rng.random() < 0.05:
            events.append((begin, 0, number, Op(-1, begin, "nemesis", Type.INFO, f, key, value)))
    return History.from_ops(_paired(events))


def _paired(events: list[tuple[int, int, int, Op]]) -> list[Op]:
    """In order of time; at one instant a process ends what it does before it begins anew."""
    records, open_ = list[Op](), dict[Any, int]()
    pending = sorted(events, key=lambda each: (each[0], each[2] * 2 + (each[1] == 2)))
    for _, kind, number, op in pending:
        if kind == 1 and op.process in open_:
            continue
        if kind == 2 and open_.get(op.process) != number:
            continue
        if kind == 1:
            open_[op.process] = number
        elif kind == 2:
            del open_[op.process]
        records.append(op)
    return records
