"""Nemesis: what injects faults, each with evidence that it bit.

`grudges` who is cut from whom (pure) · `schedule` when, and on whom (pure) · `faults` the four kinds, start, stop and proof ·
`client` the process `nemesis` of the history, and the final heal
"""
