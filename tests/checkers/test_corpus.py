"""Drawn histories with their expected verdicts; what is said of each violation names its operations."""

import re
from pathlib import Path

import pytest

from checkers import Verdict
from checkers.explain import draw_core
from checkers.levels import LEVELS, judge
from checkers.notation import parse_drawing
from checkers.staleness import staleness
from checkers.validate import validate_core, validate_witness

FILES = sorted((Path(__file__).parents[1] / "histories").glob("*.txt"))


def expectations(text):
    for line in text.splitlines():
        if line.startswith("# expect:"):
            level, verdict, *anomaly = line.removeprefix("# expect:").split()
            yield level, (Verdict(verdict), anomaly[0] if anomaly else None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_corpus(path):
    text = path.read_text()
    history = parse_drawing(text)
    expected = dict(expectations(text))
    assert "linearizable" in expected
    results = judge(history).results
    assert {level: (results[level].verdict, results[level].anomaly) for level in expected} == expected
    if results["linearizable"].verdict is Verdict.VALID:
        validate_witness(history, results["linearizable"])
    for result in results.values():
        if result.verdict is Verdict.INVALID:
            validate_core(history, result)


def test_the_corpus_shows_every_verdict():
    found = {expected for path in FILES for level, expected in expectations(path.read_text())}
    assert {verdict for verdict, _ in found} == set(Verdict)
    assert len({anomaly for _, anomaly in found}) >= 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("level", LEVELS)
def test_a_violation_is_told_and_drawn(path, level):
    history = parse_drawing(path.read_text())
    result = judge(history).results[level]
    drawing = draw_core(history, result)
    if result.verdict is not Verdict.INVALID:
        assert drawing == ""
        return
    assert result.reason.startswith(f"{result.anomaly}: ")
    for nothing in ("None", "MISSING", "nan"):
        assert nothing not in result.reason + drawing
    named = [index for index in result.certificate.ops if re.search(rf"#{index}\b", drawing)]
    assert named == list(result.certificate.ops)
    assert len({line.split(":")[0] for line in drawing.splitlines()}) == len(
        {history.op(index).process for index in result.certificate.ops}
    )
    told = [index for index in result.certificate.ops if re.search(rf"#{index}\b", result.reason)]
    assert told, result.reason


def test_the_sentence_of_a_stale_read_says_who_missed_what_and_by_how_much():
    text = (Path(__file__).parents[1] / "histories" / "stale_read.txt").read_text()
    history = parse_drawing(text)
    reason = judge(history).results["linearizable"].reason
    writes = [op for op in history if op.f == "write" and op.value == 2]
    ago = (max(op.time_ns for op in history if op.f == "read" and op.type == 0) - writes[1].time_ns) / 1e6
    assert "returned 1 although write 2" in reason
    assert f"acknowledged {ago:.1f} ms before the read began" in reason
    numbers = staleness(history).stats
    assert (numbers["stale_reads"], numbers["worst_staleness_ms"], numbers["worst_staleness_versions"]) == (
        1,
        ago,
        1,
    )
