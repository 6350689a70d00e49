"""`quorate serve`: run folders in a browser, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

from harness.cli.console import say, stoppable
from harness.plan import PlanError
from harness.report.shelf_server import Shelf


def serve_runs(root: Path, host: str, port: int) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit status is 0 then."""
    if not root.is_dir():
        raise PlanError(f"{root} is no folder; give the one that holds the runs, such as runs")
    try:
        shelf = Shelf(root.resolve(), host, port)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "ports are numbers from 0 to 65535"
        raise PlanError(f"{host} port {port} cannot be listened on ({why}); give another --port, or --host") from None  # fmt: skip
    with shelf:
        name = f"[{host}]" if ":" in host else host
        try:
            with stoppable():
                print(f"http://{name}:{shelf.server_address[1]}/", flush=True)
                say(f"{root} is served for reading; end it with Ctrl-C")
                shelf.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
