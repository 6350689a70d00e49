"""claims.toml: what a documentation promises is read exactly, judged where it speaks of the plan, and answered in the report line by line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from checkers.history import History
from checkers.op import MISSING, Op, Type
from checkers.verdict import Verdict
from harness.cli import status_of
from harness.plan import PlanError
from harness.plan_claims import Documented, beside, dump_claims, heard, parse_claims
from harness.report import write_report
from harness.report.folder import read_folder
from harness.report.markdown import run_markdown
from harness.report.rows import documented_rows
from harness.results import judge_claim

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

ROOT = Path(__file__).parents[2]
EVIL = '</script><img src=x onerror="alert(1)">'
GOOD = '[[claims]]\nsays = "reads are fresh"\nsource = "manual, 4"\nguarantee = "linearizable"\n'
PLAN = {"workload": "register", "system": {"name": "kvstore", "mode": "quorum", "n": 3}, "faults": [{"kind": "partition"}]}  # fmt: skip


def test_the_example_quotes_what_the_documentation_says() -> None:
    claims = beside(ROOT / "examples" / "documented" / "quorum.toml")
    assert len(claims) >= 3
    for claim in claims:
        assert claim.says in (ROOT / claim.source.split(",")[0]).read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", r"claims.toml:1:\d+: this is not TOML"),
        ("", "there is no claim"),
        ("claims = 3", "there is no claim"),
        ('[[claim]]\nsays = "x"', "unknown key 'claim'"),
        (GOOD + "gurantee = 1\n", r"claims.toml:1: unknown key 'gurantee' of a claim; did you mean 'guarantee'\?"),
        (GOOD + '\n[[claims]]\nsays = "x"\nsource = "y"\n', "claims.toml:6: the claim has no 'guarantee'"),
        (GOOD.replace("reads are fresh", " "), "the claim has no 'says'"),
        (GOOD.replace('"manual, 4"', "4"), "the claim has no 'source'"),
        (GOOD.replace("linearizable", "linearisable"), r"not known; did you mean 'linearizable'\?"),
        (GOOD + "operations = []\n", "operations must be a list of names"),
        (GOOD + 'operations = "read"\n', "operations must be a list of names"),
        (GOOD + 'not_under = ["clocks"]\n', r"no fault; did you mean 'clock'\?"),
        (GOOD + "where = {n = [3]}\n", "where must be a table"),
        (GOOD + GOOD, "claims.toml:5: this claim is there twice"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_by_name_and_line(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        parse_claims(text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "claims.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="cannot be read as claims"):
        beside(tmp_path / "plan.toml")


def test_written_and_read_back_it_is_the_same() -> None:
    claims = (
        Documented(says='a "quoted" \n line', source="§ 4", guarantee="regular", operations=("read", "get"), where={"mode": "quorum", "n": 3, "sloppy": False}, not_under=("clock", "kill")),
        Documented(says=EVIL, source="x", guarantee="bank"),
    )  # fmt: skip
    assert parse_claims(dump_claims(claims)) == claims


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, ""),
        ({"where": {"mode": "quorum", "n": 3, "workload": "register"}}, ""),
        ({"where": {"mode": "register"}}, "it speaks of mode = 'register'; here it is 'quorum'"),
        ({"where": {"r": 2}}, "it speaks of r = 2; here the plan does not set it"),
        ({"not_under": ("clock",)}, ""),
        ({"not_under": ("partition",)}, "it is not promised under the fault 'partition', which the plan has"),
    ],
)
def test_of_which_plans_a_claim_speaks(more: dict[str, Any], why: str) -> None:
    (claim,) = parse_claims(GOOD)
    assert (
        Documented(says=claim.says, source=claim.source, guarantee="regular", **more).silent_about(PLAN)
        == why
    )


def stale_read() -> History:
    """Two compare-and-sets in a row, then a read that misses both: what changes the register is right, what only reads it is stale."""
    told = [("write", 1), ("cas", [1, 2]), ("cas", [2, 3]), ("read", 1)]
    ops = list[Op]()
    for at, (f, value) in enumerate(told):
        argument = MISSING if f == "read" else value
        ops.append(Op(2 * at, 20 * at, at, Type.INVOKE, f, "k", argument))
        ops.append(Op(2 * at + 1, 20 * at + 10, at, Type.OK, f, "k", value))
    return History.from_ops(ops)


def claim_on(*operations: str) -> Documented:
    return Documented(says="x", source="y", guarantee="cas-register", operations=operations)


def test_a_claim_on_some_operations_is_judged_on_them() -> None:
    history = stale_read()
    broken = judge_claim(history, claim_on("read", "cas").name)
    assert broken.verdict is Verdict.INVALID
    assert broken.certificate is not None
    assert 6 in broken.certificate.ops  # the number that the read has in the whole history
    assert judge_claim(history, claim_on("cas").name).verdict is Verdict.VALID


def test_updates_are_heard_whoever_is_asked_about() -> None:
    kept = [op for op in heard(stale_read(), ("read",)) if op.type is Type.OK]
    assert [op.f for op in kept] == ["write", "cas", "cas", "read"]
    silenced = [op for op in heard(stale_read(), ("cas",)) if op.f == "read"]
    assert [(op.type, op.value is MISSING) for op in silenced] == [(Type.INVOKE, True), (Type.FAIL, True)]


@pytest.mark.parametrize(
    ("operations", "reason"),
    [(("get",), "no get succeeded"), (("write",), "a write returns nothing")],
)
def test_what_cannot_be_broken_is_unknown(operations: tuple[str, ...], reason: str) -> None:
    found = judge_claim(stale_read(), claim_on(*operations).name)
    assert found.verdict is Verdict.UNKNOWN
    assert reason in found.reason


def documented_run(folder: Path) -> Path:
    """An INVALID run whose documentation promises what it broke, what it kept, and something of another mode."""
    made = run_folders.make(folder, ops=20)
    claims = (
        Documented(says="one copy", source=EVIL, guarantee="linearizable"),
        Documented(says=EVIL, source="manual", guarantee="regular"),
        Documented(says="fast", source="manual", guarantee="safe", where={"mode": "eventual"}),
        Documented(says="never lost", source="manual", guarantee="safe"),
    )
    (made / "claims.toml").write_text(dump_claims(claims))
    return made


def test_the_report_answers_each_claim(tmp_path: Path) -> None:
    folder = documented_run(tmp_path / "run")
    rows = list(documented_rows(read_folder(folder)))
    assert [row["verdict"] for row in rows] == ["invalid", "valid", "not asked", "not asked"]
    assert [row["proof"] for row in rows] == ["#core", "", "", ""]
    assert rows[0]["evidence"] == run_folders.SENTENCE[0].upper() + run_folders.SENTENCE[1:] + "."
    assert "speaks of mode = 'eventual'" in rows[2]["evidence"]
    assert "was not judged" in rows[3]["evidence"]
    html = write_report(folder).read_text()
    assert "<img" not in html
    assert "“one copy”" in html
    assert "| “one copy” |" in run_markdown(read_folder(folder))


def test_a_run_judges_what_is_documented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = (ROOT / "examples" / "documented" / "quorum.toml").read_text().replace("time_limit_s = 8", "time_limit_s = 4")  # fmt: skip
    (tmp_path / "plan.toml").write_text(plan)
    (tmp_path / "claims.toml").write_text(GOOD + 'where = {mode = "eventual"}\n')
    asked = ["run", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs"), "--json"]
    assert status_of([*asked, "--set", "system.mode=register"]) == 0
    assert list(json.loads(capsys.readouterr().out)["claims"]) == ["integrity"]
    assert status_of([*asked, "--set", "system.mode=eventual"]) == 1  # though the plan's own claim holds
    found = json.loads(capsys.readouterr().out)
    assert {name: each["verdict"] for name, each in found["claims"].items()} == {"integrity": "valid", "linearizable": "invalid"}  # fmt: skip
    assert beside(Path(found["folder"]) / "plan.toml") == beside(tmp_path / "plan.toml")
    (tmp_path / "claims.toml").write_text("[[claims]]\n")
    assert status_of(asked) == 254
    assert "claims.toml:1: the claim has no 'says'" in " ".join(capsys.readouterr().err.split())
