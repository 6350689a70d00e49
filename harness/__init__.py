"""How to test: plans, worlds, generators, nemeses, runs, reports and what is built on them. See `docs/architecture.md`."""
