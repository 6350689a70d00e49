"""Errors of a run that does not come to its end."""

from __future__ import annotations


class SimStuckError(RuntimeError):
    """The run does not come to its end; what its system does, or waits for, is the reason."""


class SimDeadlockError(SimStuckError):
    """Nothing is left to happen, and the main coroutine is still waiting."""


class SimTimeLimitError(SimStuckError):
    """The virtual clock passed its limit: something keeps the run alive without finishing it."""


class SimStormError(SimStuckError):
    """Events without number, and virtual time hardly goes on: something sends, or wakes itself, without end."""
