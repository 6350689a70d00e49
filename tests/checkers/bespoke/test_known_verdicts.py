"""Other people's histories have the verdicts that are known of them. Skipped where the data is absent."""

from pathlib import Path

import pytest

from checkers import check
from checkers.bespoke.bank import check_bank
from checkers.formats import load
from harness.cli import status_of

DATA = Path(__file__).parents[4] / "shared" / "data" / "elle-cli" / "jepsen"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no other people's histories in {DATA}")


@pytest.mark.parametrize(
    ("file", "model", "verdict", "anomaly"),
    [
        ("set.edn", "set", "valid", None),
        ("set.edn", "set-full", "valid", None),
        ("set_full.edn", "set-full", "valid", None),
        ("set_full.json", "set-full", "valid", None),
        ("counter.edn", "counter", "unknown", None),  # it has no read
        ("counter.json", "counter", "unknown", None),
        ("bank.edn", "bank", "valid", None),
        ("bank.json", "bank", "valid", None),
        ("bank-negative-balances.json", "bank", "invalid", "negative-value"),
        ("bank-neg.edn", "bank", "unknown", None),  # one read, and the history does not say the total
        ("bank-tidb.edn", "bank", "invalid", "wrong-total"),
        ("long-fork.edn", "long-fork", "invalid", "long-fork"),
    ],
)
def test_the_known_verdict(file, model, verdict, anomaly, capsys):
    result = check(DATA / file, model)
    assert (result.verdict.value, result.anomaly) == (verdict, anomaly)
    assert status_of(["check", str(DATA / file), "--model", model]) == result.verdict.exit_status
    assert verdict.upper() in capsys.readouterr().out


def test_a_bank_of_known_total():
    assert check_bank(load(DATA / "bank-neg.edn"), total=100).anomaly == "wrong-total"
    assert (
        check_bank(load(DATA / "bank-negative-balances.json"), negative_balances=True).verdict.value
        == "valid"
    )
