"""Nodes on real hosts, reached over SSH; the faults are the kernel's own.

world      up, down, and the World protocol         packets    iptables, in a chain of our own
daemon     the system's process on a host           clock      libfaketime, measured in the process's own terms
"""

from harness.worlds.hosts.world import HostsWorld

__all__ = ["HostsWorld"]
