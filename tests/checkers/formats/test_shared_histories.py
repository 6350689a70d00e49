"""Other people's histories load: as many records and calls as their text has, and no verdict against the known one.

The data is not part of this project. It is looked for in `shared/data` next to the checkout; without it these tests are skipped.
"""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from checkers import HistoryError, Type, check
from checkers.formats import dump, load

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no other people's histories in {DATA}")

# file: (records, calls of clients by function, keys)
COUNTS = {
    "elle-cli/custom/comments.edn": (6, {"read": 1, "write": 2}, 1),
    "elle-cli/elle/list-append-gh-30.edn": (10, {"txn": 5}, 1),
    "elle-cli/elle/paper-example.edn": (8, {"txn": 4}, 1),
    "elle-cli/elle/paper-example.json": (8, {"txn": 4}, 1),
    "elle-cli/elle/rw-register.edn": (6, {"txn": 3}, 1),
    "elle-cli/elle/rw-register.json": (6, {"txn": 3}, 1),
    "elle-cli/jepsen/bank-neg.edn": (2, {"read": 1}, 1),
    "elle-cli/jepsen/bank-negative-balances.json": (4, {"read": 2}, 1),
    "elle-cli/jepsen/bank-tidb.edn": (7132, {"read": 1805, "transfer": 1761}, 1),
    "elle-cli/jepsen/bank.edn": (680, {"read": 169, "transfer": 152}, 1),
    "elle-cli/jepsen/bank.json": (680, {"read": 169, "transfer": 152}, 1),
    "elle-cli/jepsen/counter.edn": (574, {"add": 287}, 1),
    "elle-cli/jepsen/counter.json": (574, {"add": 287}, 1),
    "elle-cli/jepsen/long-fork.edn": (4, {"txn": 2}, 1),
    "elle-cli/jepsen/set.edn": (8, {"add": 3, "read": 1}, 1),
    "elle-cli/jepsen/set_full.edn": (588, {"add": 293, "read": 1}, 1),
    "elle-cli/jepsen/set_full.json": (588, {"add": 293, "read": 1}, 1),
    "elle/huge-scc.edn": (20602, {"txn": 10254}, 1),
    "elle/paper-example.edn": (8, {"txn": 4}, 1),
    "elle/si-without-g-single.edn": (8, {"txn": 4}, 1),
    "knossos/cas-register/bad/cas-failure.edn": (590, {"read": 145, "write": 79, "cas": 67}, 1),
    "knossos/cas-register/bad/rethink-fail-minimal.edn": (8, {"read": 2, "write": 2}, 1),
    "knossos/cas-register/bad/rethink-fail-smaller.edn": (500, {"read": 125, "write": 62, "cas": 63}, 1),
    "knossos/cas-register/good/mongodb-v0-ack-rollback-1.edn": (1406, {"read": 456, "write": 83, "cas": 164}, 1),
    "knossos/multi-register/good/multi-register.edn": (250, {"txn": 123}, 1),
    "knossos/mutex/bad/etcd.edn": (1135, {"acquire": 276, "release": 287}, 1),
    "kv-logs/c01-bad.txt": (76, {"get": 18, "put": 2, "append": 18}, 8),
    "kv-logs/c01-ok.txt": (116, {"get": 25, "put": 2, "append": 31}, 10),
    "kv-logs/c10-bad.txt": (810, {"get": 193, "put": 22, "append": 190}, 10),
    "kv-logs/c10-ok.txt": (674, {"get": 142, "put": 19, "append": 176}, 10),
}  # fmt: skip


def files(*patterns):
    return sorted(path.relative_to(DATA).as_posix() for pattern in patterns for path in DATA.glob(pattern))


def calls(history):
    return Counter(op.f for op in history if op.type is Type.INVOKE and isinstance(op.process, int))


@pytest.mark.parametrize("name", COUNTS)
def test_the_operations_are_all_there(name):
    records, by_function, keys = COUNTS[name]
    history = load(DATA / name)
    assert (len(history), calls(history), history.warnings) == (records, by_function, ())
    assert len({op.key for op in history}) == keys


@pytest.mark.parametrize(
    "name", files("knossos/*/*/*.edn", "elle*/**/*.edn", "elle*/**/*.json", "kv-logs/*.txt")
)
def test_each_type_in_the_text_is_a_record(name):
    text = re.sub(
        r";.*|\"(?:[^\"\\]|\\.)*\"" if name.endswith("edn") else r"$^", "", (DATA / name).read_text()
    )
    words = Counter(re.findall(r"type\"?\s*:?\s*[:\"](invoke|ok|fail|info)\b", text))
    assert Counter(op.type.word for op in load(DATA / name)) == words
    assert words


@pytest.mark.parametrize("name", files("etcd-logs/*.log"))
def test_an_etcd_log(name):
    text = (DATA / name).read_text()
    history = load(DATA / name)
    assert len(history) == len(text.splitlines())
    assert sum(calls(history).values()) == text.count(":invoke")
    timed_out = [op for op in history if op.error is not None]
    assert {op.error for op in timed_out} <= {"timed-out"}
    assert len(timed_out) == text.count(":timed-out")


@pytest.mark.parametrize("name", files("elle-cli/*/*.json"))
def test_json_and_edn_of_one_history_are_one(name):
    twin = (DATA / name).with_suffix(".edn")
    if not twin.exists():
        pytest.skip("it has no twin in EDN")
    if "bank" in name:
        pytest.skip("JSON has text where EDN has integers as keys of a map")
    assert list(load(DATA / name)) == list(load(twin))


@pytest.mark.parametrize("name", files("knossos/cas-register/*/*.edn"))
def test_no_verdict_against_the_known_one(name):
    wrong = {"good": "invalid", "bad": "valid"}[Path(name).parent.name]
    assert check(DATA / name).verdict.value != wrong


def test_no_verdict_against_the_known_one_of_etcd():
    with (DATA / "etcd-logs" / "expected.csv").open() as file:
        known = {row["file"]: row["verdict"] for row in csv.DictReader(file)}
    found = {name: check(DATA / "etcd-logs" / name).verdict.value for name in known}
    assert known
    assert {name: word for name, word in found.items() if word not in (known[name], "unknown")} == {}


@pytest.mark.parametrize("name", [name for name, (_, fs, _) in COUNTS.items() if "txn" in fs])
def test_transactions_are_refused(name):
    with pytest.raises(HistoryError, match="transactions are not checked yet"):
        check(DATA / name)


@pytest.mark.parametrize("name", COUNTS)
def test_written_as_edn_and_as_jsonl_they_are_the_same(name, tmp_path):
    history = load(DATA / name)
    for form in ("edn", "jsonl"):
        dump(history, tmp_path / form, form)
        assert list(load(tmp_path / form)) == list(history)
