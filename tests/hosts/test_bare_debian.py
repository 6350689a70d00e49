"""`quorate doctor` on a Debian 12 with Python and nothing more, as root and as nobody: a line for each thing that is missing, and what mends it.

    the small Debian of containers ── an overlay ── its other packages are purged ── chroot, in namespaces of its own

`make kinds` runs this, for it needs that Debian, which takes two minutes to make. Each package that is named as missing has to be among those that the remedy installs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from harness.provision import debian
from harness.provision.netns import TOOLS

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MODULES = sysconfig.get_path("purelib")
PURGED = "iproute2 iptables openssh-server openssh-client openssh-sftp-server faketime libfaketime kmod busybox-static procps"
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all"
PROGRAM = "import sys; from harness.cli import main; sys.argv = ['quorate', 'doctor']; main()"
SCRIPT = f"""
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir upper work bare
mount -t overlay overlay -o lowerdir="$1",upperdir=upper,workdir=work bare
mount -t proc proc bare/proc
touch bare/dev/null
mount --bind /dev/null bare/dev/null
chroot bare dpkg --purge --force-all {PURGED} >/dev/null 2>&1
mkdir bare/quorate bare/modules
mount --bind {ROOT} bare/quorate
mount --bind {MODULES} bare/modules
rm -rf bare/dev/net
exec chroot bare $2 env -i PATH=/usr/bin:/bin PYTHONPATH=/quorate:/modules PYTHONDONTWRITEBYTECODE=1 python3 -c "$3"
"""


def doctor_says(account: str) -> list[str]:
    """The lines of its table, blanks made one."""
    if "QUORATE_KIND" not in os.environ:
        pytest.skip("the small Debian takes minutes to make: `make kinds` runs this")
    tree = str(debian.tree(lambda text: None))
    apart = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    done = subprocess.run([*apart, "sh", "-ec", SCRIPT, "sh", tree, account, PROGRAM], capture_output=True, text=True, timeout=300)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), "the simulator needs none of it"
    return [" ".join(line.split()) for line in done.stdout.splitlines()[1:]]


def packages_of(group: str) -> str:
    """What `scripts/system-packages` installs for it."""
    listed = subprocess.run([ROOT / "scripts/system-packages", "--list"], capture_output=True, text=True, check=True).stdout  # fmt: skip
    return " ".join(line.split()[1] for line in listed.splitlines() if line.split()[0] == group)


@pytest.mark.parametrize("account", ["", NOBODY], ids=["root", "nobody"])
def test_each_thing_that_is_missing_has_a_line_with_what_mends_it(account: str) -> None:
    lines = doctor_says(account)
    assert all(line.split()[0] in ("ok", "optional") for line in lines), "a line each, and none is cut in two"
    lacking = {tool for tool in TOOLS if f"optional {tool}, for local hosts" in "\n".join(lines)}
    assert lacking == {"ip", "iptables", "ssh-keygen", "sshd"}, "what Debian has always is there"
    for line in lines:
        if not line.startswith("optional"):
            continue
        mended = re.search(r"(scripts/system-packages (\w+)|sudo /usr/bin/quorate doctor|modprobe .*)$", line)
        assert mended, line
        for package in re.findall(r"\(package ([\w.-]+)\)", line):
            group = mended[2]
            assert package in packages_of(group) or package in packages_of("hosts"), line
    told = "\n".join(lines)
    for words in ("hosts of kind docker not found: docker (package docker.io)", "hosts of kind qemu not found: qemu-system-x86_64", "libfaketime"):  # fmt: skip
        assert f"optional {words}" in told
    assert ("optional root, for local hosts this process is not root" in told) == bool(account)
    assert ("kernel: " in told) == (not account)
