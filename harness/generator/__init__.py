"""Generators: what the clients and the nemesis do, when, as immutable values.

    time_limit(30, clients(stagger(0.01, mix(reads, writes)),
                           cycle(sequence(sleep(5), op("partition-start"), sleep(5), op("partition-stop")))))

`protocol` says what a generator is, `base` has the simplest; then by question: `order` (again, after), `choice` (which), `limits` (how much), `timing`
(when), `threads` and `keyed` (who). `simulate` lists what a generator does, without a cluster.
"""

from harness.generator.base import (
    PENDING,
    SLEEP,
    Generator,
    GeneratorError,
    GeneratorLike,
    Next,
    lift,
    next_op,
    numbered,
    op,
    sequence,
    update,
)
from harness.generator.choice import any_of, crowded, mix
from harness.generator.context import NEMESIS, Context, first_context
from harness.generator.crowd import Crowd
from harness.generator.keyed import keyed
from harness.generator.limits import filter_ops, limit, map_ops, on_update, time_limit, unless, until_ok
from harness.generator.order import cycle, phases, repeat, synchronize, then
from harness.generator.script import script
from harness.generator.simulate import Completion, crashing, failing, invocations, perfect, simulate
from harness.generator.threads import clients, each_process, each_thread, nemesis, reserve
from harness.generator.timing import delay, sleep, stagger

__all__ = [
    "NEMESIS",
    "PENDING",
    "SLEEP",
    "Completion",
    "Context",
    "Crowd",
    "Generator",
    "GeneratorError",
    "GeneratorLike",
    "Next",
    "any_of",
    "clients",
    "crashing",
    "crowded",
    "cycle",
    "delay",
    "each_process",
    "each_thread",
    "failing",
    "filter_ops",
    "first_context",
    "invocations",
    "keyed",
    "lift",
    "limit",
    "map_ops",
    "mix",
    "nemesis",
    "next_op",
    "numbered",
    "on_update",
    "op",
    "perfect",
    "phases",
    "repeat",
    "reserve",
    "script",
    "sequence",
    "simulate",
    "sleep",
    "stagger",
    "synchronize",
    "then",
    "time_limit",
    "unless",
    "until_ok",
    "update",
]
