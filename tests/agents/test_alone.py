"""Where an agent that is alone gives up, the same run through a pool of two succeeds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from codemie_core.demo.frames import sse
from codemie_core.demo.script import Step
from support.agents_clients import (
    AnthropicSdk,
    Claude,
    ClaudeOAuth,
    Client,
    Codex,
    CodexWebSocket,
    GeminiSdk,
    OpenAIChatSdk,
    OpenAIResponsesSdk,
)
from support.agents_room import Room, installed, room

LIMITED_BRIEFLY = Step(status=429, headers=(("retry-after", "3"),))
LIMITED = Step(status=429)
OVERLOADED = Step(events=[], error_event=True)
# A handshake that is refused is none of these: Codex then asks over HTTP.
_LIMIT = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "resets_in_seconds": 3600}
LIMIT_MESSAGE = Step(events=[sse({"type": "error", "status": 429, "error": _LIMIT})])
CASES: list[tuple[Client, str, Step]] = [
    (ClaudeOAuth(), "a limit, retry-after 3", LIMITED_BRIEFLY),
    (Codex(), "a limit without retry-after", LIMITED),
    (CodexWebSocket(), "a limit in a message", LIMIT_MESSAGE),
    (AnthropicSdk(), "an error that opens the stream", OVERLOADED),
    (OpenAIResponsesSdk(), "an error that opens the stream", OVERLOADED),
    (OpenAIChatSdk(), "an error that opens the stream", OVERLOADED),
    (GeminiSdk(), "an error that opens the stream", OVERLOADED),
    (GeminiSdk(), "a limit without retry-after", LIMITED),
    (Claude(), "a session limit (x-should-retry: false)", Step(status=429, headers=(("x-should-retry", "false"),))),
]


@pytest.mark.parametrize(
    ("client", "scenario", "fault"),
    [pytest.param(*case, marks=pytest.mark.scenario(case[1]), id=f"{case[0].name}-{case[1]}") for case in CASES],
)
def test_alone_it_gives_up_and_with_a_pool_of_two_it_goes_on(
    client: Client, scenario: str, fault: Step, tmp_path: Path
) -> None:
    installed(client)
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
    with room(client, "base-url", alone, pool=False) as place:
        failing_first(place, fault)
        told = place.ask("Does it work?")
        assert "It works." not in told.text, "it did not give up"
        assert told.code != 0, told
    with room(client, "base-url", together) as place:
        failing_first(place, fault)
        told = place.ask("Does it work?")
        assert (told.code, "It works." in told.text) == (0, True), (told, place.accounts)
        assert place.accounts[0] == "main"
        assert place.leaks() == []


@pytest.mark.parametrize("via", ["base-url", "https-proxy"])
@pytest.mark.parametrize("client", [CodexWebSocket()], ids=["codex-ws"])
def test_codex_whose_upgrade_is_refused_goes_on_over_http(
    client: Client, via: Literal["base-url", "https-proxy"], tmp_path: Path
) -> None:
    installed(client)
    place = Room(client, via, tmp_path)
    place.options["codemie_websocket_guard_upgrades"] = "refuse"
    with place:
        place.upstream.script(then=place.words("It works."))
        told = place.ask("Does it work?")
        assert (told.code, "It works." in told.text) == (0, True), told
        asked = [one.method for one in place.upstream.requests if place.client.path in one.path]
        assert asked == ["POST"]
        assert place.leaks() == []


def failing_first(place: Room, fault: Step) -> None:
    """The first turn meets the fault, all others an answer."""
    place.says(fault, place.words("It works."))
