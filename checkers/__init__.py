"""What is true: from a recorded history to a verdict with a proof. Imports nothing else of ours and can be used alone.

history = checkers.History.load("history.jsonl")
result = checkers.check(history, model="register")      VALID with a witness, INVALID with a core, UNKNOWN with a reason
"""

from checkers.history import History
from checkers.jsonl import HistoryError, decode_line, encode_op
from checkers.models import MODELS, UnknownModel, check
from checkers.op import MISSING, Missing, Op, Type, invoke
from checkers.search import Budget
from checkers.verdict import Certificate, Result, Verdict, merge

__all__ = [
    "MISSING",
    "MODELS",
    "Budget",
    "Certificate",
    "History",
    "HistoryError",
    "Missing",
    "Op",
    "Result",
    "Type",
    "UnknownModel",
    "Verdict",
    "check",
    "decode_line",
    "encode_op",
    "invoke",
    "merge",
]
