"""The harness itself is killed, at any moment from the making of hosts to the report: nothing of it stays, and nobody is told what was not seen.

    hosts up ──────► run ── install, load, faults, heal, logs, judge, report ──────► hosts down
       ▲              ▲ SIGKILL, SIGTERM or SIGINT, at moments spread over the whole ▲             then `hosts heal`, `hosts down`

Each run has a machine of its own (`alone`), so that all that is left there was left by it: namespaces, mounts, links, loop devices, processes,
files. Somebody else's rules of iptables, on the machine and on a host, are the same to the byte. Every history is read, every folder has a page.

`make chaos` does it 50 times; QUORATE_CHAOS says how often, the short run takes 3.
"""

from __future__ import annotations

import difflib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from checkers.history import History
from checkers.op import Type
from harness.report.remains import UNFINISHED
from tests.harness.test_report import Page
from tests.hosts.alone import machine
from tests.hosts.conftest import unique
from tests.polling import poll

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.chaos,
    pytest.mark.xdist_group("chaos"),  # control groups are the machine's, in whatever namespaces
]

QUORATE = str(Path(sys.executable).parent / "quorate")
KILLS = int(os.environ.get("QUORATE_CHAOS", "3"))
PATIENCE_S = 900.0
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
NODES = ("n1", "n2", "n3")
CLUSTER = unique("chaos")
SPACE = f"quorate.{CLUSTER}"
ENDS = {"up": (0,), "run": (0, 2), "down": (0,)}  # 2: on a busy machine some fault may not have bitten
WHOLE = ("valid, the run was over", "unknown, the run was over")
TOO_LITTLE = "to judge in its place; run the plan again"
PLAN = """
name = "chaos"
workload = "register"
claims = ["linearizable"]
seed = 7
nodes = 3
concurrency = 6
rate = 60
time_limit_s = 7

[system]
name = "kvstore"
mode = "register"
n = 3
"""
FAULTS = (
    ("partition", 'shape = "isolate"', 0.5, 1.5),
    ("delay", 'targets = "one"\ndelay_ms = 20', 1.0, 1.5),
    ("rate", 'targets = "one"\nrate_kbit = 16', 1.5, 1.5),
    ("clock", 'targets = "all"\noffset_ms = 300\ndrift_s = 2', 2.0, 3.0),
    ("loss", 'targets = "one"\nclients = "both"\nshare = 0.5', 2.5, 4.0),
    ("pause", 'targets = "one"', 3.0, 1.0),
    ("pause", 'targets = "minority"\nhow = "freezer"', 4.1, 1.2),
    ("power-loss", 'targets = "all"', 4.5, 0.3),
    ("slow-disk", 'targets = "one"', 5.5, 1.0),
)
FOREIGN = """
iptables -w -N FOREIGN
iptables -w -A FOREIGN -s 192.0.2.0/24 -p tcp --dport 99 -j DROP
iptables -w -I INPUT -j FOREIGN
iptables -w -t mangle -A INPUT -s 192.0.2.77 -j ACCEPT
"""
RULES = "iptables-save | grep -v '^#' | sed 's/\\[[0-9:]*\\]//'"
LEFT = f"""
ip -o link | sed 's/^[0-9]*: //'
ls /run/netns
find /run /var/lib/quorate -not -path '/run/netns*'
sed -E 's/^[0-9]+ [0-9]+ //' /proc/self/mountinfo
ps -eo stat=,args= | grep -v -e '^Z' -e '^[^ ]* *ps -eo' -e '^[^ ]* *grep' -e '^[^ ]* *sh -c'
losetup -l -n -O BACK-MAJ:MIN | grep -c "$(mountpoint -d /var/lib/quorate)"
find /sys/fs/cgroup -name {SPACE}
{RULES}
"""
"""All that could be left, in words of the system's own tools."""
ON_HOSTS = f"""
for node in {" ".join(NODES)}; do
  tc -n {SPACE}.$node qdisc show | grep -E 'htb|tbf|netem'
  ip netns exec {SPACE}.$node iptables-save | grep QUORATE
done
ps -eo stat=,args= | grep -E '^[Tt]|delay-[0-9]|disk-slow' | grep -v grep
losetup -l -n -O BACK-MAJ:MIN | grep "$(mountpoint -d /var/lib/quorate)"
grep -x FROZEN /sys/fs/cgroup/freezer/{SPACE}/*/quorate-*/freezer.state
for pid in $(pgrep -f '^sh .*init.sh'); do cat "/proc/$pid/root"/run/quorate-node/clock-offset 2>/dev/null; done | grep -v -F +0.000000
true
"""
"""Every trace of a fault on the hosts; nothing when there is none."""
told: Counter[str] = Counter()


def blows() -> list[tuple[signal.Signals, float]]:
    """Which signal comes when, as a share of the whole: each as often, and the moments spread over it."""
    rng, drawn = random.Random("chaos"), list[signal.Signals]()
    while len(drawn) < KILLS:
        drawn += rng.sample(SIGNALS, len(SIGNALS))
    return [(sent, (place + rng.random()) / KILLS) for place, sent in enumerate(drawn[:KILLS])]


def plan_text() -> str:
    """The plan, in which some fault goes on nearly always."""
    return PLAN + "".join(
        f'\n[[faults]]\nkind = "{kind}"\n{options}\nstart_s = {start_s}\nevery_s = 100\nfor_s = {for_s}\n'
        for kind, options, start_s, for_s in FAULTS
    )


class Session:
    """The commands of a user, one after the other, on a machine of their own."""

    def __init__(self, enter: list[str], folder: Path) -> None:
        self.enter, self.folder = enter, folder
        (folder / "plan.toml").write_text(plan_text())
        (folder / "tmp").mkdir()
        self.steps = {
            "up": ["hosts", "up", "-n", "3", "--name", CLUSTER],
            "run": ["run", str(folder / "plan.toml"), "--world", "hosts", "--cluster", CLUSTER, "--out", str(folder)],
            "down": ["hosts", "down", "--name", CLUSTER],
        }  # fmt: skip
        self.took_s: dict[str, float] = {}
        self.shell("ip netns add first; ip netns del first", check=True)  # `ip` makes a mount, once
        self.shell(FOREIGN, check=True)
        self.before = self.shell(LEFT)
        self.on_host = ""

    def shell(self, script: str, *, check: bool = False) -> str:
        """What a script says in there."""
        done = subprocess.run([*self.enter, "sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE_S)  # fmt: skip
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def quorate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run([*self.enter, QUORATE, *words], capture_output=True, text=True, timeout=PATIENCE_S)  # fmt: skip

    def start(self, step: str) -> subprocess.Popen[str]:
        """A step as from a shell: Ctrl-C reaches it, and its temporary files go where they can be seen."""
        return subprocess.Popen(
            [*self.enter, QUORATE, *self.steps[step]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(self.folder / "tmp")},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def until(self, moment_s: float, sent: signal.Signals) -> tuple[str, int, str]:
        """Go on until that moment and send the signal then: the step it met, how that ended, and what it said. Step "" is after all."""
        give_up = time.monotonic() + moment_s
        for step in self.steps:
            began = time.monotonic()
            process = self.start(step)
            try:
                _, said = process.communicate(timeout=max(0.0, give_up - time.monotonic()))
                assert process.returncode in ENDS[step], said
            except subprocess.TimeoutExpired:
                kill(process, sent)
                _, said = process.communicate(timeout=PATIENCE_S)
                return step, process.returncode, said
            self.took_s[step] = time.monotonic() - began
            if step == "up":
                self.shell(f"ip netns exec {SPACE}.n2 sh -c '{FOREIGN}'", check=True)
                self.on_host = self.rules_of_n2()
        return "", 0, ""

    def left(self) -> list[str]:
        """What is there now and was not before, or the other way round."""
        return [
            line
            for line in difflib.ndiff(self.before.splitlines(), self.shell(LEFT).splitlines())
            if line[0] in "+-"
        ]

    def rules_of_n2(self) -> str:
        """What is not ours there: a host's own rules."""
        return self.shell(f"ip netns exec {SPACE}.n2 iptables-save | grep -e '^-A' -e ' - \\['")

    def runs(self) -> list[Path]:
        """Folders of runs."""
        return list(self.folder.glob("chaos/[0-9]*"))


def kill(process: subprocess.Popen[str], sent: signal.Signals) -> None:
    """The signal goes to the command, not to the one which has put it in its place."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def inner() -> str:
        with suppress(FileNotFoundError):
            return children.read_text()
        return ""

    poll(lambda: inner() or process.poll() is not None, wait_s=PATIENCE_S, pause_s=0.001)
    for pid in inner().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), sent)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with machine() as enter:
        yield Session(enter, tmp_path)


@pytest.fixture(scope="module")
def whole_s(tmp_path_factory: pytest.TempPathFactory) -> Iterator[float]:
    """How long it all takes when nobody disturbs it; that nothing is left then either."""
    with machine() as enter:
        quiet = Session(enter, tmp_path_factory.mktemp("quiet"))
        assert quiet.until(PATIENCE_S, signal.SIGKILL)[0] == ""
        (folder,) = quiet.runs()
        assert judged(quiet, folder) in WHOLE
        assert quiet.left() == []
    print(f"undisturbed: {quiet.took_s}")
    yield sum(quiet.took_s.values())
    print("".join(f"\n{count:3} × {what}" for what, count in sorted(told.items())))
    assert KILLS < 10 or told["faults were there still, before `hosts heal`"], (
        "there was nothing to take away"
    )


def test_the_plan_has_faults_of_every_means() -> None:
    """What is put into the kernel, into processes and onto disks has to be taken out again: all of it is in the plan."""
    assert {kind for kind, *_ in FAULTS} >= {"partition", "loss", "delay", "rate", "clock", "pause", "power-loss", "slow-disk"}  # fmt: skip


@pytest.mark.parametrize("number", range(KILLS))
def test_a_harness_that_is_killed_leaves_nothing(session: Session, whole_s: float, number: int) -> None:
    sent, share = blows()[number]
    moment_s = share * whole_s
    step, status, said = session.until(moment_s, sent)
    print(f"{number}: {sent.name} after {moment_s:.2f} s, in step {step or 'none'}, status {status}: {said.strip()[-200:]}")  # fmt: skip
    begun = bool(session.runs())
    assert "Traceback" not in said or (status == -signal.SIGINT and not begun), said  # Python was not even up
    if step == "run":
        heal(session, killed=status < 0)
        assert session.rules_of_n2() == session.on_host
    outcomes = [judged(session, folder) for folder in session.runs()]
    assert step in ("up", "run") or set(outcomes) <= set(WHOLE), outcomes
    done = session.quorate("hosts", "down", "--name", CLUSTER)
    assert done.returncode == 0, done.stderr
    assert session.left() == []
    assert list((session.folder / "tmp").iterdir()) == []
    told[f"{sent.name} in {step or 'none'}: {', '.join(outcomes) or 'no run folder'}"] += 1


def heal(session: Session, *, killed: bool) -> None:
    """Who could clear up has; who could not, `hosts heal` does it, and names nothing that stays."""
    before = session.shell(ON_HOSTS)
    assert killed or before == ""
    told["faults were there still, before `hosts heal`"] += bool(before)
    done = session.quorate("hosts", "heal", "--name", CLUSTER, "--json")
    assert done.returncode == 0, done.stderr
    healed = json.loads(done.stdout)
    assert healed["left"] == []
    assert killed or not any(healed["hosts"].values()), healed
    assert session.shell(ON_HOSTS) == ""


def judged(session: Session, folder: Path) -> str:
    """Look at what a run left; its outcome."""
    history = folder / "history.jsonl"
    ops = list(History.load(history)) if history.exists() else []
    page = session.quorate("report", str(folder))
    if page.returncode != 0:
        assert (page.returncode, TOO_LITTLE in page.stderr, len(ops)) == (254, True, 0), page.stderr
        return "nothing to judge"
    words = Page((folder / "report.html").read_text()).words
    results = json.loads(session.quorate("report", str(folder), "--format", "json").stdout)
    outcome, reason = results["outcome"], results["reason"]
    assert outcome in ("valid", "unknown"), reason
    if UNFINISHED in words or re.search(r"\binterrupted\b", words):
        assert outcome == "unknown", reason
        return "unknown, cut short"
    healed = [op for op in ops if op.process == "nemesis" and op.f == "heal" and op.type is Type.OK]
    assert len(healed) == 1
    assert any(op.index > healed[0].index and op.type is Type.OK for op in ops), "the last reads"
    assert results["faults"]["by_kind"].keys() == {kind for kind, *_ in FAULTS}
    return f"{outcome}, the run was over"
