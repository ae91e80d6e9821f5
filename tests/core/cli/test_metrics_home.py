"""What waits, where it goes, and why not."""

from pathlib import Path

import pytest

from codemie_core.cli.metrics_home import record_states
from codemie_core.metrics.lease import Lease
from support.cli import call
from support.metrics_api import MetricsApi
from support.metrics_cli import api, room, status
from support.metrics_room import MetricsRoom

__all__ = ["api", "room"]


def test_it_says_what_waits_and_where_it_goes(room: MetricsRoom, api: MetricsApi) -> None:
    outcome = call("metrics", "status")
    assert outcome.code == 0
    assert f"every 300 s, to {api.url}/v1/metrics" in outcome.out
    assert "3 pending" in outcome.out
    found = status()
    assert (found["off"], found["sessions"], found["waiting"], found["batches"]) == ("", 2, 3, {})
    assert not (room.places.proxy / "proxy.db").exists(), "a look makes nothing"


def test_without_codemie_it_says_why_nothing_is_written(codemie_home: Path) -> None:
    assert "not ai-run-sso" in call("metrics", "status").out
    assert "not ai-run-sso" in str(status()["off"])
    outcome = call("metrics", "sync")
    assert (outcome.code, "for CodeMie alone" in outcome.err) == (1, True)
    assert not codemie_home.exists()


def test_while_a_proxy_sends_it_waits_and_then_says_so(
    room: MetricsRoom, api: MetricsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codemie_core.cli import metrics_home

    monkeypatch.setattr(metrics_home.MetricsHome.sync, "__defaults__", (0.3,))
    lease = Lease(room.places)
    assert lease.take()
    outcome = call("metrics", "sync")
    assert (outcome.code, "try again" in outcome.out, api.came) == (1, True, [])
    lease.release()


async def test_a_record_that_was_written_twice_counts_once_and_as_sent(room: MetricsRoom) -> None:
    found = room.session()
    await room.round()
    room.add(found, "a", "d")
    assert record_states(found) == {"synced": 2, "pending": 1}
