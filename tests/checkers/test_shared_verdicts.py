"""Other people's histories, with the verdict their own checkers gave. Where nothing was returned we say UNKNOWN, never VALID."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from checkers import History, check
from checkers.formats import load
from checkers.search import check_model
from checkers.verdict import Verdict

SHARED = Path(__file__).parents[3] / "shared" / "data"
WORDS = {"good": Verdict.VALID, "bad": Verdict.INVALID}

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder ../shared/data with the histories is absent"
)


def knossos() -> list[tuple[str, Path]]:
    """(model, file) of Knossos' examples, but for the one that needs a first value."""
    files = sorted((SHARED / "knossos").glob("*/*/*.edn"))
    return [(file.parts[-3], file) for file in files if file.parts[-3] != "multi-register"]


def returned_nothing(history: History) -> bool:
    """No read, and nothing else that shows a state, has ended ok."""
    return not any(op.type.word == "ok" and op.f in ("read", "cas") for op in history)


@pytest.mark.parametrize(("model", "file"), knossos(), ids=lambda each: getattr(each, "stem", each))
def test_knossos(model: str, file: Path) -> None:
    history = load(file)
    result = check(history, model)
    if result.verdict is Verdict.UNKNOWN:
        assert returned_nothing(history), result.reason
    else:
        assert result.verdict is WORDS[file.parts[-2]], result.reason


def test_knossos_multi_register() -> None:
    (file,) = (SHARED / "knossos" / "multi-register").glob("*/*.edn")
    assert check_model(load(file), "multi-register", initial={"x": 0, "y": 0}).verdict is Verdict.VALID


def test_every_etcd_log() -> None:
    rows = dict(csv.reader((SHARED / "etcd-logs" / "expected.csv").read_text().splitlines()[1:]))
    wrong, untested = [], []
    for name, expected in rows.items():
        history = load(SHARED / "etcd-logs" / name)
        result = check(history, "cas-register")
        if result.verdict is Verdict.UNKNOWN:
            untested.append(name)
            assert returned_nothing(history), (name, result.reason)
        elif result.verdict.value != expected:
            wrong.append((name, expected, result.reason))
    assert wrong == []
    assert len(untested) <= 1
    assert len(rows) > 80


@pytest.mark.parametrize("name", ["c01-ok", "c01-bad", "c10-ok", "c10-bad"])
def test_key_value_logs(name: str) -> None:
    history = load(SHARED / "kv-logs" / f"{name}.txt")
    result = check(history, "kv")
    assert result.verdict is (Verdict.VALID if name.endswith("ok") else Verdict.INVALID), result.reason
