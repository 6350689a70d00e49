"""A new finding made small, for as long as the campaign's file gives it: what is then small enough to be read is the smallest replay it links to.

    finding ─► its plan ─► shrink, as long as the same claim is broken in the same way with the same pattern of the core ─► plan, story
                           (`harness.search.shrink`)        (`harness.campaign.shape`)

The pattern is what tells findings apart (`harness.campaign.findings`): a smaller plan that shows another one would be another finding's. What was made
small once is not made small again.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from harness.campaign.night import broken_by
from harness.made import Made
from harness.plan import Plan, dump_plan, parse_plan
from harness.search.finding import Target
from harness.search.shrink import NotShownError, Size, shrink
from harness.search.story import story
from harness.search.trace import traced


class Smaller(NamedTuple):
    """A plan and its story, as the files hold them."""

    plan: str
    story: str


def make_smaller(text: str, claim: str, anomaly: str, pattern: str, limit_s: float) -> Smaller | None:
    """Shrink the plan in whichever process; None if it does not show the finding, as after a change of the store, or is as large as it was."""
    end_s = time.monotonic() + limit_s
    target = Target(claim, anomaly)

    def alike(plan: Plan, run: Made) -> bool:
        return not pattern or (claim, anomaly, pattern) in broken_by(run)

    plan = parse_plan(text, "the plan of the finding")
    try:
        found = shrink(plan, target, alike=alike, out_of_time=lambda: time.monotonic() > end_s)
    except NotShownError:
        return None
    if Size.of(found.plan) == found.before:
        return None
    told = story(found, target, traced(found.plan))
    return Smaller(dump_plan(found.plan), told)
