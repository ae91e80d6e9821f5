import os
from pathlib import Path

import pytest

from codemie_core.admin import system
from codemie_core.admin.system import memory, system_info
from codemie_core.exchange import RUN_ID
from support.planes import plane_of


async def test_what_runs_here_is_told() -> None:
    async with plane_of() as room:
        room.exchange()
        told = await system_info(room.plane)
    assert (told.pid, told.run_id, told.home) == (os.getpid(), RUN_ID, os.environ["CODEMIE_HOME"])
    assert {"mitmproxy", "pydantic", "fastapi"} <= set(told.libraries)
    assert told.open_exchanges >= 1
    assert [proxy.this_one for proxy in told.proxies] == [True]
    assert told.live_watchers == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="nobody tells it here")
def test_memory_is_what_the_system_says() -> None:
    grown = bytearray(os.urandom(1) * 50_000_000)
    before = memory()
    assert before is not None
    assert before > 50_000_000
    del grown


def test_a_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "LIBRARIES", ("pydantic", "no-such-library-of-ours"))
    assert list(system._libraries()) == ["pydantic"]
