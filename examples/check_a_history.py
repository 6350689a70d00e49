"""Judge a history of your own: four records, one stale read, and the proof."""

from checkers import History, check
from checkers.explain import draw_core
from checkers.op import Op, Type

MS = 1_000_000

history = History.from_ops(
    [
        Op(0, 0 * MS, 0, Type.INVOKE, "write", "x", 1),
        Op(1, 5 * MS, 0, Type.OK, "write", "x", 1),
        Op(2, 6 * MS, 0, Type.INVOKE, "write", "x", 2),
        Op(3, 9 * MS, 0, Type.OK, "write", "x", 2),
        Op(4, 12 * MS, 1, Type.INVOKE, "read", "x"),
        Op(5, 14 * MS, 1, Type.OK, "read", "x", 1),
    ]
)
result = check(history, model="register")
print(result.verdict.value)
print(result.reason)
print(draw_core(history, result))
