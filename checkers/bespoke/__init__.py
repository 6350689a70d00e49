"""One module a checker: sets, queues, counters, banks, logs and CRDTs, each a pure function History -> Result. The table is `table.py`."""
