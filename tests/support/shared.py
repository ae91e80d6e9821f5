"""A proxy that several tests of one module use: a start takes longer than most of what they do with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.proxy import Mitmproxy


@contextmanager
def shared_proxy(home: Path, *args: str, env: dict[str, str] | None = None, **kwargs: Any) -> Iterator[Mitmproxy]:
    """`Mitmproxy(...)` with a home of its own, because fixtures of a module come before the one of each test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("CODEMIE_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("CODEMIE_HOME", str(home / ".codemie"))
        proxy = Mitmproxy(*args, env=env, **kwargs)
    with proxy:
        yield proxy
