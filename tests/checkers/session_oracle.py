"""The definitions of weak models, tried literally: every order of the writes. Shares no code with the checkers; for about eight operations.

A run is a list of sessions, a session a list of `(f, key, new, old)`: f is read (new is what it returned), write or cas; None is the initial value.
"""

from itertools import permutations, product


def happened(run):
    """Each operation as (session, place, key, read or "none", written or "none")."""
    none = "none"
    for s, session in enumerate(run):
        for place, (f, key, new, old) in enumerate(session):
            yield s, place, key, {"read": new, "cas": old}.get(f, none), none if f == "read" else new


def demands(run, names):
    """What the guarantees say: (key, a, b), a is not after b."""
    ops = list(happened(run))
    for first, later in product(ops, ops):
        (s, at, key, read, wrote), (t, then, other, seen, written) = first, later
        if s != t or key != other:
            continue
        if "ryw" in names and at < then and wrote != "none" and seen != "none":
            yield key, wrote, seen
        if "mr" in names and at < then and read != "none" and seen != "none":
            yield key, read, seen
        if "mw" in names and at < then and wrote != "none" and written != "none":
            yield key, wrote, written
        if "wfr" in names and at <= then and read != "none" and written != "none":
            yield key, read, written
    for c in (op for op in ops if op[4] != "none"):
        for observer in (op for op in ops if op[2] == c[2] and op[3] == c[4]):
            for last in ops:
                if last[0] != observer[0] or last[1] <= observer[1] or last[3] == "none":
                    continue
                for early in ops:
                    if early[0] != c[0] or early[2] != last[2]:
                        continue
                    if "mw" in names and early[1] < c[1] and early[4] != "none":
                        yield last[2], early[4], last[3]
                    if "wfr" in names and early[1] <= c[1] and early[3] != "none":
                        yield last[2], early[3], last[3]


def guaranteed(run, names):
    """Is there for each key an order of its writes, the initial value first, that meets all demands?"""
    wanted = set(demands(run, names))
    for key in {op[2] for op in happened(run)}:
        values = [op[4] for op in happened(run) if op[2] == key and op[4] != "none"]
        mine = [(a, b) for of, a, b in wanted if of == key]
        orders = ([None, *order] for order in permutations(values))
        if not any(all(order.index(a) <= order.index(b) for a, b in mine) for order in orders):
            return False
    return True


def causal_order(run):
    """Pairs of operation numbers in causal order; None if it is circular."""
    ops = list(happened(run))
    order = {
        (m, n)
        for m, a in enumerate(ops)
        for n, b in enumerate(ops)
        if (a[0] == b[0] and a[1] < b[1]) or (b[3] not in ("none", None) and a[2] == b[2] and a[4] == b[3])
    }
    while True:
        more = {(a, d) for a, b in order for c, d in order if b == c} - order
        if not more:
            return None if any(a == b for a, b in order) else order
        order |= more


def last_of(ops, order, read):
    """What a read returns if the writes of its causal past are applied in this order."""
    past = [n for n in order if ops[n][2] == ops[read][2]]
    return ops[past[-1]][4] if past else None


def causal(run, one_order):
    """Does every read return the last write of its causal past, in some order that holds causal order (or in one for all)?"""
    order = causal_order(run)
    if order is None:
        return False
    ops = list(happened(run))
    writes = [n for n, op in enumerate(ops) if op[4] != "none"]
    reads = [n for n, op in enumerate(ops) if op[3] != "none"]
    for arbitration in permutations(writes):
        place = {n: at for at, n in enumerate(arbitration)}
        if any(place[a] > place[b] for a, b in order if a in place and b in place):
            continue
        good = {r for r in reads if last_of(ops, [n for n in arbitration if (n, r) in order], r) == ops[r][3]}
        if one_order and len(good) == len(reads):
            return True
        if not one_order:
            reads = [r for r in reads if r not in good]
    return not one_order and not reads
