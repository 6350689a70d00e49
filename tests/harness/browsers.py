"""A real browser for tests of pages, opened from a file with the network off.

Needs a Chromium and Playwright's Python package (`scripts/system-packages browser`, the `dev` extra); without them such tests are skipped, saying so.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None)  # fmt: skip
MARKS = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed: `scripts/system-packages browser`"
    ),
]


def opened(browser: Any, folder: Path, name: str = "report.html", **context: Any) -> Any:
    """A page that notes as trouble any error and any request but the one for itself."""
    page = browser.new_context(viewport={"width": 1200, "height": 900}, **context).new_page()
    page.troubles = []
    page.on("console", lambda message: page.troubles.append(message.text))
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("request", lambda request: page.troubles.append(request.url) if name not in request.url else None)
    page.goto((folder / name).as_uri())
    return page
