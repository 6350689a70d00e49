"""Many configurations under many faults, each judged: which guarantee does which configuration keep, and at what price?

grid      matrix.toml ─► cells, each a plan
measure   a cell and a seed ─► one simulated run ─► Measured
sweep     all of them, on several cores, written down one by one so that it can go on later
merge     the runs of a cell ─► Row: strongest level kept, example        prices ─► its staleness, latency, availability, loss, with intervals
tables    ─► text, Markdown        page ─► one HTML file
"""
