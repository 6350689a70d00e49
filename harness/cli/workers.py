"""Who makes the runs of a command: `--jobs` processes of this machine, or with `--ray` a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from harness.plan import Plan, PlanError
from harness.pool import Jobs

JOBS_MAX: Final = 1_000


@contextmanager
def workers(jobs: int, ray: str | None, plans: Iterable[Plan]) -> Iterator[Jobs]:
    """What was asked for; a cluster only if it can make the runs of these plans. Raises PlanError, ClusterError."""
    if not 0 <= jobs <= JOBS_MAX:
        raise PlanError(f"--jobs is from 0 (one for each core) to {JOBS_MAX:,}, not {jobs:,}")
    if ray is None:
        yield jobs or os.cpu_count() or 1
        return
    if jobs:
        raise PlanError("--ray has as many workers as the cluster has cores; leave --jobs out")
    from harness.ray_pool import own_files, ray_pool

    with ray_pool(ray, own_files(plans)) as pool:
        yield pool
