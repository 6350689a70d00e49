"""Search: run a plan under many seeds, and make what was found small enough to understand.

    explore   plan ──► seeds × strategy ──► findings, each (plan, seed, claim, anomaly)
    shrink    finding ──► script ──► fewer operations, faults, nodes, clients; shorter; calmer ──► the smallest plan that still fails
    replay    finding ──► the same run again, byte for byte, with its messages

A finding is a plan and a seed, nothing more: the simulator is a function of them.
"""
