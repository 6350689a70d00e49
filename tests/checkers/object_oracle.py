"""The objects by definition, and every order tried: judges the checkers in tests, and shares no code with them.

A call is `(f, value, result, status, call, ret)`; status is ok, fail, info (its result is not known, it
may not have happened) or open (it may not have happened; if it did, with this result).
An object is a function of what is inside and one call; it returns what is inside afterwards, and NO where the call cannot be.
"""

import heapq

NO, UNKNOWN = object(), object()


def told(result, truth, inside):
    return inside if result is UNKNOWN or result == truth else NO


def register(inside, f, value, result):
    match f:
        case "write":
            return value
        case "cas":
            expected, new = value
            return new if inside == expected else NO
    return told(result, inside, inside)


def multi_register(inside, f, value, result):
    now = dict(inside)
    for kind, key, item in value if result is UNKNOWN else result:
        if kind == "write":
            now[key] = item
        elif result is not UNKNOWN and now.get(key) != item:
            return NO
    return frozenset(now.items())


def mutex(held, f, value, result):
    if f == "acquire":
        return NO if held else True
    return False if held else NO


def counter(total, f, value, result):
    return total + value if f == "add" else told(result, total, total)


def members(inside, f, value, result):
    match f:
        case "add":
            return inside.union([value])
        case "remove":
            return inside.difference([value])
        case "contains":
            return inside if result is UNKNOWN or result[1] is (value in inside) else NO
    if result is UNKNOWN or (len(result) == len(inside) and inside.issuperset(result)):
        return inside
    return NO


def taken(inside, place, result):
    if not inside:
        return told(result, None, inside)
    return told(result, inside[place], inside[:place] + inside[place + 1 :])


def queue(inside, f, value, result):
    return (*inside, value) if f == "enqueue" else taken(inside, 0, result)


def stack(inside, f, value, result):
    return (value, *inside) if f == "push" else taken(inside, 0, result)


def priority_queue(inside, f, value, result):
    if f == "insert":
        return (*inside, value)
    return taken(inside, inside.index(heapq.nlargest(1, inside)[0]) if inside else 0, result)


def append_list(inside, f, value, result):
    return (*inside, value) if f == "append" else told(result, list(inside), inside)


def kv(inside, f, value, result):
    match f:
        case "put":
            return value
        case "append":
            return f"{inside}{value}"
    return told(result, inside, inside)


OBJECTS = {
    "register": (None, register),
    "cas-register": (None, register),
    "multi-register": (frozenset(), multi_register),
    "mutex": (False, mutex),
    "counter": (0, counter),
    "grow-set": (frozenset(), members),
    "set": (frozenset(), members),
    "queue": ((), queue),
    "stack": ((), stack),
    "priority-queue": ((), priority_queue),
    "append-list": ((), append_list),
    "kv": ("", kv),
}


def explainable(model, calls):
    """Is there an order of the ok ones, and any of the info ones, that the object allows and that keeps real time?"""
    first, happen = OBJECTS[model]
    calls = [one for one in calls if one[3] != "fail"]
    before = [
        sum(1 << n for n, other in enumerate(calls) if other[3] == "ok" and other[5] < one[4])
        for one in calls
    ]
    wanted = sum(1 << n for n, one in enumerate(calls) if one[3] == "ok")
    tried, open_ = set(), [(0, first)]
    while open_:
        done, inside = open_.pop()
        if done & wanted == wanted:
            return True
        for n, (f, value, result, status, _, _) in enumerate(calls):
            if done >> n & 1 or before[n] & ~done:
                continue
            after = happen(inside, f, value, UNKNOWN if status == "info" else result)
            if after is not NO and (done | 1 << n, after) not in tried:
                tried.add((done | 1 << n, after))
                open_.append((done | 1 << n, after))
    return False
