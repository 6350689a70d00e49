"""A shrunk finding for people: its size, the sentence that proves it, the core, the faults, the messages; and a test that keeps it.

story.md        what went wrong, in words and drawings
plan.toml       the smallest plan: `quorate run plan.toml` shows it again, in the simulator, or on hosts if luck will have it
test_NAME.py    runs the plan in the simulator and expects the same violation: green while the bug is there
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from harness.plan import Plan, dump_plan
from harness.plan_script import NS
from harness.plan_tape import is_calm, pins_of
from harness.results import core_of, judge_claims
from harness.search import simpler
from harness.search.finding import Target
from harness.search.lamport import draw
from harness.search.narrative import narrative, words
from harness.search.shrink import Shrunk, Size
from harness.search.trace import Trace
from harness.search.twin import without_mistakes

DRAWS_MAX: Final = 40  # that are told one by one


def story(found: Shrunk, target: Target, trace: Trace) -> str:
    """The page, in Markdown. `trace` is that of the shrunk plan."""
    plan, done = found.plan, found.done
    _, claims = judge_claims(
        trace.run.history, [target.claim]
    )  # another claim that is broken has a core of its own
    core = core_of(trace.run.history, claims[target.claim]) or {}
    end = (
        "Nothing more can be left out."
        if done
        else "The time was over before nothing more could be left out."
    )
    parts = [
        f"# {target.anomaly}: {plan.name} does not keep {target.claim}",
        trace.run.results["claims"][target.claim]["reason"] + ".",
        f"Shrunk from {found.before} to {Size.of(plan)}, in {found.runs:,} runs. {end}{otherwise(found)} {cause(found)}".rstrip(),
        "## What happens",
        narrative(plan, trace),
        "## The operations that prove it",
        fenced(str(core.get("drawing") or "(the claim's certificate is not a core of operations)")),
        "## The faults",
        "\n".join(f"- {words(stroke)}" for stroke in plan.strokes)
        or (
            "None is needed."
            if is_calm(plan.tape) and not pins_of(plan.tape)
            else "None: what is left to chance is enough, such as delays of the network."
        ),
        *(["## The draws that matter", chance(plan)] if is_calm(plan.tape) else []),
        "## What is said",
        "Time goes down, in milliseconds; a column a node. `*`: a process asks, or is told. An arrow stands where a message is sent, from `o`; beside is when it "
        "arrives, at `>` or `<`, or what becomes of it, at `x`; one without an end is under way when the run is over. `!`: the fault strikes this node.",
        fenced(draw(plan, trace, _proven_s(trace, core))),
        "## Again",
        fenced("quorate replay plan.toml --trace"),
    ]
    return "\n\n".join(parts) + "\n"


def _proven_s(trace: Trace, core: Mapping[str, Any]) -> float:
    """When the last of the operations that prove it was over; of what comes before, nothing is left out for what comes after."""
    return max((trace.run.history.op(op["index"]).time_ns / NS for op in core.get("ops", ())), default=0.0)


def cause(found: Shrunk) -> str:
    """Sentences on the change under which the claim is kept, and on time, which does not help."""
    told = (
        f" With {simpler.MORE_REST:g} times as long after the heal it is broken as well."
        if found.lasting
        else ""
    )
    if found.twin is not None:
        return f"With {found.twin.words} the same plan keeps the claim.{told}"
    twin = without_mistakes(found.plan)
    words = (
        f"The whole run breaks the claim with {twin.words} as well, so this is no story of that."
        if twin
        else ""
    )
    return words + told


def otherwise(found: Shrunk) -> str:
    """A sentence on the options of the system that are not what they were; how many are members goes with the nodes."""
    changes = [
        f"{name} = {value!r}"
        + (f" in place of {found.options_before[name]!r}" if name in found.options_before else "")
        for name, value in found.plan.system_options.items()
        if name != "members" and value != found.options_before.get(name)
    ]
    return f" With fewer copies: {', '.join(changes)}." if changes else ""


def chance(plan: Plan) -> str:
    """What is left to chance when the tape is calm: a draw a line."""
    pins = sorted(pins_of(plan.tape))
    if not pins:
        return "None: every random draw is a half, so every delay is its median."
    if len(pins) > DRAWS_MAX:
        return f"{len(pins):,} random draws are given, in plan.toml, and the others are halves. There was no time to find out which of them matter."
    lines = [f"- {_whose(name)}: the draw number {at} of `{name}` is {draw:g}" for name, at, draw in pins]
    head = (
        "Every random draw is a half, so every delay is its median, but for these. A delay with a smaller draw is shorter, with a larger one longer; "
        "what happens with a probability, as a loss does, happens if the draw is below it:"
    )
    return "\n".join([head, "", *lines])


def _whose(name: str) -> str:
    """What is drawn from a stream, in words."""
    family, *rest = name.split("/")
    if family == "net" and len(rest) == 3:
        return f"{rest[2]} from {rest[0]} to {rest[1]}"
    return {
        "generator": "what clients do", "nemesis": "faults", "net": "messages", "node": f"what {''.join(rest)} draws itself",
        "trouble": "a fault of links", "damage": "damage to a disk",
    }.get(family, family)  # fmt: skip


def fenced(text: str) -> str:
    """A block that is shown as it is."""
    return f"```text\n{text}\n```"


def test_file(plan: Plan, target: Target) -> str:
    """A pytest file that runs the plan for ever and expects the violation."""
    name = re.sub(r"\W+", "_", f"{plan.name}_{target.anomaly}").lower()
    return f'''"""{target.anomaly} against {target.claim}: the smallest plan that shows it. Once it is mended, expect the claim to hold."""

from harness.plan import parse_plan
from harness.search.finding import Target, targets
from harness.simulate import simulate_run

PLAN = r"""
{dump_plan(plan)}"""


def test_{name}() -> None:
    assert Target({target.claim!r}, {target.anomaly!r}) in targets(simulate_run(parse_plan(PLAN)))
'''
