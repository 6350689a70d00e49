"""A number that nobody can mean, in whichever file or option, is refused where it is read, with its name and its range."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign.file import load_campaign
from harness.cli.search import budgeted, seconds
from harness.cli.workers import workers
from harness.matrix.grid import load_matrix
from harness.plan import PlanError, dump_plan, parse_plan
from harness.plan_options import FAULT_OPTIONS, HOSTS_RANGES, RANGES, SIM_RANGES, TOP_RANGES

PLAN = """name = "numbers"
workload = "register"
claims = ["linearizable"]
{top}
[system]
name = "kvstore"
{rest}
"""
ODD = ("nan", "inf", "-inf", "1e300", "-1e300", "1" + "0" * 400, "true", '"1"', "[]")
FAULTS = [(kind, key) for kind, own in FAULT_OPTIONS.items() for key, of in own.items() if of is float]


def plan(top: str = "", rest: str = "") -> str:
    return PLAN.format(top=top, rest=rest)


def refused(text: str, key: str) -> str:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "p.toml")
    assert key in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("odd", ODD)
def test_every_number_of_a_plan(odd: str) -> None:
    for key in TOP_RANGES:
        assert refused(plan(f"{key} = {odd}"), key).startswith("p.toml:4: ")
    for section, keys in (("sim", SIM_RANGES), ("hosts", HOSTS_RANGES)):
        for key in keys:
            refused(plan(rest=f'[{section}]\nschedule = "priorities"\n{key} = {odd}' if section == "sim" else f"[{section}]\n{key} = {odd}"), key)  # fmt: skip
    for kind, key in [*FAULTS, *(("kill", time) for time in ("start_s", "every_s", "for_s"))]:
        refused(plan(rest=f'[[faults]]\nkind = "{kind}"\n{key} = {odd}'), key)
    if odd != "[]":
        refused(plan(rest=f'[sim]\nschedule = "priorities"\nchanges_s = [{odd}]'), "changes_s")


@pytest.mark.parametrize("key", TOP_RANGES)
def test_both_ends_of_a_range_are_in_it_and_are_named(key: str) -> None:
    low, high, _ = TOP_RANGES[key]
    for end in (low, high):
        made = parse_plan(plan(f"{key} = {end!r}"), "p.toml")
        assert getattr(made, key) == end
        assert parse_plan(dump_plan(made), "p.toml") == made
    step = 1 if isinstance(high, int) else high / 10
    assert f"to {high:,.10g}" in refused(plan(f"{key} = {high + step!r}"), key) or f"to {high:,}" in refused(
        plan(f"{key} = {high + step!r}"), key
    )


def test_a_lease_too_short_to_be_renewed() -> None:
    assert parse_plan(plan(rest="[hosts]\nlease_s = 3")).hosts["lease_s"] == 3
    said = refused(plan(rest="[hosts]\nlease_s = 2.9"), "lease_s")
    assert "enough of them to be renewed in time, from 3 to 86,400, not 2.9" in said


def test_clocks_by_either_sign() -> None:
    low, high, _ = RANGES["offset_ms"]
    assert -low == high
    for offset in (low, high):
        parse_plan(plan(rest=f'[[faults]]\nkind = "clock"\noffset_ms = {offset!r}'), "p.toml")
    stroke = '[[strokes]]\nkind = "clock"\nstart_s = 0\nfor_s = 1\nnodes = ["n1"]\ndetail = {{offsets_ms = {{n1 = {}}}}}'
    parse_plan(plan(rest=stroke.format(high)), "p.toml")
    refused(plan(rest=stroke.format("1e300")), "offsets_ms")


def test_numbers_that_python_does_not_read() -> None:
    assert "this is not TOML that can be read" in refused(plan("seed = " + "9" * 5000), "p.toml")
    assert "this is not TOML that can be read" in refused(plan("seed = " + "[" * 5000), "p.toml")


@pytest.mark.parametrize("count", ["0", "-1", "1000001", "1e3", "true", "9" * 30])
def test_counts_of_campaigns_and_matrices(count: str, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(plan())
    campaign, matrix = tmp_path / "campaign.toml", tmp_path / "matrix.toml"
    item = 'name = "c"\n{}\n[[items]]\nname = "i"\nplan = "plan.toml"\n{}\n'
    for text, key in ((item.format(f"keep_nights = {count}", ""), "keep_nights"), (item.format("", f"runs = {count}"), "runs")):  # fmt: skip
        campaign.write_text(text)
        with pytest.raises(PlanError, match=f"campaign.toml.*{key} = .*choose 1 to 1,000,000"):
            load_campaign(campaign)
    matrix.write_text(f'name = "m"\nplan = "plan.toml"\nseeds = {count}\n')
    with pytest.raises(PlanError, match=r"matrix.toml.*seeds"):
        load_matrix(matrix)


def test_options_of_commands() -> None:
    with pytest.raises(PlanError, match="longer than anything may take"):
        seconds("9" * 400)
    assert seconds("24h") == 86_400
    with pytest.raises(PlanError, match="a budget of 0s leaves no time"):
        budgeted("0s")
    for jobs in (-1, 1_001):
        with pytest.raises(PlanError, match="--jobs is from 0"), workers(jobs, None, []):
            pass
