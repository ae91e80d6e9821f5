from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import hooks, http
from mitmproxy.proxy import commands
from mitmproxy.test import taddons, tflow

from codemie_core.addon import Addon, errors_only
from codemie_core.core_addon import CoreAddon
from codemie_core.exchange import Attempt
from codemie_core.seams.attempt_hooks import (
    AttemptHook,
    UpstreamFailedHook,
    UpstreamResponseHook,
    upstream_failed,
    upstream_response,
)
from codemie_core.seams.dispatch import install


class Listener:
    """Hears both, one of them as a coroutine."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, http.HTTPFlow, Attempt]] = []

    def upstream_response(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        self.heard.append(("response", flow, attempt))

    async def upstream_failed(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        self.heard.append(("failed", flow, attempt))


class ErrorReader(Addon, priority=60):
    """Needs errors alone."""

    @errors_only
    def upstream_response(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        """Nothing."""


@pytest.fixture
def context() -> Iterator[Any]:
    with taddons.context() as context:
        yield context


ATTEMPT = Attempt(1, "upstream.test", 443)


def test_the_hooks_are_known_to_mitmproxy_by_their_names() -> None:
    assert hooks.all_hooks["upstream_response"] is UpstreamResponseHook
    assert hooks.all_hooks["upstream_failed"] is UpstreamFailedHook


@pytest.mark.parametrize("ask", [upstream_response, upstream_failed])
def test_when_nobody_listens_nothing_is_started(context: Any, ask: Any) -> None:
    context.master.addons.add(object())
    assert list(ask(tflow.tflow(), ATTEMPT)) == []


@pytest.mark.parametrize("beside, status, asked", [(False, 200, 0), (False, 429, 1), (True, 200, 1), (True, 429, 1)])
def test_a_good_answer_is_not_shown_to_those_who_need_errors_alone(
    context: Any, beside: bool, status: int, asked: int
) -> None:
    addons = context.master.addons
    assert install(addons)
    addons.chain.extend([ErrorReader(), Listener()] if beside else [ErrorReader()])
    assert len(list(upstream_response(tflow.tflow(), Attempt(1, "upstream.test", 443, status=status)))) == asked


@pytest.mark.parametrize(
    "ask, kind, name",
    [(upstream_response, UpstreamResponseHook, "response"), (upstream_failed, UpstreamFailedHook, "failed")],
)
async def test_the_core_addon_hands_both_arguments_on_to_all_addons(
    context: Any, ask: Any, kind: type, name: str
) -> None:
    listener, core, flow = Listener(), CoreAddon(), tflow.tflow()
    context.master.addons.add(listener)
    (command,) = ask(flow, ATTEMPT)
    assert isinstance(command, AttemptHook)
    assert isinstance(command, commands.StartHook)
    assert command.blocking is True
    assert command.name == "codemie_attempt"
    (event,) = command.args()
    assert isinstance(event, (UpstreamResponseHook, UpstreamFailedHook))
    assert type(event) is kind
    assert event.args() == [flow, ATTEMPT]
    await core.codemie_attempt(event)
    assert listener.heard == [(name, flow, ATTEMPT)]
