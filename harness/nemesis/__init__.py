"""Nemesis: what injects faults, each with evidence that it bit.

`grudges` who is cut from whom (pure) · `schedule` when, and on whom (pure) · `faults` kinds of fault, start, stop and proof; `links` those of the network, `members` those of the ring ·
`client` the process `nemesis` of the history, and the final heal
"""
