"""Real programs that some tests run against. Where one is absent they are skipped, with a reason that names it.

`./run.sh test --install` gets them and sets CODEMIE_TEST_PROGRAMS=required: then nothing is skipped any more.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("CODEMIE_TEST_PROGRAMS") == "required"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="there is no chromium")


def absent(reason: str) -> NoReturn:
    """Skip, or fail where it has to be there."""
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
