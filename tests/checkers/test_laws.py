"""Laws that hold for every history: the ladder of levels, what may be changed without harm, and literal definitions."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checkers import History, Type, Verdict, invoke
from checkers.levels import LEVELS, below, judge
from checkers.register import check_linearizable
from checkers.regular import check_regular
from checkers.staleness import staleness
from checkers.stats import availability, stats
from checkers.validate import validate_core, validate_witness

INFINITY = 10**9


@st.composite
def rows(draw, always_valid=False):
    """Operations (f, value, status, call, ret) of one key with unique values: valid by construction, or with some reads changed."""
    points = sorted(draw(st.lists(st.integers(0, 30), min_size=1, max_size=9)))
    value, found = None, []
    for fresh, point in enumerate(points, 1):
        call, ret = point + 50 - draw(st.integers(0, 8)), point + 50 + draw(st.integers(0, 8))
        if draw(st.booleans()):
            found.append(("read", value, "ok", call, ret))
            continue
        status = draw(st.sampled_from(("ok", "ok", "ok", "info", "fail")))
        found.append(("write", fresh, status, call, ret))
        if status == "ok" or (status == "info" and draw(st.booleans())):
            value = fresh
    if not always_valid:
        wrong = st.sampled_from([None, *range(1, len(points) + 2)])
        found = [
            ("read", draw(wrong), *row[2:]) if row[0] == "read" and draw(st.integers(0, 3)) == 0 else row
            for row in found
        ]
    return found


def history(found, name=lambda n: n):
    events = []
    for n, (f, value, status, call, ret) in enumerate(found):
        begin = (
            invoke(name(n), f, "x", time_ns=call)
            if f == "read"
            else invoke(name(n), f, "x", value, time_ns=call)
        )
        end = invoke(name(n), f, "x", value, time_ns=ret)
        events.append((call, 0, begin))
        if status != "info":
            events.append((ret, 1, end.ok() if status == "ok" else end.fail("refused")))
    return History.from_ops(op for _, _, op in sorted(events, key=lambda event: event[:2]))


def literal(found):
    """Per ok read, by the definition: None if it returned from nowhere, else the missed versions' (count, earliest return)."""
    writes = [row for row in found if row[0] == "write"]
    for _, value, _, call, ret in (row for row in found if row[0] == "read"):
        own = next((row for row in writes if row[1] == value and row[2] != "fail"), None)
        if value is not None and own is None:
            yield None
            continue
        own_ret = -INFINITY if own is None else own[4] if own[2] == "ok" else INFINITY
        missed = [w[4] for w in writes if w[2] == "ok" and own_ret < w[3] and w[4] < call]
        future = own is not None and ret < own[3]
        yield future, len(missed), call - min(missed, default=call)


@given(rows())
def test_staleness_is_what_its_definition_says(found):
    reads = list(literal(found))
    stale = [read for read in reads if read is not None and read[1]]
    numbers = staleness(history(found)).stats
    assert numbers["reads"] == len(reads)
    assert numbers["stale_reads"] == len(stale)
    assert numbers["worst_staleness_versions"] == max((read[1] for read in stale), default=0)
    assert numbers["worst_staleness_ms"] == max((read[2] for read in stale), default=0) / 1e6


@given(rows())
def test_regular_and_integrity_are_what_their_definitions_say(found):
    reads = list(literal(found))
    assume(reads)
    corrupt = any(read is None or read[0] for read in reads)
    stale = any(read is not None and read[1] for read in reads)
    results = judge(history(found)).results
    assert results["integrity"].verdict is (Verdict.INVALID if corrupt else Verdict.VALID)
    assert results["regular"].verdict is (Verdict.INVALID if corrupt or stale else Verdict.VALID)


@given(rows())
def test_what_holds_above_holds_below(found):
    recorded = history(found)
    judgement = judge(recorded)
    verdicts = {level: result.verdict for level, result in judgement.results.items()}
    for level, verdict in verdicts.items():
        if verdict is Verdict.VALID:
            assert all(verdicts[weaker] is not Verdict.INVALID for weaker in below(level))
    for result in judgement.results.values():
        if result.verdict is Verdict.INVALID and not result.certificate.edges:
            validate_core(recorded, result)
    if "linearizable" in judgement.strongest:
        validate_witness(recorded, judgement.results["linearizable"])


@given(rows(), st.integers(2, 1000), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_names_order_and_clock_do_not_matter(found, scale, shift, rng):
    before = [check(history(found)).verdict for check in (check_linearizable, check_regular)]
    moved = [(*row[:3], row[3] * scale + shift, row[4] * scale + shift) for row in found]
    rng.shuffle(moved)
    names = rng.sample(range(1000), len(moved))
    after = [
        check(history(moved, names.__getitem__)).verdict for check in (check_linearizable, check_regular)
    ]
    assert before == after


@given(rows(always_valid=True), st.data())
def test_a_valid_history_stays_valid(found, data):
    verdicts = {check_linearizable(history(found)).verdict}
    fewer = [row for row in found if row[0] == "write" or data.draw(st.booleans())]
    wider = [
        (*row[:3], row[3] - data.draw(st.integers(0, 9)), row[4] + data.draw(st.integers(0, 9)))
        for row in found
    ]
    doubt = [(*row[:2], "info", *row[3:]) if row[0] == "write" and row[2] == "ok" else row for row in found]
    more = [*found, ("write", 99, "info", data.draw(st.integers(40, 90)), 100)]
    for changed in (fewer, wider, doubt, more):
        verdicts.add(check_linearizable(history(changed)).verdict)
    assert Verdict.INVALID not in verdicts
    assert (Verdict.VALID in verdicts) == any(row[0] == "read" for row in found)


@settings(max_examples=50)
@given(st.lists(rows(), min_size=1, max_size=3))
def test_keys_are_judged_alone(parts):
    events = []
    for key, found in enumerate(parts):
        for op in history(found):
            name = op.process + 100 * key
            events.append(type(op)(-1, op.time_ns, name, op.type, op.f, key, op.value, op.error))
    together = History.from_ops(sorted(events, key=lambda op: (op.time_ns, op.type is not Type.INVOKE)))
    whole = check_linearizable(together)
    for key, found in enumerate(parts):
        alone = check_linearizable(history(found)).verdict
        part = whole.parts.get(str(key))
        assert alone is (Verdict.UNKNOWN if part is None else part.verdict)


def test_nothing_tested_is_unknown():
    empty, only_nemesis = History.from_ops([]), History.from_ops([invoke("nemesis", "kill-start", time_ns=0)])
    for nothing in (empty, only_nemesis):
        for check in (stats, staleness, *LEVELS.values()):
            assert check(nothing).verdict is Verdict.UNKNOWN
        assert availability(nothing, [(0, 10)]) == {"overall": None, "under_faults": None}


def test_a_kind_that_never_succeeded_was_not_tested():
    result = stats(
        history([("read", None, "ok", 0, 5), ("write", 1, "fail", 6, 7), ("write", 2, "info", 8, 9)])
    )
    assert (result.verdict, result.stats["by_f"]["write"]) == (
        Verdict.UNKNOWN,
        {"ok": 0, "fail": 1, "info": 1},
    )
    assert "no write succeeded" in result.reason


@given(rows())
def test_availability_counts_calls_in_windows(found):
    outcome = availability(history(found), [(48, 60), (55, 65)])
    inside = [row for row in found if 48 <= row[3] < 65]
    assert outcome["overall"] == sum(row[2] == "ok" for row in found) / len(found)
    assert outcome["under_faults"] == (
        sum(row[2] == "ok" for row in inside) / len(inside) if inside else None
    )


def test_claims_are_those_that_were_asked_for():
    some = History.from_ops(
        [invoke(0, "write", "x", 1, time_ns=0), invoke(0, "write", "x", 1, time_ns=1).ok()]
    )
    judgement = judge(some, ["regular", "linearizable"])
    assert list(judgement.claims) == ["regular", "linearizable"]
    assert judgement.claims["regular"] is judgement.results["regular"]
    assert judge(some).claims == {}
    with pytest.raises(ValueError, match="the claim 'regulr' is unknown; use one of linearizable, "):
        judge(some, ["regular", "regulr"])
