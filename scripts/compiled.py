"""Makes build/compiled/: a copy of the packages in which the modules that the simulator is busiest in are machine code.

    scripts/compiled.py [FOLDER]        then FOLDER/quorate is the same command, 1.7 times as fast in the simulator

mypyc makes C of the types that mypy has checked; a C compiler makes extension modules of it. What is left out, and why, is in
docs/decisions/0013-a-compiled-copy.md. The copy is made whole in a folder beside and then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from harness.compiled import FACTS, LEFT_OUT, digest, facts  # noqa: E402

PACKAGES: Final = ("checkers", "harness", "kvstore", "workloads")
BUSY: Final = """
checkers.jsonl
harness.completion harness.deadlines harness.recorder harness.scheduling
harness.generator.base harness.generator.choice harness.generator.context harness.generator.limits harness.generator.order
harness.generator.threads harness.generator.timing
harness.worlds.sim.agenda harness.worlds.sim.net harness.worlds.sim.node harness.worlds.sim.pipe harness.worlds.sim.troubles
kvstore.absorb kvstore.acceptor kvstore.caspaxos kvstore.commands kvstore.commit_queue kvstore.coordinator kvstore.detector
kvstore.engine_memory kvstore.flows.cas kvstore.flows.lww kvstore.flows.register kvstore.flows.steps kvstore.forest kvstore.hlc
kvstore.holds kvstore.launching kvstore.lines kvstore.merkle kvstore.node kvstore.overlay kvstore.quorum kvstore.replica
kvstore.ring kvstore.scuttlebutt kvstore.session kvstore.slices kvstore.upkeep kvstore.view
workloads.kvstore_sim
"""
START: Final = """#!{python}
import os
import sys

sys.path.insert(0, {copy!r})
os.environ["PYTHONPATH"] = os.pathsep.join([{copy!r}, *filter(None, [os.environ.get("PYTHONPATH")])])

if __name__ == "__main__":  # not in its workers, which load this file too
    from harness.cli import main

    main()
"""


def make(copy: Path, modules: tuple[str, ...] = tuple(BUSY.split())) -> bool:
    """Make the copy; False if it is there already, of these sources, this Python and this mypy."""
    wanted = {
        "modules": list(modules), "packages": list(PACKAGES), "sources": str(ROOT), "digest": digest(ROOT, PACKAGES),
        "python": sys.implementation.cache_tag, "marker": modules[0].replace(".", "/"),
        "maker": [hashlib.sha256(Path(__file__).read_bytes()).hexdigest(), version("mypy")],
    }  # fmt: skip
    if facts(copy) == wanted:
        return False
    fresh = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, fresh / package, ignore=shutil.ignore_patterns(*LEFT_OUT))
    shutil.copy(ROOT / "pyproject.toml", fresh)
    extend(fresh, [f"{module.replace('.', '/')}.py" for module in modules])
    start = fresh / "quorate"
    start.write_text(START.format(python=sys.executable, copy=str(copy)))
    start.chmod(0o755)
    (fresh / FACTS).write_text(json.dumps(wanted))
    shutil.rmtree(copy, ignore_errors=True)
    fresh.rename(copy)
    return True


def extend(root: Path, files: list[str]) -> None:
    """Put extension modules beside these files. Exits if mypyc or the compiler refuses one."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    before = Path.cwd()
    os.chdir(root)
    try:
        made = mypycify(files, opt_level="3", debug_level="0", multi_file=True)
        building = build_ext(Distribution({"packages": [], "ext_modules": made}))
        building.inplace = True
        building.ensure_finalized()
        building.run()
    finally:
        os.chdir(before)
    for leftover in ("build", ".mypy_cache"):
        shutil.rmtree(root / leftover, ignore_errors=True)


def missing() -> str:
    """What this Python lacks to be extended; nothing if all is there."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if header.exists():
        return ""
    return f"there is no {header}, which machine code for this Python is made with: `scripts/system-packages compile` installs it"


if __name__ == "__main__":
    if refusal := missing():
        sys.exit(f"scripts/compiled.py: {refusal}")
    where = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "compiled").resolve()
    where.parent.mkdir(parents=True, exist_ok=True)
    print(f"{where / 'quorate'}: {'made' if make(where) else 'is up to date'}")
