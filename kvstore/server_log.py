"""What a node writes to its log, which is standard error: a line an event, for people or for programs.

    text   2026-01-02T03:04:05.678Z n1 refused a connection: n9 is not one of the peers of n1.
    json   {"ts":"2026-01-02T03:04:05.678Z","node":"n1","event":"stranger","text":"refused a connection: …"}

`ts`, `node`, `event` and `text` are always there, `trace` when the node ends by a fault of its own. What others send may be
in the text, so control characters are escaped: nobody can write a line of the log by a name with a line end in it.
"""

from __future__ import annotations

import json
import time


def line(form: str, now_s: float, node: str, event: str, text: str, trace: str = "") -> str:
    """One line without its end; in text form a trace follows on lines of its own. `now_s`: the wall clock."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
    ts = f"{stamp}.{int(now_s * 1000) % 1000:03d}Z"
    if form == "json":
        fields = {"ts": ts, "node": node, "event": event, "text": text}
        return json.dumps(fields | {"trace": trace} if trace else fields, separators=(",", ":"))
    escaped = text.translate(_ESCAPED)
    return f"{ts} {node} {escaped}" + (f"\n{trace.rstrip()}" if trace else "")


_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
