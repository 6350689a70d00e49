"""The checkers against slow, literal definitions, on generated histories."""

from itertools import combinations

from histories import NONE, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import Verdict, check

INFINITY = 10**9
spans = st.tuples(st.integers(0, 25), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
statuses = st.sampled_from(("ok", "ok", "ok", "info", "fail"))


@st.composite
def counters(draw):
    """Increments and reads whose value is near the truth at an instant within them."""
    found = [("add", 1, 1, draw(statuses), *draw(spans)) for _ in range(draw(st.integers(0, 5)))]
    for _ in range(draw(st.integers(1, 4))):
        call, ret = draw(spans)
        done = sum(row[3] != "fail" and row[4] <= draw(st.integers(call, ret)) for row in found)
        found.append(("read", NONE, max(0, done - draw(st.sampled_from((0, 0, 0, 1)))), "ok", call, ret))
    return found


def linearizable_counter(found):
    """Try every order."""
    ops = [row for row in found if row[3] == "ok" or (row[3] == "info" and row[0] == "add")]
    ends = [row[5] if row[3] == "ok" else INFINITY for row in ops]
    must = {n for n, row in enumerate(ops) if row[3] == "ok"}
    dead = set()

    def search(done):
        if must <= done:
            return True
        if done in dead:
            return False
        value = sum(ops[n][0] == "add" for n in done)
        for n, row in enumerate(ops):
            if n in done or any(m not in done and ends[m] < row[4] for m in must):
                continue
            if (row[0] == "add" or row[2] == value) and search(done | {n}):
                return True
        dead.add(done)
        return False

    return search(frozenset())


@settings(max_examples=600)
@given(counters())
def test_counter_exact_is_linearizability(found):
    history = rows(found)
    exact = check(history, "counter-exact").verdict
    assert exact is (Verdict.VALID if linearizable_counter(found) else Verdict.INVALID)
    if check(history, "counter").verdict is Verdict.INVALID:
        assert exact is Verdict.INVALID


@st.composite
def sets(draw):
    found = [("add", n, n, draw(statuses), *draw(spans)) for n in range(draw(st.integers(1, 4)))]
    possible = [row for row in found if row[3] != "fail"]
    for _ in range(draw(st.integers(1, 5))):
        call, ret = draw(spans)
        shows = [row[1] for row in possible if row[4] <= ret and draw(st.integers(0, 3))]
        found.append(("read", NONE, shows, "ok", call, ret))
    return found


@given(sets())
def test_set_full_is_its_definition(found):
    history = rows(found)
    order = {id(row): n for n, row in enumerate(sorted(found, key=lambda row: row[4]))}
    reads = [row for row in found if row[0] == "read"]
    words = {"stable": [], "lost": [], "never-read": []}
    for add in (row for row in found if row[0] == "add" and row[3] != "fail"):
        shown = [row for row in reads if add[1] in row[2]]
        known = min([row[5] for row in shown] + [add[5]] * (add[3] == "ok"), default=INFINITY)
        absent = max(
            (row for row in reads if add[1] not in row[2]), key=lambda row: order[id(row)], default=None
        )
        if shown and not (absent and all(row[5] < absent[4] for row in shown)):
            words["stable"].append(add[1])
        else:
            words["lost" if absent and known < absent[4] else "never-read"].append(add[1])
    result = check(history, "set-full")
    assert (result.stats["lost"], result.stats["never-read"]) == (words["lost"], words["never-read"])
    assert result.stats["stable-count"] == len(words["stable"])
    wanted = Verdict.INVALID if words["lost"] else Verdict.VALID if words["stable"] else Verdict.UNKNOWN
    assert result.verdict is wanted


def serves(takes, puts):
    """Try every assignment of takes to puts that were called before the take returned."""
    if not takes:
        return True
    return any(put[4] <= takes[0][5] and serves(takes[1:], puts[:n] + puts[n + 1 :]) for n, put in enumerate(puts))  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from(("enqueue", "dequeue")), st.integers(0, 1), statuses, spans), max_size=9
    )
)
def test_queue_is_an_assignment(drawn):
    found = [(f, value if f == "enqueue" else NONE, value, status, *span) for f, value, status, span in drawn]
    takes = [row for row in found if row[0] == "dequeue" and row[3] == "ok"]
    puts = [row for row in found if row[0] == "enqueue" and row[3] != "fail"]
    good = all(serves([t for t in takes if t[2] == v], [p for p in puts if p[1] == v]) for v in (0, 1))
    verdict = check(rows(found), "queue").verdict
    assert verdict is (Verdict.UNKNOWN if not takes else Verdict.VALID if good else Verdict.INVALID)


@given(st.lists(st.lists(st.sampled_from((None, 1)), min_size=3, max_size=3), min_size=2, max_size=6))
def test_long_fork_is_two_reads_of_which_neither_contains_the_other(seen):
    found = [
        ("txn", [["r", k, None] for k in range(3)], [["r", k, v] for k, v in enumerate(one)], "ok", n, n)
        for n, one in enumerate(seen)
    ]
    shown = [{k for k, v in enumerate(one) if v} for one in seen]
    forked = any(not a <= b and not b <= a for a, b in combinations(shown, 2))
    wanted = Verdict.INVALID if forked else Verdict.VALID if any(shown) else Verdict.UNKNOWN
    assert check(rows(found), "long-fork").verdict is wanted


@given(st.lists(st.tuples(st.integers(-4, 4), statuses), max_size=7), st.integers(-12, 12))
def test_a_final_read_is_a_sum_of_the_sure_and_some_of_the_others(adds, value):
    found = [("add", n, n, status, at, at + 1) for at, (n, status) in enumerate(adds)]
    sure = sum(n for n, status in adds if status == "ok")
    maybe = [n for n, status in adds if status == "info"]
    sums = {sure + sum(some) for size in range(len(maybe) + 1) for some in combinations(maybe, size)}
    verdict = check(rows([*found, ("final-read", NONE, value, "ok", 50, 51)]), "pn-counter").verdict
    tested = value or any(status == "ok" for _, status in adds)
    assert verdict is (Verdict.INVALID if value not in sums else Verdict.VALID if tested else Verdict.UNKNOWN)


def test_an_element_that_a_read_under_way_still_shows_is_not_lost():
    """The read that lacks it was called later and is over first: the other may have looked after it."""
    lacks, shows = ("read", None, [], "ok", 20, 30), ("read", None, [1], "ok", 10, 40)
    added = ("add", 1, 1, "ok", 0, 5)
    result = check(rows([added, shows, lacks]), "set-full")
    assert (result.verdict, result.stats["lost-count"], result.stats["stale-count"]) == (Verdict.VALID, 0, 1)
    assert check(rows([added, shows, lacks]), "set-full-linearizable").anomaly == "stale-read"
    assert check(rows([added, ("read", None, [1], "ok", 10, 19), lacks]), "set-full").anomaly == "lost"
