"""What the end of an operation means, and whether the client kept its contract in saying so.

op.ok(…), op.fail(…), op.info(…)   as it is, if process, f and key are those of the call
an error                           `fail` if the client's table says so, else `info`
anything else                      InterpreterError: a wrong record would make a wrong verdict
"""

from __future__ import annotations

from collections.abc import Mapping

from checkers.op import Op, Type
from harness.client import outcome_of


class InterpreterError(Exception):
    """A client broke its contract, so the history could not be trusted. A crash of the harness, never a verdict."""


def after_error(op: Op, error: BaseException, table: Mapping[type[BaseException], Type]) -> Op:
    """The completion of an operation whose client raised."""
    surely_not = outcome_of(error, table) is Type.FAIL
    return op.fail(describe(error)) if surely_not else op.info(describe(error))


def describe(error: BaseException) -> str:
    """An error as the history records it."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def check_completion(op: Op, done: Op) -> None:
    """Raise InterpreterError unless `done` completes `op`."""
    if not isinstance(done, Op):
        raise InterpreterError(
            f"the client answered {op.f!r} of process {op.process!r} with {done!r}, which is no Op"
        )
    if done.type is Type.INVOKE:
        raise InterpreterError(
            f"the client returned {op.f!r} of process {op.process!r} without ok, fail or info"
        )
    if done.error is not None and not isinstance(done.error, str):
        raise InterpreterError(
            f"the client ended {op.f!r} of process {op.process!r} with the error {done.error!r}, which is no text"
        )
    if done.process == op.process and done.f == op.f and done.key == op.key:
        return
    for name in ("process", "f", "key"):
        called, returned = getattr(op, name), getattr(done, name)
        if called != returned:
            raise InterpreterError(
                f"the client was called with {name} {called!r} and answered with {name} {returned!r} (operation "
                f"{op.index}, {op.f!r}); make the completion with op.ok, op.fail or op.info"
            )
