"""A Ray cluster as a pool: the tasks of `harness.pool` on many machines. Needs the extra `[cluster]`.

    this process ── submit ──► Ray ──► a core of some machine        it alone writes results down, first task first
                 ◄─ result ──   │
                                └─ a worker or a machine that dies: its tasks are begun again elsewhere

A task may be begun twice and is answered once, so it must be idempotent: a run in the simulator is, its seed is in its plan.

Results of two builds are not one result. Before any work every machine says what it has: the versions of quorate, of its core and of Python, a
digest of its packages and of those that add systems or workloads, and of the files of yours that plans name. If one differs it is named, and
nothing begins. A machine that joins later is asked by its first task.

Reference: Moritz et al., "Ray: a distributed framework for emerging AI applications", OSDI 2018.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from checkers._core import VERSION
from harness.plan import Plan, PlanError
from harness.pool import Pool
from harness.worlds import WorldError

PACKAGES: Final = ("checkers", "harness")  # and those that add something
ADDED: Final = ("systems", "workloads", "nodes")
RETRIES_MAX: Final = 5  # of one task whose worker died
CONNECT_S: Final = 5.0
WATCH_S: Final = 5.0  # between two looks at the head
MISSES_MAX: Final = 3  # looks in vain, after which it is gone
ASK_S: Final = 60.0  # a machine that starts its first worker takes some seconds
QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "1",  # else it knocks for ten minutes where something else answers
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",  # else it ends this process, with status 1, a minute after the head has gone
}
Build = Mapping[str, str]


class ClusterError(WorldError):
    """The cluster cannot do the work: it is not there, it is of another build, or it fell over. What was written down stays, and is gone on with."""


@contextmanager
def ray_pool(address: str, files: Iterable[str] = ()) -> Iterator[Pool]:
    """All cores of the cluster whose head is at this address, once every machine of it has this build, and these files. ClusterError."""
    ray = _installed()
    _connect(ray, address)
    try:
        mine = build(tuple(sorted(files)))
        _same_everywhere(ray, mine)
        size = int(ray.cluster_resources().get("CPU", 0))
        if not size:
            raise ClusterError(f"the cluster at {address} has no core to work on; start a worker on it")
        yield Pool(size, partial(_RayExecutor, ray, mine, address))
    finally:
        ray.shutdown()  # with this process go its tasks


def own_files(plans: Iterable[Plan]) -> set[str]:
    """The files of yours that the plans name: a system or a workload, `file.py:Name`."""
    named = (name.partition(":")[0] for plan in plans for name in (plan.system, plan.workload))
    return {file for file in named if file.endswith(".py")}


@cache
def build(files: tuple[str, ...] = ()) -> Build:
    """What this machine would judge with, each thing under its name."""
    points = (point for what in ADDED for point in entry_points(group=f"quorate.{what}"))
    packages = sorted({*PACKAGES, *(point.module.partition(".")[0] for point in points)})
    return {
        "quorate": version("quorate"),
        "the core of the checkers": VERSION,
        "Python": sys.version.split()[0],
        **{f"package {name}": _digest(_sources(name)) for name in packages},
        **{file: _digest([Path(file)]) for file in files},
    }


def difference(mine: Build, other: Build) -> str | None:
    """The first thing that another machine has otherwise, in words; None if there is none."""
    for name in dict.fromkeys((*mine, *other)):
        here, there = (each.get(name, "missing") for each in (mine, other))
        if here != there:
            return f"{name}: {there} there, {here} here"
    return None


def _sources(package: str) -> list[Path]:
    """What is run of a package: its Python, and what was compiled beside it."""
    spec = find_spec(package)
    homes = [Path(home) for home in (spec.submodule_search_locations or () if spec is not None else ())]
    return sorted(path for home in homes for path in (*home.rglob("*.py"), *home.glob("*.so")))


def _digest(files: Iterable[Path]) -> str:
    """Of the texts, and the names they go by."""
    digest = sha256()
    for file in files:
        if not file.is_file():
            return "missing"
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _installed() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        ray = import_module("ray")
        printer: Any = import_module("ray._private.worker")
        printer.print_to_stdstream = _unsaid
        return ray
    except ImportError:
        raise PlanError("--ray needs Ray, which is not here: pip install 'quorate[cluster]'") from None


def _unsaid(*_: Any, **__: Any) -> None:
    """In place of what Ray prints of its machines' troubles on stdout, which is for answers; they are in its logs, and what matters here is said here."""


def _connect(ray: Any, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise PlanError(f"--ray {address} is no HOST:PORT; give the address that `ray start --head` printed")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level="CRITICAL", configure_logging=False)
    except Exception as error:  # Ray has no class of its own for it
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ClusterError(
            f"--ray {address}: no cluster that this machine is part of can be reached there ({why})"
        ) from None


def _same_everywhere(ray: Any, mine: Build) -> None:
    """Ask every machine that has a core."""

    def asked(files: tuple[str, ...]) -> dict[str, str]:  # goes there as it is: quorate may be missing
        try:
            from harness.ray_pool import build
        except ImportError as error:
            return {"quorate": f"missing ({error})"}
        return dict(build(files))

    place = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    files = tuple(name for name in mine if name.endswith(".py"))
    answers = {
        node["NodeManagerAddress"]: ray.remote(asked)
        .options(num_cpus=0, scheduling_strategy=place(node["NodeID"], soft=False))
        .remote(files)
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU")
    }
    for machine, answer in answers.items():
        try:
            other = ray.get(answer, timeout=ASK_S)
        except ray.exceptions.TaskUnschedulableError:
            continue  # it has died, and the cluster did not know yet
        except ray.exceptions.RayError as error:
            raise ClusterError(f"{machine} of the cluster does not say which build it has: {_brief(error)}") from None  # fmt: skip
        if (told := difference(mine, other)) is not None:
            raise ClusterError(f"{machine} of the cluster has another build ({told}); install the same there")


def made(mine: Build, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Do a task, on whichever machine."""
    told = difference(mine, build(tuple(name for name in mine if name.endswith(".py"))))
    if told is not None:
        raise ClusterError(
            f"{socket.gethostname()} has joined the cluster with another build ({told}); install the same there"
        )
    return work(*arguments)


class _RayExecutor(Executor):
    """Ray behind the interface of Python's own pools."""

    def __init__(self, ray: Any, mine: Build, head: str) -> None:
        self._ray, self._mine = ray, ray.put(mine)
        self._task = ray.remote(made).options(max_retries=RETRIES_MAX)
        self._pending: dict[Future[Any], Any] = {}
        self._over = threading.Event()
        threading.Thread(target=self._watch, args=(head,), daemon=True).start()

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Hand out a task."""
        future: Future[Any] = Future()
        answer = self._task.remote(self._mine, partial(work, **named), arguments)
        self._pending[future] = answer
        answer.future().add_done_callback(partial(self._answered, future))
        return future

    def _answered(self, future: Future[Any], answer: Future[Any]) -> None:
        if self._pending.pop(future, None) is None or not future.set_running_or_notify_cancel():
            return  # nobody waits for it any more
        error = answer.exception()
        if error is None:
            future.set_result(answer.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            lacks = isinstance(error.cause, ImportError)  # quorate, on a machine that has just joined
            future.set_exception(ClusterError(_brief(error.cause)) if lacks else error.cause)
        else:
            future.set_exception(ClusterError(f"the cluster gave up a task, after {RETRIES_MAX} tries: {_brief(error)}"))  # fmt: skip

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Drop what has no answer yet."""
        self._over.set()
        for future, answer in list(self._pending.items()):
            if future.cancel():
                self._ray.cancel(answer, force=True)

    def _watch(self, head: str) -> None:
        """Whoever waits for an answer is told that none will come: Ray itself would wait."""
        misses = 0
        while not self._over.wait(WATCH_S):
            misses = 0 if _answers(head) else misses + 1
            for future in list(self._pending) if misses >= MISSES_MAX else ():
                if self._pending.pop(future, None) is not None and future.set_running_or_notify_cancel():
                    gone = f"the head of the cluster, {head}, does not answer any more"
                    future.set_exception(ClusterError(gone))


def _answers(head: str) -> bool:
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError:
        return False
    return True


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
