"""The first process of a docker cluster: a Docker daemon that nobody else uses and that touches nothing of the machine.

    network namespace of the switch  ─► its bridges and rules are not the machine's, and `down` finds it there
    mount and process namespace      ─► mounts and containers, shims and all, end with this process
    /run, /etc, /opt                 ─► seen through a layer of its own, which has no socket of another containerd,
                                        no settings of another Docker, and takes what the daemon writes beside its data

With a directory as the fifth argument it builds the image of that directory (docker_image.py) instead, and ends.
Reference: dockerd(8).
"""

from __future__ import annotations

from typing import Final

from harness.provision.docker_image import IMAGE

SCRIPT: Final = rf"""#!/bin/sh
# usage: init.sh STATE_DIRECTORY DATA_DIRECTORY CGROUP IMAGE [CONTEXT]
set -eu
state=$1 data=$2 cgroup=$3 image=$4 context=${{5:-}}
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

mount -t proc proc /proc
mkdir -p "$data.run"
mount -t tmpfs tmpfs "$data.run"
mkdir -p "$data.run${{state#/run}}" "$data.run/layers"
mount --bind "$state" "$data.run${{state#/run}}"
mount --rbind "$data.run" /run
for top in etc opt; do
  mkdir "/run/layers/$top" "/run/layers/$top.work"
  mount -t overlay overlay -o "lowerdir=/$top,upperdir=/run/layers/$top,workdir=/run/layers/$top.work" "/$top"
done
rm -rf /etc/docker
if [ -n "$image" ]; then
  mount --bind "$data" "$data" # or the daemon would do so, and hide what is mounted below
  mount --make-shared "$data"
  for layer in "$image"/overlay2/*/diff; do mount --bind --read-only "$layer" "$data${{layer#"$image"}}"; done
fi
ip link set lo up

dockerd --host "unix://$state/docker.sock" --data-root "$data" --exec-root /run/docker --pidfile /run/docker.pid \
  --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$cgroup" \
  --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false &
daemon=$!
if [ -n "$context" ]; then
  export DOCKER_HOST="unix://$state/docker.sock" DOCKER_CONFIG=/run/docker-config
  until docker version >/dev/null 2>&1; do
    kill -0 $daemon
    sleep 0.1
  done
  docker build --quiet --network=none --tag {IMAGE} "$context"
  kill $daemon
fi
# As pid 1: reap what is left to us. When the daemon ends, so does everything.
wait $daemon
"""
