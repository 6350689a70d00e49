"""What the report says, in sentences that need no knowledge of the field.

Everything here is a pure function of a run's `results.json`, faults and plan, so that tests can hold the sentences
against a golden copy. Numbers keep their unit; a word of the field is explained in the glossary below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.report.survival import BACK, LOST, PARTLY, UNREAD
from harness.report.text import cut

if TYPE_CHECKING:
    from harness.report.freshness import Freshness
    from harness.report.survival import Survival

PROMISES = {
    "linearizable": "the store behaves as if there were one copy: once a write is acknowledged or a value was read, no later read returns something older",
    "sequential": "there is one order of all operations that explains what was read and keeps each client's own order; it need not keep real time",
    "regular": "a read returns the last acknowledged write, or one that is being written at that moment",
    "safe": "a read that overlaps no write returns the last acknowledged write; what other reads return is free",
    "integrity": "a read only returns values that somebody wrote, never one from a failed write or from the future",
    "causal-convergence": "every client sees effects after their causes, and all agree on one order of conflicting writes",
    "causal": "every client sees effects after their causes: what it did, what it read, and what the writers of that knew",
    "session-guarantees": "reads never go back behind what the client wrote or read, or behind what came before a write that it has read",
    "pram": "reads never go back behind what the client wrote or read, or behind earlier writes of a client whose write it has read",
    "read-your-writes": "after writing a value, a client reads nothing older",
    "monotonic-reads": "after reading a value, a client reads nothing older",
    "monotonic-writes": "who has read a client's write reads nothing older than what that client wrote before it",
    "writes-follow-reads": "who has read a client's write reads nothing older than what that client had read before it",
}
FAULT_WORDS = {
    "partition": "network partitions",
    "loss": "lossy links",
    "flapping": "links that went down and up",
    "reset": "connections that were reset",
    "rate": "slow links",
    "delay": "delayed packets",
    "duplicate": "packets that arrived twice",
    "reorder": "packets that were overtaken",
    "corrupt": "corrupted packets",
    "kill": "killed and restarted nodes",
    "power-loss": "nodes that lost their power, and what they had not synced",
    "disk-full": "full disks",
    "read-only": "disks that became read-only",
    "io-error": "disks that failed every access",
    "slow-disk": "disks that stood still again and again",
    "lying-fsync": "disks that lost what they had synced",
    "power-off": "whole nodes that were switched off, in silence",
    "wipe": "nodes that lost their disks",
    "restore": "nodes that were started on an old copy of their data",
    "bitflip": "damaged records on disks",
    "truncate": "files that were cut short",
    "snapshot-restore": "disks that went back to an older state",
    "join": "nodes that joined",
    "leave": "nodes that left",
    "replace": "nodes that died and were replaced by others",
    "pause": "paused nodes",
    "cpu-pressure": "nodes with little processor time",
    "memory-pressure": "nodes with too little memory",
    "hot-key": "load that crowds on one key",
    "clock": "shifted clocks",
}
NEVER_TESTED = (
    "operations on several keys at once",
    "packets between clients and nodes that were corrupted with the right checksum",
)
GLOSSARY = {
    "operation": "one call of a client, from its start to its answer; its time is the whole interval between the two",
    "ok, fail, info": "what is known of an operation: it took effect; it surely had none; nobody knows (for instance after a time-out: it may even take effect later)",
    "claim": "a guarantee that somebody says this configuration gives",
    "valid, invalid, unknown": "the claim held in everything that was seen; it was broken, and the core proves it; not enough was seen to say",
    "core": "the few operations that are already impossible on their own under the claim; anyone can check them by hand",
    "witness": "an order of all operations that a single copy could have produced, respecting real time: the proof of a valid verdict",
    "stale read": "a read that returned a value although a newer one had been acknowledged before the read began",
    "staleness in versions": "how many newer acknowledged values there were when a stale read began",
    "lost write": "a write that was acknowledged although each read of its key at the end is surely older",
    "N, R, W": "each key lives on N nodes; a read waits for R of them, a write for W",
    "partition": "some nodes cannot reach others; clients can, unless it is their links that are cut",
    "bite": "a fault bit when it measurably did something: packets were dropped, a process was gone, a clock was off",
    **PROMISES,
}


def stats_of(part: Any) -> Mapping[str, Any]:
    """The numbers of a Result written as JSON, or of a plain table of numbers."""
    if not isinstance(part, Mapping):
        return {}
    inner = part.get("stats")
    return inner if isinstance(inner, Mapping) else part


def subject(plan: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """The thing that was tested, with its configuration: `kvstore in mode quorum (N=3 R=2 W=2)`."""
    system = plan.get("system")
    table = (
        system if isinstance(system, Mapping) else {"name": system or results.get("system") or "The system"}
    )
    mode = f" in mode {table['mode']}" if "mode" in table else ""
    quorum = " ".join(f"{letter.upper()}={table[letter]}" for letter in ("n", "r", "w") if letter in table)
    return f"{table.get('name', 'The system')}{mode}{f' ({quorum})' if quorum else ''}"


def freshness(found: Freshness) -> str:
    """What the measured t-visibility says, and how it lies to the prediction."""
    stale, reads = sum(part.stale for part in found.parts), sum(part.reads for part in found.parts)
    told = f"{plural(found.reads, 'read')} came after exactly one last write and met no fault"
    told += f" ({plural(found.left_out, 'other')} did)" if found.left_out else ""
    told += f"; counting one for each write and time, {percent(stale / reads)} missed the write."
    if found.curve is None:
        return told
    if found.flat:
        return f"{told} So it is predicted: no read that begins after an acknowledgement misses it."
    fresh = f"{percent(found.curve.stale(found.client_ms))} of reads that begin at once miss the write, and 99.9 % are fresh after {number(max(0.0, found.curve.fresh_after_ms(0.999) - found.client_ms))} ms"
    return f"{told} Predicted: {fresh}. The prediction lies within the interval of {len(found.parts) - found.outside} of {len(found.parts)} parts."


def attributed(found: Mapping[str, Any]) -> str:
    """How the table of what a violation needs came about, and what its words mean."""
    where = f"{found['cluster']}, {found['kind']}" if found.get("cluster") else "not known"
    how = (
        f"Each line is the plan run again and again on hosts ({where}) with seed {found['seed']}: the same load and the same faults at the same times, without one thing, the lines in turn. On hosts no run is the same again, so only rates are compared, and of other seeds they say nothing."
        if found.get("world") == "hosts"
        else "Each line is the plan run again under the same seeds, without one thing."
    )
    return f"{how} Chance: how likely so few runs would show it if that thing did not matter (Fisher's exact test). Needed: none shows it without, and that is no chance; helps: clearly fewer do; no matter: not clearly fewer, though few runs do not exclude a small difference; undecided: too few runs to say."


def unattributed(results: Mapping[str, Any]) -> str:
    """That nobody has tried yet, before the command that does."""
    told = "It is not known which faults it needs. This command leaves out one at a time"
    if results.get("world") == "hosts":
        told += ", again and again on hosts that are up, compares how often it shows"
    return f"{told}, and puts what it finds here:"


def survived(found: Survival) -> str:
    """What became of the acknowledged writes."""
    counts = found.counts
    total, read = counts.total(), counts.total() - counts[UNREAD]
    lead = f"{plural(total, 'write')} {'was' if total == 1 else 'were'} acknowledged, and {number(found.returned)} of them returned by some read."
    if not read:
        return f"{lead} None was looked for at the end: no read of its key succeeded after the faults were over and all its writes acknowledged."
    told = f"At the end {number(read)} were looked for: "
    told += f"{number(counts[LOST])} of them were lost" if counts[LOST] else "none of them was lost"
    told += f", {number(counts[PARTLY])} were not met by all reads" if counts[PARTLY] else ""
    told += f"; {number(counts[BACK])} had been missed by a read on the way and came back" if counts[BACK] else ""  # fmt: skip
    doubtful, refused = (f" Of {plural(all_of, 'write')} {what}, {number(seen)} {'was' if seen == 1 else 'were'} returned by some read." if all_of else "" for (all_of, seen), what in ((found.doubtful, "of unknown outcome"), (found.refused, "that surely failed")))  # fmt: skip
    return f"{lead} {told}.{doubtful}{refused}"


def finding(plan: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """The one sentence at the top."""
    who = subject(plan, results)
    operations, bit = count_ops(results), int((results.get("faults") or {}).get("bit", 0))
    if results["outcome"] == "invalid":
        broken = [
            name for name, result in results.get("claims", {}).items() if result["verdict"] == "invalid"
        ]
        core = results.get("core") or {}
        proof = core.get("sentence") or results.get("reason") or "see the claims below"
        if core.get("edges"):  # its sentence has a clause for each edge; it stands with the proof
            count = sum(op["type"] == "invoke" for op in core["ops"])
            proof = f"{core['anomaly']}: by what was read, operations would have to come before themselves, as {plural(count, 'operation')} prove"
        return f"{who} broke its claim to be {join(broken) or 'correct'}: {strip(proof)}."
    if results["outcome"] == "valid":
        faults = f" and {plural(bit, 'fault')} that bit" if bit else ", with no faults"
        return f"{who} kept every claim ({join(list(results.get('claims', {})))}) in {plural(operations, 'operation')}{faults}."
    return f"There is no verdict on {who}: {strip(results.get('reason') or 'nothing was tested')}."


def claim_words(name: str, result: Mapping[str, Any]) -> str:
    """What a verdict means for this claim."""
    guarantee, _, part = name.partition(" (")
    promise = PROMISES.get(guarantee, guarantee) + (f" (judged: {part}" if part else "")
    opening = {"valid": "Held", "invalid": "Broken", "unknown": "Not decided"}[str(result["verdict"])]
    return f"{opening}. The promise: {promise}. {sentence(result.get('reason', ''))}".strip()


def tested(
    plan: Mapping[str, Any], results: Mapping[str, Any], faults: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What this run did look at."""
    lines = [
        f"the {plan.get('workload', 'register')} workload, {plural(count_ops(results), 'operation')} by {plan.get('concurrency', 10)} clients on {plural(int(plan.get('nodes', 5)), 'node')}, seed {results.get('seed')}"
    ]
    for kind in dict.fromkeys(str(fault["kind"]) for fault in faults):
        of_kind = [fault for fault in faults if str(fault["kind"]) == kind]
        bit = sum(bool(fault.get("bit")) for fault in of_kind)
        lines.append(
            f"{FAULT_WORDS.get(kind, kind)}: {len(of_kind)} injected, {bit} with evidence that they bit"
        )
    claims = list(results.get("claims", {}))
    levels = [level for level in results.get("levels", {}) if level not in claims]
    lines.append(f"the claims {join(claims)}" + (f", and for comparison {join(levels)}" if levels else ""))
    return lines


def not_tested(results: Mapping[str, Any], faults: Sequence[Mapping[str, Any]]) -> list[str]:
    """What this run says nothing about. A report without this list would claim too much."""
    seen = {str(fault["kind"]) for fault in faults if fault.get("bit")}
    lines = [f"no {words} in this run" for kind, words in FAULT_WORDS.items() if kind not in seen]
    if results.get("world") == "sim":
        lines.append("no real network, disk or kernel: the nodes ran in the simulator")
    lines += [
        f"not the {name} of [sim]: the network of hosts is as it is"
        for name in results.get("not_applied", ())
    ]
    lines += [f"no {words}" for words in NEVER_TESTED]
    return [*lines, "a run can prove that a claim is broken; it cannot prove that it always holds"]


def repeats(results: Mapping[str, Any]) -> str:
    """What comes of running it again."""
    if results.get("world") == "sim":
        return "In the simulator this gives the same history, byte for byte."
    return "On hosts the faults and the load are the same each time; the timing is not, so a violation may not show."


def evidence_words(fault: Mapping[str, Any]) -> str:
    """The evidence of a fault as one line."""
    evidence = fault.get("evidence")
    text = (
        ", ".join(f"{key.replace('_', ' ')} {flat(value)}" for key, value in evidence.items())
        if isinstance(evidence, Mapping)
        else str(evidence or "")
    )
    note = str(fault.get("note") or "")
    return "; ".join(part for part in (text, note) if part) or "none"


def flat(value: Any) -> str:
    """A nested value on one line."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}: {flat(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(flat(inner) for inner in value) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value) or "none"


def count_ops(results: Mapping[str, Any]) -> int:
    """Operations of clients, over all functions and outcomes."""
    return sum(sum(row.values()) for row in counts_by_f(results).values())


def counts_by_f(results: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """{f: {outcome: count}} from the stats of the run."""
    stats = stats_of(results.get("stats"))
    table = stats.get("by_f") or stats.get("counts") or stats.get("counts_by_f") or {}
    return {
        str(f): {word: int(row.get(word, 0)) for word in ("ok", "fail", "info")}
        for f, row in table.items()
        if isinstance(row, Mapping)
    }


def percent(fraction: Any) -> str:
    """A share for people; `–` where it was not measured."""
    if fraction is None:
        return "–"
    value = 100 * float(fraction)
    return (
        "0 %"
        if value == 0
        else "< 0.01 %"
        if value < 0.01
        else f"{value:.2f} %"
        if value < 10
        else f"{value:.1f} %"
    )


def number(value: Any, digits: int = 1) -> str:
    """A number for people; `–` where it was not measured."""
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{float(value):,.{digits}f}"


def chance(probability: float) -> str:
    """How likely something is to be chance, to one digit."""
    return "< 0.001" if probability < 0.001 else f"{probability:.1g}"


def plural(count: int, word: str) -> str:
    """`1 fault`, `3 faults`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def impossible(count: int) -> str:
    """The heading of a proof."""
    return f"The proof: {plural(count, 'operation')} that cannot {'be' if count == 1 else 'all be'} true"


def join(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def strip(text: str) -> str:
    """Without its final full stop; of a very long text the beginning."""
    return str(cut(text.strip().rstrip(".")))


def sentence(text: str) -> str:
    """With a capital first letter and a full stop."""
    text = strip(text)
    return f"{text[0].upper()}{text[1:]}." if text else ""
