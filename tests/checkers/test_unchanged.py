"""What every checker says of thousands of random histories is what it said when that was last looked over: verdict, certificate, numbers, words.

The other tests say what is right; this one notices any change, so that none happens unseen. A change that is meant:

    python tests/checkers/test_unchanged.py        writes `unchanged.json` anew; read its diff, and say in the commit why it changed
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from checkers import History, check
from checkers.explain import draw_core, explain
from checkers.jsonl import HistoryError
from checkers.levels import judge
from checkers.order import graph
from checkers.staleness import atomicity, staleness
from checkers.stats import availability, stats
from tests.checkers.random_calls import ACTS, random_history

FILE = Path(__file__).with_name("unchanged.json")
HISTORIES = 250


def said_by_model(model: str, history: History) -> Any:
    """Everything that `check` tells of it."""
    try:
        result = check(history, model)
    except (HistoryError, ValueError) as error:
        return type(error).__name__, str(error)
    lines = explain(history, result)
    order = list(result.certificate.ops) if result.certificate is not None else None
    return (
        result.as_json(),
        order,
        lines,
        draw_core(history, result),
        [*graph(history, result).edges(data="name")],
    )


def said_of_registers(_: str, history: History) -> Any:
    """Levels, staleness, numbers."""
    judged = judge(history)
    told = {name: (result.as_json(), explain(history, result)) for name, result in judged.results.items()}
    ends = [
        judged.strongest,
        judged.weakest_refuted,
        {name: each.as_json() for name, each in judged.claims.items()},
    ]
    windows = [(3, 9), (12, 20)]
    numbers = [stats(history), staleness(history), atomicity(history)]
    return told, ends, [each.as_json() for each in numbers], availability(history, windows)


ROWS: dict[str, tuple[Callable[[str, History], Any], str]] = {
    **{name: (said_by_model, name) for name in ACTS},
    "levels": (said_of_registers, "register"),
}


def digests(row: str) -> list[str]:
    """A short hash of what is said of each history."""
    say, act = ROWS[row]
    found = []
    for seed in range(HISTORIES):
        said = json.dumps(say(row.split()[0], random_history(act, seed)), sort_keys=True, default=repr)
        found.append(sha256(said.encode()).hexdigest()[:6])
    return found


@pytest.mark.parametrize("row", ROWS)
def test_nothing_changed_unseen(row: str) -> None:
    expected = json.loads(FILE.read_text())[row].split()
    changed = [seed for seed, (old, new) in enumerate(zip(expected, digests(row), strict=True)) if old != new]
    say, act = ROWS[row]
    first = say(row.split()[0], random_history(act, changed[0])) if changed else None
    assert not changed, f"{row}: {len(changed)} of {HISTORIES} histories, first seed {changed[0]}: {first}"


@pytest.mark.parametrize("name", ACTS)
def test_the_histories_are_of_every_kind(name: str) -> None:
    verdicts = [check(random_history(name, seed), name.split()[0]).verdict.value for seed in range(HISTORIES)]
    shares = {verdict: verdicts.count(verdict) / HISTORIES for verdict in ("valid", "invalid", "unknown")}
    assert min(shares.values()) > 0.02, shares


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    FILE.write_text(json.dumps({row: " ".join(digests(row)) for row in ROWS}, indent=0) + "\n")
