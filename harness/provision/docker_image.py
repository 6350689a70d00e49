"""The image of containers and what each container is given: the same for a cluster of ours (docker.py) and for a compose file (compose.py).

    context/Dockerfile  node.sh  rootfs.tar ──docker build──► quorate-node      FROM scratch: no registry is asked
    home/authorized_keys  hostkey  hosts  sshd_config  log  ──► /etc/quorate of one container

Reference: "Dockerfile reference", FROM scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.provision import debian

IMAGE: Final = "quorate-node"
DOCKERFILE: Final = Path(__file__).with_name("Dockerfile").read_text()
NODE: Final = """\
exec >/etc/quorate/log 2>&1
mkdir -p /run/sshd
/usr/sbin/sshd -f /etc/quorate/sshd_config -E /var/log/sshd.log
while :; do
  sleep 86400 &
  wait $!
done
"""


def write_context(folder: Path, tree: Path) -> None:
    """Make the directory that `docker build` is given, of the files of a Debian."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "node.sh").write_text(NODE)
    left_out = [f"--exclude=./{top}/*" for top in ("dev", "proc", "sys")]
    debian.run("tar", "-C", str(tree), *left_out, "-cf", str(folder / "rootfs.tar"), ".")


def write_home(home: Path, files: Mapping[str, bytes]) -> None:
    """Make the directory that is mounted at /etc/quorate."""
    home.mkdir(mode=0o755)
    for file, content in files.items():
        (home / file).write_bytes(content)
        (home / file).chmod(0o600)
    (home / "log").touch()
