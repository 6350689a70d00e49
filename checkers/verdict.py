"""Verdict, Certificate and Result: what every checker answers.

Three answers, merged by rank:

    INVALID  >  UNKNOWN  >  VALID        one violation spoils all; one doubt spoils a VALID

A Result carries its proof. VALID: a *witness*, an order of the operations that a sequential object could have
produced and that respects real time. INVALID: a *core*, a few operations that are already impossible on their own.
UNKNOWN: a reason. Anyone can re-check a certificate without trusting the checker (`checkers.validate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from checkers.huge import Huge


class Verdict(Enum):
    """VALID, INVALID or UNKNOWN; the exit status of a command is 0, 1 or 2."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """INVALID 2, UNKNOWN 1, VALID 0."""
        return {Verdict.VALID: 0, Verdict.UNKNOWN: 1, Verdict.INVALID: 2}[self]

    @property
    def exit_status(self) -> int:
        """VALID 0, INVALID 1, UNKNOWN 2."""
        return {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNKNOWN: 2}[self]


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of the verdicts. Of none at all: UNKNOWN, because nothing was tested."""
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Edge:
    """One operation comes before another: by what rule, and the operations that show it. `after` None: the value before any write."""

    before: int
    after: int | None
    name: str
    because: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The edge as plain data."""
        return {"before": self.before, "after": self.after, "name": self.name, "because": list(self.because)}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A proof that can be checked again.

    `ops` are indices of *invocations* in the history. For a witness they stand in linearization order and may be
    long; for a core there are at most six for a register without compare-and-set. `edges` is the circle of a core that is one.
    """

    kind: Literal["witness", "core"]
    ops: Sequence[int]
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A checker's answer.

    `reason` is one sentence for a person: the proof in words when INVALID, what is missing when UNKNOWN, how it was
    decided when VALID. `anomaly` is the class of the violation (`stale-read`, `new-old-inversion`, …). `stats` holds
    numbers by name, units last. `parts` holds the results this one was merged from, by key or by checker.
    """

    checker: str
    verdict: Verdict
    reason: str
    anomaly: str | None = None
    key: Any = None
    certificate: Certificate | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Result] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The result as plain data. A witness is given by its length only: it is as long as the history."""
        certificate: dict[str, Any] | None = None
        if self.certificate is not None:
            certificate = {"kind": self.certificate.kind, "size": len(self.certificate.ops)}
            if self.certificate.kind == "core":
                certificate["ops"] = list(self.certificate.ops)
                if self.certificate.edges:
                    certificate["edges"] = [edge.as_json() for edge in self.certificate.edges]
        return {
            "checker": self.checker,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "anomaly": self.anomaly,
            "key": _written(self.key),
            "certificate": certificate,
            "stats": _written(dict(self.stats)),
            "parts": {name: part.as_json() for name, part in self.parts.items()},
        }


def _written(value: Any) -> Any:
    """The value with what JSON has no decimals for in words."""
    if isinstance(value, Huge):
        return repr(value)
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, dict):
        return {name: _written(item) for name, item in value.items()}
    return value
