"""The commands, as mitmweb calls them: what they show, what they do, what they refuse."""

import asyncio
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions
from mitmproxy.test import tflow

from codemie_core.access.client_keys import KeyStore
from codemie_core.addon import Addon
from codemie_core.core_addon import core_of
from codemie_core.exchange import BOOK, exchange_of
from codemie_core.places import Places
from support import talks
from support.core_room import Fixed, Listener
from support.looked_at import Watched, looking, talked
from support.records import new_record
from support.talks import anthropic


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with looking() as found:
        yield found


async def flow_of(watched: Watched) -> Any:
    flow = await watched.answered(await watched.asked(talked(anthropic())))
    await watched.counted(new_record(id=exchange_of(flow).request_id))
    return flow


async def test_status_tells_what_was_served_and_how_each_addon_is(watched: Watched) -> None:
    flow = await flow_of(watched)
    exchange_of(flow)
    lines = watched.call("codemie.status")
    # The book is the process's: flows of other tests may lie in it still.
    left = sum(1 for _ in BOOK.still_open())
    assert lines[:3] == ["listening: nowhere", f"requests: {left} open, 1 complete", "attempts: 0, 0 again"]
    assert lines[3:] == watched.call("codemie.addons.list") == [" 90 inspection (open): active"]


async def test_addons_are_switched_on_and_off(watched: Watched) -> None:
    listener = Listener()
    watched.core.adopt(listener)
    assert watched.call("codemie.addons.disable", "listener") == "listener is disabled"
    assert watched.options.codemie_disabled == ["listener"]
    assert watched.call("codemie.addons.enable", "listener") == "listener is active"
    assert watched.options.codemie_disabled == []
    watched.options.update(codemie_enabled=["inspection"])
    assert watched.call("codemie.addons.enable", "listener") == "listener is active"
    assert watched.options.codemie_enabled == ["inspection", "listener"]


async def test_what_cannot_be_switched_is_refused(watched: Watched) -> None:
    watched.core.adopt(Fixed())
    with pytest.raises(exceptions.CommandError, match="cannot be switched while the proxy runs"):
        watched.call("codemie.addons.disable", "fixed")
    with pytest.raises(exceptions.CommandError, match="did you mean 'inspection'"):
        watched.call("codemie.addons.disable", "inspections")


async def test_why_tells_the_route_the_account_and_the_ending(watched: Watched) -> None:
    flow = await flow_of(watched)
    lines = watched.call("codemie.why", f"@{flow.id}")
    assert lines[0] == "claude asked: POST /v1/messages."
    assert lines[-1].startswith("It ended complete")


async def test_why_of_a_flow_out_of_a_file_is_what_the_flow_keeps(watched: Watched) -> None:
    flow = talked(anthropic())
    flow.metadata.update({"codemie.agent": "claude", "codemie.account": "main", "codemie.account_why": "it is first"})
    watched.view.add([flow])
    assert watched.call("codemie.why", f"@{flow.id}") == ["agent: claude", "account: main: it is first"]
    stranger = talked(anthropic())
    watched.view.add([stranger])
    with pytest.raises(exceptions.CommandError, match="has not passed through the proxy"):
        watched.call("codemie.why", f"@{stranger.id}")


async def test_a_conversation_is_shown_and_saved(watched: Watched, tmp_path: Path) -> None:
    flow = await flow_of(watched)
    lines = watched.call("codemie.conversation", f"@{flow.id}")
    assert f"  {talks.ASKED}" in lines
    assert f"  {talks.SAID}" in lines
    place = tmp_path / "talk.txt"
    watched.call("codemie.conversation.save", f"@{flow.id}", str(place))
    assert place.read_text().splitlines() == lines
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    with pytest.raises(exceptions.CommandError, match="exists"):
        watched.call("codemie.conversation.save", f"@{flow.id}", str(place))


async def test_what_is_no_conversation_is_refused_in_one_line(watched: Watched, tmp_path: Path) -> None:
    flow = talked(anthropic())
    flow.request.path = "/v1/models"
    watched.view.add([flow])
    for command in ("codemie.conversation", "codemie.conversation.save"):
        with pytest.raises(exceptions.CommandError, match="no "):
            watched.call(command, f"@{flow.id}", *([str(tmp_path / "x")] if "save" in command else []))
    assert not (tmp_path / "x").exists()
    other = tflow.ttcpflow()
    watched.view.add([other])
    with pytest.raises(exceptions.CommandError, match="no HTTP"):
        watched.call("codemie.conversation", f"@{other.id}")


async def test_sessions_are_listed_and_one_of_them_is_shown_alone(watched: Watched) -> None:
    flow = await flow_of(watched)
    other = talked(anthropic())
    other.request.headers["x-claude-code-session-id"] = "another"
    await watched.answered(await watched.asked(other))
    [line] = watched.call("codemie.sessions")
    session = flow.metadata["codemie.session_id"]
    assert line.startswith(f"{session} claude: 1 turn, ")
    assert watched.call("codemie.session.show", f"@{flow.id}") == session
    assert list(watched.view) == [flow]
    watched.call("codemie.session.all")
    assert len(watched.view) == 2
    stranger = talked(anthropic())
    watched.view.add([stranger])
    with pytest.raises(exceptions.CommandError, match="belongs to no session"):
        watched.call("codemie.session.show", f"@{stranger.id}")


async def test_keys_are_listed_and_revoked(watched: Watched, codemie_home: Path) -> None:
    assert "codemie-proxy keys add" in watched.call("codemie.keys.list")[0]
    entry, secret = KeyStore(Places(codemie_home)).add("ann")
    [line] = watched.call("codemie.keys.list")
    assert line.startswith(f"ann ({entry.id}), made ")
    assert line.endswith(": valid")
    assert secret.get_secret_value() not in line
    assert watched.call("codemie.keys.revoke", "ann") == "the key of ann is revoked"
    assert watched.call("codemie.keys.list")[0].endswith(": revoked")
    with pytest.raises(exceptions.CommandError, match="bob"):
        watched.call("codemie.keys.revoke", "bob")


class Syncing(Addon, priority=100, name="metrics_sync"):
    async def sync_now(self) -> str:
        return "3 sent, 0 waiting"


async def test_metrics_are_sent_now(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(exceptions.CommandError, match="no addon 'metrics_sync'"):
        watched.call("codemie.metrics.sync")
    syncing = Syncing()
    watched.core.adopt(syncing)
    caplog.set_level(logging.INFO)
    watched.call("codemie.metrics.sync")
    [sending] = [task for task in asyncio.all_tasks() if task.get_name().startswith("sync metrics")]
    await asyncio.wait_for(sending, 60)
    assert "metrics: 3 sent, 0 waiting" in caplog.text
    syncing.status.enabled = False
    with pytest.raises(exceptions.CommandError, match="not at work"):
        watched.call("codemie.metrics.sync")


async def test_where_there_is_no_list_of_flows_it_is_said() -> None:
    async with looking(listed=False) as unwatched:
        assert core_of(unwatched.addon) is unwatched.core
        with pytest.raises(exceptions.CommandError, match="start mitmweb"):
            unwatched.call("codemie.sessions")
        assert unwatched.call("codemie.status")
