"""What a finding is a finding *of*: the twin of a plan is the same plan with one thing changed, under which the claim must hold.

    plan ──► breaks the claim ─────────────┐
    its twin, system.bugs = [] ──► keeps it ┴─► a story of the bugs: a smaller plan counts only if this is still so

A plan that is made smaller may break its claim for another reason than the whole one did. Where hints alone repair, a fault shorter than it takes to suspect a node
loses a message that nobody keeps a hint of; then replicas differ whatever else is wrong. The checkers see the same anomaly of the same claim. So each candidate that
shows it is run once more as its twin. A system with deliberate mistakes tells how it is without (`harness.system.SeededSystem`); for any other, whoever looks
for the cause says what it is: a patch that is on or off, another setting.
Zeller, "Isolating cause-effect chains from computer programs", 2002: a cause is a difference between a run that fails and one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from harness.plan import Plan, PlanError
from harness.plan_changes import changed
from harness.runner import Story
from harness.search.finding import Target, targets
from harness.simulate import simulate_run
from harness.system import SystemFault, find_system
from harness.worlds import WorldError

OPTION: Final = "--unless"


@dataclass(frozen=True, slots=True)
class Twin:
    """How a plan becomes its twin. `words`: what is changed, as `--set` has it."""

    words: str
    of: Callable[[Plan], Plan]

    def keeps(self, plan: Plan, target: Target) -> bool:
        """Whether the twin of the plan comes to its end and does not break the claim, in whichever way. One of another verdict keeps it."""
        try:
            run = simulate_run(self.of(plan))
        except (PlanError, WorldError, SystemFault):
            return False
        return target.claim not in {broken.claim for broken in targets(run)}


def without_mistakes(plan: Plan) -> Twin | None:
    """The twin without the mistakes that were put into the system; None if there are none, or the system knows none."""
    try:
        system = find_system(plan.system)(plan.system_options, plan.node_names)
    except PlanError:
        return None
    changes: Mapping[str, Any] = getattr(system, "without_mistakes", dict)()
    if not changes:
        return None
    words = ", ".join(f"system.{name} = {value!r}" for name, value in changes.items())
    return Twin(words, lambda plan: replace(plan, system_options={**plan.system_options, **changes}))


def with_changes(plan: Plan, changes: Sequence[str]) -> Twin:
    """The twin with `key=value` changes. Raises PlanError if the plan cannot be changed so, or if it changes nothing."""
    other = changed(plan, changes, plan.name, OPTION)
    Story(other, "sim")  # refuses at once what every twin would
    if other == plan:
        raise PlanError(f"the plan has {', '.join(changes)} already; {OPTION} says what would be otherwise")
    return Twin(", ".join(changes), lambda plan: changed(plan, changes, plan.name, OPTION))
