"""What must never be otherwise, looked at while the store runs: a broken one ends the node, with a message.

    epochs never go back (`kvstore.view`)

To go on with a broken promise would turn one wrong node into wrong answers everywhere. Drivers treat the error as a crash.
"""

from __future__ import annotations


class BrokenInvariantError(Exception):
    """The node found itself in a state that its rules exclude. What it says is for whoever mends it."""
