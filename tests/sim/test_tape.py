"""The tape: a run recorded is the run, a run played is the run, and a tape that was damaged or does not fit says where."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkers import History
from harness.cli import status_of
from harness.plan import PlanError, dump_plan, load_plan, parse_plan
from harness.plan_tape import CALM, Cut, calm_but, is_calm, pins_of
from harness.runner import run
from harness.search.finding import Target, draws_of, shows
from harness.search.paused import stopped_at, stopped_before
from harness.search.shrink import shrink
from harness.search.story import story
from harness.search.trace import traced
from harness.simulate import simulate_run
from harness.worlds.sim.tape import PlayedStreams, RecordedStreams, TapeError, as_share, stream, streams_of
from harness.worlds.sim.tape_file import read_tape, written
from tests.sim.from_file import small_again

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = replace(load_plan(EXAMPLES / "eventual.toml"), time_limit_s=6.0)
TEXT = dump_plan(PLAN)
INVERTED = Target("linearizable", "new-old-inversion")
INVERSION = """
name = "inversion"
workload = "register"
seed = 82
nodes = 3
concurrency = 3
time_limit_s = 0.15
claims = ["linearizable"]
script = [
  {at_s = 0.02, client = 2, f = "read", key = 0},
  {at_s = 0.037335745, client = 0, f = "write", key = 0, value = 1939},
  {at_s = 0.048027959, client = 2, f = "read", key = 0},
]
[system]
name = "kvstore"
mode = "quorum"
n = 3
r = 2
w = 2
[sim]
latency = "exponential"
latency_ms = 20.0
streams = "links"
duplicate = 0.0
"""


def drawn(rng: random.Random) -> list[Any]:
    return [
        rng.random(), rng.randint(0, 6), rng.choice("abc"), rng.gauss(0, 1), rng.sample(range(9), 3), rng.randrange(5),
    ]  # fmt: skip


def test_what_is_recorded_and_played_are_the_same_draws() -> None:
    recorded = RecordedStreams(streams_of(7, {}))
    first = drawn(recorded("net"))
    assert first == drawn(stream(7, "net"))
    played = PlayedStreams(recorded.draws)
    assert drawn(played("net")) == first
    played.finish()


def test_a_run_comes_from_its_tape_alone() -> None:
    recorded = RecordedStreams(streams_of(PLAN.seed, {}))
    run = simulate_run(PLAN, streams=recorded)
    bare = simulate_run(PLAN)
    assert (run.lines, run.fault_lines, run.results["trace"]) == (bare.lines, bare.fault_lines, bare.results["trace"])  # fmt: skip
    assert {"generator", "nemesis", "net", "node/n1"} <= recorded.draws.keys()
    played = PlayedStreams(recorded.draws)
    again = simulate_run(replace(PLAN, seed=99), streams=played)
    played.finish()
    assert (again.lines, again.fault_lines, again.results["trace"]) == (run.lines, run.fault_lines, run.results["trace"])  # fmt: skip


def test_a_link_that_flaps_draws_from_a_stream_anew_each_time() -> None:
    recorded = RecordedStreams(streams_of(7, {}))
    takes = [drawn(recorded("trouble/3")) for _ in range(2)]
    assert list(recorded.draws) == ["trouble/3", "trouble/3#2"]
    played = PlayedStreams(recorded.draws)
    assert [drawn(played("trouble/3")) for _ in range(2)] == takes
    played.finish()


def test_the_trace_tells_runs_apart_that_have_the_same_history() -> None:
    plan = parse_plan(INVERSION)
    calm = replace(plan, tape=CALM, sim={**plan.sim, "latency": "constant"})
    late = replace(calm, tape={**CALM, "net/n1/n2/Ping": (Cut(0, seed=3),), "node/n2": (Cut(1, draw=0.7),)})
    assert simulate_run(calm).lines == simulate_run(late).lines
    assert simulate_run(calm).results["trace"] != simulate_run(late).results["trace"]


FITS_NOT: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda draws: draws["net"].pop(), "stream 'net' of the tape ends after 2 draws"),
    (lambda draws: draws["net"].append(0.5), "stream 'net' of the tape has 1 draws that the run never made"),
    (lambda draws: draws.update(nemesis=[]), "stream 'nemesis' of the tape has 0 draws that the run never made"),
    (lambda draws: draws.pop("net"), "the tape has no stream 'net'"),
    (lambda draws: draws.update(net=[draws["net"][1], *draws["net"][1:]]), "draw 1 of stream 'net' is 3 bits on the tape, and the run draws a number"),
    (lambda draws: draws.update(net=[0.5, 0.5, 0.5]), "draw 2 of stream 'net' is a number .* and the run draws 3 bits"),
    (lambda draws: draws.update(net=[0.5, (1, 4), 0.5]), "draw 2 of stream 'net' is 4 bits on the tape, and the run draws 3 bits"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), FITS_NOT)
def test_a_tape_that_does_not_fit_the_run_names_the_draw(
    change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    draws: dict[str, Any] = {"net": [0.5, (1, 3), 0.25]}
    change(draws)
    played = PlayedStreams(draws)
    rng = played("net")
    rng.random()
    rng.getrandbits(3)
    rng.random()
    with pytest.raises(TapeError, match=words):
        played.finish()


DRAWS: dict[str, Any] = {"net": [0.5, 0.25], "node/n1": [(2, 3), 0.125]}
FILE = written(DRAWS, TEXT)


def test_a_tape_survives_being_written(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    path.write_bytes(FILE)
    assert read_tape(path, TEXT) == DRAWS


DAMAGED: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda file: b"", "is no tape of format 1: it begins with ''"),
    (lambda file: b'{"index":0,"time":1}\n', "is no tape of format 1"),
    (lambda file: file.replace(b'"tape":1', b'"tape":2'), "is no tape of format 1"),
    (lambda file: file[: len(file) // 2], r"tape.jsonl:2: no line of a tape"),
    (lambda file: b"".join(file.splitlines(keepends=True)[:-1]), "was cut off after line 2"),
    (lambda file: file[:-1], "was cut off after line"),
    (lambda file: file.replace(b"0.25", b"0.26"), "tape.jsonl:2: stream 'net' was changed"),
    (lambda file: file.replace(b'"net"', b"7"), "tape.jsonl:2: no stream of a tape"),
    (lambda file: file.replace(b'"streams":2', b'"streams":3'), "has 2 streams, and its last line says 3"),
    (lambda file: file + b"{}\n", "was cut off"),
    (lambda file: b"\xff\xfe" + file, "tape.jsonl:1: no line of a tape"),
]


@pytest.mark.parametrize(("change", "words"), DAMAGED)
def test_a_damaged_file_names_the_place(change: Callable[[bytes], bytes], words: str, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    path.write_bytes(change(FILE))
    with pytest.raises(TapeError, match=words):
        read_tape(path, TEXT)


def test_the_tape_of_another_plan_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    with pytest.raises(TapeError, match="cannot be read: No such file"):
        read_tape(path, TEXT)
    path.write_bytes(FILE)
    with pytest.raises(TapeError, match="is the tape of another plan"):
        read_tape(path, TEXT.replace("nodes = 5", "nodes = 4"))


def test_from_a_run_with_a_tape_to_a_tape_that_was_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(TEXT)
    assert status_of(["run", str(plan), "--tape", "--out", str(tmp_path / "runs"), "--json"]) == 1
    folder = Path(json.loads(capsys.readouterr().out)["folder"])
    assert status_of(["replay", str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["from_tape"]) == (True, True)
    assert told["broken"] == [{"claim": "linearizable", "anomaly": "stale-read"}]
    tape = folder / "tape.jsonl"
    whole = tape.read_bytes()
    tape.write_bytes(whole[:-20])
    assert status_of(["replay", str(folder)]) == 254
    assert "no line of a tape" in " ".join(capsys.readouterr().err.split())
    other = read_tape_of(whole, tmp_path)
    other["net"][0] = 0.999
    tape.write_bytes(written(other, (folder / "plan.toml").read_text()))
    assert status_of(["replay", str(folder)]) == 254
    assert "of stream" in " ".join(capsys.readouterr().err.split())
    tape.unlink()
    environment = folder / "environment.json"
    environment.write_text(environment.read_text().replace('"trace": "', '"trace": "0'))
    assert status_of(["replay", str(folder)]) == 254
    assert "not what happened beneath it" in " ".join(capsys.readouterr().err.split())


def test_only_simulated_runs_have_a_tape(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="in the world 'hosts' leave --tape out"):
        run(PLAN, world="hosts", out=tmp_path, tape=True)
    assert not list(tmp_path.iterdir())


def read_tape_of(data: bytes, folder: Path) -> dict[str, Any]:
    path = folder / "copy.jsonl"
    path.write_bytes(data)
    return read_tape(path, TEXT)


def test_a_plan_says_where_draws_depart_from_the_seed() -> None:
    tape = {"*": (Cut(2),), "net": (Cut(0, draw=0.125), Cut(3, draw=0.75), Cut(5, seed=12))}
    net, node = (streams_of(7, tape)(name) for name in ("net", "node/n1"))
    own, twelve, other = stream(7, "net"), stream(12, "net"), stream(7, "node/n1")
    own.random()
    assert [net.random() for _ in range(7)] == [0.125, own.random(), 0.5, 0.75, 0.5, twelve.random(), twelve.random()]  # fmt: skip
    assert [node.random() for _ in range(4)] == [other.random(), other.random(), 0.5, 0.5]
    assert streams_of(7, {"net": (Cut(0),)})("net").sample(range(6), 6)[0] == 0, "of several the first"


def test_draws_of_bits_are_given_as_shares() -> None:
    recorded = RecordedStreams(streams_of(5, {}))
    first = drawn(recorded("net"))
    tape = calm_but([("net", at, as_share(each)) for at, each in enumerate(recorded.draws["net"])])
    assert drawn(streams_of(9, tape)("net")) == first


def test_a_tape_survives_being_written_in_a_plan() -> None:
    tape = {"*": (Cut(0),), "net/n1/n2/Store": (Cut(0, draw=0.25), Cut(3, seed=9))}
    plan = replace(PLAN, tape=tape)
    assert parse_plan(dump_plan(plan)) == plan


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('"nett" = [{at = 0, half = true}]', "'nett': there is no such stream; names begin with generator"),
        ('"net" = {at = 0, half = true}', "'net' is a list of tables"),
        ('"net" = []', "'net' is a list of tables"),
        ('"net" = [{at = -1, half = true}]', "entry 1: at is -1; it is the number of a draw"),
        ('"net" = [{half = true}]', "entry 1: at is None"),
        ('"net" = [{at = 0}]', "has one of draw, seed, half, not 0"),
        ('"net" = [{at = 0, seed = 1, half = true}]', "has one of draw, seed, half, not 2"),
        ('"net" = [{at = 0, draw = 1.0}]', "draw is 1.0; draw is a number from 0 to below 1"),
        ('"net" = [{at = 0, seed = 1.5}]', "seed is 1.5"),
        ('"net" = [{at = 0, half = false}]', "half is False"),
        ('"net" = [{at = 0, haalf = true}]', "unknown key 'haalf'"),
        ('"net" = [{at = 3, draw = 0.5}, {at = 2, draw = 0.5}]', "not in the order of `at`"),
    ],
)
def test_a_bad_tape_in_a_plan_is_refused_by_name(line: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        parse_plan(f"{TEXT}\n[tape]\n{line}\n")


def test_a_run_with_all_its_draws_given_is_the_run() -> None:
    plan = parse_plan(INVERSION)
    pins = draws_of(plan)
    assert {name for name, *_ in pins} >= {"generator", "net/n1/n2/Store", "node/n1"}
    given = replace(plan, seed=plan.seed + 1, tape=calm_but(pins))
    assert simulate_run(given).results["trace"] == simulate_run(plan).results["trace"]


@pytest.mark.slow
def test_shrinking_leaves_only_the_draws_that_matter(tmp_path: Path) -> None:
    found = shrink(parse_plan(INVERSION), INVERTED)
    assert found.done
    assert is_calm(found.plan.tape)
    pins = pins_of(found.plan.tape)
    assert 1 <= len(pins) <= 8
    assert all(len(repr(draw)) <= 5 for _, _, draw in pins)
    small_again(found, INVERTED, tmp_path)
    for place in range(len(pins)):
        less = replace(found.plan, tape=calm_but([*pins[:place], *pins[place + 1 :]]))
        assert shows(less, INVERTED) is None
    told = story(found, INVERTED, traced(found.plan))
    assert f"the draw number {pins[0][1]} of `{pins[0][0]}` is {pins[0][2]:g}" in told


def test_a_run_that_stands_still_is_played_from_its_tape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seed of the plan is not looked at: the tape is of another."""
    plan = replace(PLAN, time_limit_s=2.0)
    recorded = RecordedStreams(streams_of(99, {}))
    whole = simulate_run(plan, streams=recorded)
    assert whole.lines != simulate_run(plan).lines
    with stopped_at(plan, 1.0, recorded.draws) as standing:
        assert 0 < len(standing.history) < len(whole.lines)
        assert whole.lines.startswith(standing.history)
    with stopped_before(plan, 40, recorded.draws) as standing:
        assert standing.upcoming == History.parse(whole.lines).op(standing.records)
    short = {**recorded.draws, "net": recorded.draws["net"][:20]}
    with pytest.raises(TapeError, match="stream 'net' of the tape ends after 20 draws"):
        stopped_at(plan, 1.0, short)
    folder = run(plan, world="sim", out=tmp_path, tape=True).folder
    tape = folder / "tape.jsonl"
    tape.write_bytes(written(recorded.draws, dump_plan(plan)))
    assert status_of(["replay", str(folder), "--until", "1s"]) == 254, "the run that was recorded is another"
    assert "the run does not repeat itself: record 1 was" in capsys.readouterr().err
    (folder / "history.jsonl").write_bytes(whole.lines)
    assert status_of(["replay", str(folder), "--until", "1s", "--json"]) == 0
    with stopped_at(plan, 1.0, recorded.draws) as standing:
        assert json.loads(capsys.readouterr().out)["records"] == standing.records


def test_every_stream_of_a_run_can_be_given_in_a_plan() -> None:
    """A small plan with one of these faults has draws of its streams, and could not be read again."""
    text = "".join(f'\n[[faults]]\nkind = "{kind}"\nstart_s = 0.5\nevery_s = 9.0\nfor_s = 0.4\n' for kind in ("hot-key", "memory-pressure", "bitflip", "delay"))  # fmt: skip
    plan = parse_plan(dump_plan(replace(PLAN, time_limit_s=1.0, faults=())) + text)
    draws = draws_of(plan)
    assert {"hot-key", "memory"} <= {name.partition("/")[0] for name, _, _ in draws}
    given = replace(plan, tape=calm_but(draws))
    assert parse_plan(dump_plan(given)) == given
