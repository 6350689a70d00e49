"""Campaigns: many runs night after night, one page in the morning, and a red build only when it means something.

file      campaign.toml ─► items, each a plan; what is accepted, by whom and until when
night     the items' runs of tonight, on several cores ─► records
ledger    one SQLite file: nights, runs; what is in it is not run again
shape     what a core comes down to, and the pattern that runs with the same bug have in common
findings  records of all nights ─► New, Ongoing, Rare, Resolved; the bound that clean runs support
regime    how often a finding shows now, when that has changed
trends    on which night latency or throughput changed
prune     old nights made small
status    where the nights stand, one finding, its example made again
page      ─► HTML, Markdown, JSON, JUnit XML, SARIF
"""
