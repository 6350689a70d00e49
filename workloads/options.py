"""The plan's [options] table of a workload: what there is, what is missing, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from harness.plan import PlanError

GIVEN: Final = ("concurrency", "rate", "time_limit_s", "op_timeout_ms")  # the plan's own fields


class Option(NamedTuple):
    """One option of the plan's [options] table."""

    default: float
    least: float
    most: float
    whole: bool
    meaning: str


def parse(workload: str, options: Mapping[str, Option], table: Mapping[str, Any]) -> dict[str, float]:
    """The options with their defaults. Raises PlanError."""
    values = {name: option.default for name, option in options.items()}
    for name, value in table.items():
        if name in GIVEN:
            continue
        if name not in options:
            raise PlanError(
                f"[options] the workload {workload} has no option {name!r}; there are: {', '.join(options)}"
            )
        option = options[name]
        number = isinstance(value, int if option.whole else int | float) and not isinstance(value, bool)
        if not number or not option.least <= value <= option.most:
            kind = "whole number" if option.whole else "number"
            raise PlanError(
                f"[options] {name} = {value!r} ({option.meaning}) must be a {kind} from {option.least:g} to {option.most:g}"
            )
        values[name] = value
    return values
