"""Other people's histories, with the verdict their own checkers gave. Where nothing succeeded we say UNKNOWN, never VALID."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from checkers import check
from checkers.formats import load
from checkers.search import check_model
from checkers.verdict import Result, Verdict

SHARED = Path(__file__).parents[3] / "shared" / "data"
WORDS = {"good": Verdict.VALID, "bad": Verdict.INVALID}

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder ../shared/data with the histories is absent"
)


def knossos() -> list[tuple[str, Path]]:
    """(model, file) of Knossos' examples, but for the one that needs a first value."""
    files = sorted((SHARED / "knossos").glob("*/*/*.edn"))
    return [(file.parts[-3], file) for file in files if file.parts[-3] != "multi-register"]


# Their checkers call these valid. In none of them does an operation of a client succeed: docs/decisions/0005.
UNTESTED = {
    "etcd_095.log": "no client did anything",  # an empty file
    "mongodb-v0-ack-rollback-.edn": "no client did anything",  # faults only
    "mongodb-v0-ack-rollback-10.edn": "no read and no compare-and-set succeeded",  # three reads and three cas, all failed
    "mongodb-v0-ack-rollback-11.edn": "no read and no compare-and-set succeeded",  # two reads and a write, all failed
}


def is_untested(file: Path, result: Result) -> bool:
    """Is it one of the four, and does the answer say why? Nothing in it ended ok."""
    if file.name not in UNTESTED:
        return False
    assert result.verdict is Verdict.UNKNOWN
    assert UNTESTED[file.name] in result.reason
    return not any(op.type.word == "ok" and isinstance(op.process, int) for op in load(file))


@pytest.mark.parametrize("name", sorted(UNTESTED))
def test_where_nothing_succeeded_the_others_verdict_can_be_had(name: str) -> None:
    (file,) = SHARED.rglob(name)
    result = check(file, "cas-register", vacuous="valid")
    assert result.verdict is Verdict.VALID
    assert result.reason.startswith("nothing succeeded")
    command = [sys.executable, "-m", "checkers", str(file), "--model", "cas-register", "--vacuous", "valid"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == Verdict.VALID.exit_status


@pytest.mark.parametrize(("model", "file"), knossos(), ids=lambda each: getattr(each, "stem", each))
def test_knossos(model: str, file: Path) -> None:
    result = check(file, model)
    assert is_untested(file, result) or result.verdict is WORDS[file.parts[-2]], result.reason


def test_knossos_multi_register() -> None:
    (file,) = (SHARED / "knossos" / "multi-register").glob("*/*.edn")
    assert check_model(load(file), "multi-register", initial={"x": 0, "y": 0}).verdict is Verdict.VALID
    command = [sys.executable, "-m", "checkers", str(file), "--model", "multi-register"]
    given = subprocess.run([*command, "--initial", '{"x": 0, "y": 0}'], capture_output=True, check=False)
    assert given.returncode == Verdict.VALID.exit_status, given.stdout


def test_every_etcd_log() -> None:
    rows = dict(csv.reader((SHARED / "etcd-logs" / "expected.csv").read_text().splitlines()[1:]))
    wrong = []
    for name, expected in rows.items():
        file = SHARED / "etcd-logs" / name
        result = check(file, "cas-register")
        if not is_untested(file, result) and result.verdict.value != expected:
            wrong.append((name, expected, result.reason))
    assert wrong == []
    assert len(rows) > 80


@pytest.mark.parametrize("name", ["c01-ok", "c01-bad", "c10-ok", "c10-bad"])
def test_key_value_logs(name: str) -> None:
    history = load(SHARED / "kv-logs" / f"{name}.txt")
    result = check(history, "kv")
    assert result.verdict is (Verdict.VALID if name.endswith("ok") else Verdict.INVALID), result.reason
