"""Plans: what is read, what is refused and with which words, and that writing loses nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.plan import (
    FAULT_OPTIONS,
    FaultPlan,
    Plan,
    PlanError,
    dump_plan,
    load_plan,
    parse_plan,
    repeat_command,
)
from harness.plan_changes import changed as changed_by
from harness.plan_options import RANGES, SIM_RANGES, TOP_RANGES

ROOT = Path(__file__).parents[2]
GOOD = """\
name = "register-under-faults"
workload = "register"
seed = 7
nodes = 5
time_limit_s = 30
claims = ["linearizable", "regular"]

[system]
name = "kvstore"
mode = "register"
n = 3

[options]
keys = 4

[[faults]]
kind = "partition"
shape = "halves"
every_s = 6.0
for_s = 3

[[faults]]
kind = "clock"
offset_ms = 200

[sim]
latency = "lognormal"
latency_ms = 2
loss = 0.01

[hosts]
inventory = "hosts.json"
"""


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_a_plan_is_read() -> None:
    assert parse_plan(GOOD) == Plan(
        name="register-under-faults",
        workload="register",
        system="kvstore",
        seed=7,
        nodes=5,
        time_limit_s=30.0,
        claims=("linearizable", "regular"),
        system_options={"mode": "register", "n": 3},
        options={"keys": 4},
        faults=(
            FaultPlan(kind="partition", every_s=6.0, for_s=3.0, options={"shape": "halves"}),
            FaultPlan(kind="clock", options={"offset_ms": 200.0}),
        ),
        sim={"latency": "lognormal", "latency_ms": 2.0, "loss": 0.01},
        hosts={"inventory": "hosts.json"},
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("seed = = 7", "p.toml:1:8: this is not TOML"),
        (
            'name = "a"\nseed 7\n',
            "p.toml:2:6: this is not TOML: Expected '=' after a key in a key/value pair",
        ),
        ('name = "a"\nclaims = ["x"', "p.toml:2:14: this is not TOML: Unclosed array"),
        ('name = "a"\nname = "b"\n', "p.toml:2:11: this is not TOML: Cannot overwrite a value"),
    ],
)
def test_broken_toml_is_named_by_line_and_column(text: str, where: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "p.toml")
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 7", "sede = 7", "p.toml:3: unknown key 'sede' in the plan; did you mean 'seed'?"),
        ("[options]", "[option]", "p.toml:13: unknown key 'option' in the plan; did you mean 'options'?"),
        ("seed = 7", 'seed = "7"', "p.toml:3: seed must be a whole number, not '7'"),
        ("seed = 7", "seed = true", "p.toml:3: seed must be a whole number, not True"),
        ("seed = 7", "seed = 7.5", "p.toml:3: seed must be a whole number, not 7.5"),
        ("nodes = 5", "nodes = 0", "p.toml:4: nodes is a number of nodes, from 1 to 1,000, not 0"),
        (
            "seed = 7",
            "concurrency = 0",
            "p.toml:3: concurrency is a number of clients, from 1 to 100,000, not 0",
        ),
        (
            "seed = 7",
            "rate = -1",
            "p.toml:3: rate is operations per second, 0 for no limit, from 0 to 1,000,000, not -1.0",
        ),
        (
            "time_limit_s = 30",
            "time_limit_s = -30",
            "p.toml:5: time_limit_s is seconds, from 0.001 to 10,000,000, not -30.0",
        ),
        (
            "time_limit_s = 30",
            "time_limit_s = inf",
            "p.toml:5: time_limit_s must be a finite number, not inf",
        ),
        (
            "time_limit_s = 30",
            "op_timeout_ms = 0",
            "p.toml:5: op_timeout_ms is milliseconds, from 0.001 to 100,000,000, not 0.0",
        ),
        ('["linearizable", "regular"]', "[]", "p.toml:6: claims is empty, so there is nothing to test"),
        ('"regular"]', "3]", "p.toml:6: claims holds names of guarantees, not 3"),
        (
            '"linearizable"',
            '"linearisable"',
            "names 'linearisable', which is no known guarantee; did you mean 'linearizable'?",
        ),
        ('claims = ["linearizable", "regular"]\n', "", "p.toml: the plan has no 'claims'; add one"),
        ('"register-under-faults"', '"../x"', "p.toml:1: name is used for a folder; '../x' may hold"),
        ('"register-under-faults"', '"latest"', "p.toml:1: name is used for a folder; 'latest' may hold"),
        ('name = "kvstore"\n', "", "p.toml: [system] has no name"),
        (
            'kind = "partition"',
            'kind = "partion"',
            "p.toml:17: kind is 'partion', which is no fault; did you mean 'partition'?",
        ),
        ('kind = "partition"\n', "", "p.toml: one of the [[faults]] has no kind; it is one of partition,"),
        (
            'shape = "halves"',
            'shape = "half"',
            "p.toml:18: shape is 'half', but must be one of halves, isolate",
        ),
        (
            'shape = "halves"',
            "offset_ms = 5",
            "unknown key 'offset_ms' in [[faults]] of kind partition; there are",
        ),
        (
            "every_s = 6.0",
            "evry_s = 6.0",
            "p.toml:19: unknown key 'evry_s' in [[faults]] of kind partition; did you mean 'every_s'?",
        ),
        ("every_s = 6.0", "start_s = -1", "p.toml:19: start_s must be 0 or more, not -1.0"),
        ("for_s = 3", "for_s = 0", "p.toml:20: for_s must be more than 0, not 0.0"),
        ("for_s = 3", "for_s = 9", "p.toml:20: for_s (9.0) must not exceed every_s (6.0)"),
        ("nodes = 5", "nodes = 1", "p.toml:17: kind is 'partition', which needs two nodes; raise nodes"),
        ("loss = 0.01", "loss = 1.5", "p.toml:29: loss is a share of the messages, from 0 to 1, not 1.5"),
        ("loss = 0.01", "losss = 0.01", "p.toml:29: unknown key 'losss' in [sim]; did you mean 'loss'?"),
        ('"lognormal"', '"normal"', "p.toml:27: latency is 'normal', but must be one of constant"),
        ("inventory", "inventry", "p.toml:32: unknown key 'inventry' in [hosts]; did you mean 'inventory'?"),
        ("keys = 4", "keys = 1979-05-27", "p.toml:14: keys must be made of text, numbers"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(old: str, new: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(changed(old, new), "p.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_of_the_wrong_shape() -> None:
    with pytest.raises(PlanError, match="sim must be a table"):
        parse_plan('sim = 3\nname = "a"\nworkload = "w"\nclaims = ["regular"]\n[system]\nname = "s"\n')
    with pytest.raises(PlanError, match=r"faults are written as tables: \[\[faults\]\]"):
        parse_plan('faults = 3\nname = "a"\nworkload = "w"\nclaims = ["regular"]\n[system]\nname = "s"\n')


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="there is no such plan; give the path of a TOML file"):
        load_plan(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="cannot be read as a plan"):
        load_plan(tmp_path / "bytes.toml")
    with pytest.raises(PlanError, match="cannot be read as a plan"):
        load_plan(tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_every_example_is_a_plan_and_survives_writing(path: Path) -> None:
    plan = load_plan(path)
    assert parse_plan(dump_plan(plan)) == plan


times = st.floats(0.001, 1e6)
words = st.text(st.characters(codec="utf-8"), max_size=8)
leaves: st.SearchStrategy[Any] = st.one_of(words, st.integers(), st.booleans(), st.floats(allow_nan=False))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=5,
)
tables = st.dictionaries(words, values, max_size=4)


@st.composite
def fault_plans(draw: st.DrawFn) -> FaultPlan:
    kind = draw(st.sampled_from(sorted(FAULT_OPTIONS)))
    own = {
        key: draw(st.floats(*RANGES[key][:2]) if key in RANGES else times)
        if allowed is float
        else draw(words if allowed is str else st.sampled_from(allowed))
        for key, allowed in FAULT_OPTIONS[kind].items()
    }
    if own.get("targets") == "primaries":
        del own["point"]
    if "drift_s" in own:
        del own[draw(st.sampled_from(("drift_s", "strobe_ms")))]
    if "shape" in own:
        left_out = draw(st.sampled_from([("shape",), ("targets", "clients")]))
        own = {key: value for key, value in own.items() if key not in left_out}
    lasts, every = sorted((draw(times), draw(times)))
    return FaultPlan(kind=kind, start_s=draw(times), every_s=every, for_s=lasts, options=own)


plans = st.builds(
    Plan,
    name=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z").filter(lambda name: name != "latest"),
    workload=words,
    system=words,
    claims=st.lists(st.sampled_from(["linearizable", "regular", "integrity"]), min_size=1, max_size=3).map(
        tuple
    ),
    seed=st.integers(*map(int, TOP_RANGES["seed"][:2])),
    nodes=st.integers(2, 99),  # a partition needs two
    concurrency=st.integers(1, 99),
    rate=st.floats(*TOP_RANGES["rate"][:2]),
    time_limit_s=st.floats(*TOP_RANGES["time_limit_s"][:2]),
    op_timeout_ms=st.floats(*TOP_RANGES["op_timeout_ms"][:2]),
    options=tables,
    system_options=tables.map(lambda table: {key: value for key, value in table.items() if key != "name"}),
    faults=st.lists(fault_plans(), max_size=3).map(tuple),
    sim=st.fixed_dictionaries(
        {},
        optional={
            "loss": st.floats(0, 1),
            "latency": st.just("uniform"),
            "latency_ms": st.floats(*SIM_RANGES["latency_ms"][:2]),
        },
    ),
    hosts=st.fixed_dictionaries({}, optional={"inventory": words}),
)


@given(plans)
@settings(max_examples=200, deadline=None)
def test_writing_and_reading_gives_the_same_plan(plan: Plan) -> None:
    again = parse_plan(dump_plan(plan))
    assert again == plan
    assert dump_plan(again) == dump_plan(plan)


def test_what_toml_cannot_hold_is_refused_when_writing() -> None:
    plan = Plan(name="a", workload="w", system="s", claims=("regular",), options={"x": None})
    with pytest.raises(PlanError, match="a plan cannot hold None"):
        dump_plan(plan)


@pytest.mark.parametrize("text", ["kvstore", '"kvstore"', " 'kvstore' "])
def test_a_change_of_the_system_is_text_with_or_without_quotes(text: str) -> None:
    other = replace(load_plan(ROOT / "examples" / "quorum.toml"), system="other")
    assert changed_by(other, [f"system.name={text}"], "x").system == "kvstore"


@pytest.mark.parametrize("text", ["3", "regular", "true", "{}"])
def test_a_change_of_the_claims_is_a_list(text: str) -> None:
    with pytest.raises(PlanError, match=r'^--set claims is a list, such as claims=\["regular"\], not'):
        changed_by(load_plan(ROOT / "examples" / "quorum.toml"), [f"claims={text}"], "x")


def test_the_command_that_repeats_a_run() -> None:
    assert repeat_command("my plans/a.toml", "sim", 7) == "quorate run 'my plans/a.toml' --world sim --seed 7"
