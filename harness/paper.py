"""A page on paper: an installed Chromium prints it to PDF, as a person would from the browser's menu.

    report.html ─► chromium --headless --print-to-pdf ─► report.pdf

No Chromium is needed for anything else, and none is installed by quorate itself. The browser gets a profile of its own, which is gone afterwards. The page
is a file that loads nothing (its content policy forbids it), and the browser is told that no name has an address. As root it runs without
its sandbox, which it refuses to start with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from harness.plan_toml import PlanError

BROWSERS: Final = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
PATIENCE_S: Final = 300.0
OPTIONS: Final = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--no-pdf-header-footer", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def browser(path: str | None = None) -> str | None:
    """The first Chromium there is, on this PATH or on that of this process."""
    return next(filter(None, (shutil.which(name, path=path) for name in BROWSERS)), None)


def print_page(page: Path, pdf: Path) -> Path:
    """Write the page to `pdf` in one step and return that path. Raises PlanError where there is no browser, or it prints nothing."""
    chromium = browser()
    if chromium is None:
        raise PlanError(f"a PDF is printed by Chromium, and none is installed: `scripts/system-packages browser` installs one; or open {page} in any browser and print it")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="quorate-pdf-", ignore_cleanup_errors=True) as profile:
        made = Path(profile) / "page.pdf"
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [chromium, *OPTIONS, *root, f"--user-data-dir={profile}", f"--print-to-pdf={made}", page.resolve().as_uri()]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=False)  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PlanError(f"{chromium} did not print {page} ({error}); open it in a browser and print it") from None  # fmt: skip
        if done.returncode or not made.exists():
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise PlanError(f"{chromium} did not print {page} (exit status {done.returncode}: {said}); open it in a browser and print it")  # fmt: skip
        fresh = pdf.with_name(f".{pdf.name}.new")
        shutil.copyfile(made, fresh)
        fresh.replace(pdf)
    return pdf
