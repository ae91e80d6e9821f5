"""How an agent is told to come here."""

from __future__ import annotations

import pytest

from codemie_core.admin.ways import told, ways_in
from codemie_core.cli.banner import by_base_url
from codemie_core.errors import Api
from support.planes import plane_of


def test_the_words_of_the_terminal_are_taken_apart_by_agent() -> None:
    ways = told(by_base_url("http://127.0.0.1:1", {Api.CODEMIE}))
    assert [way.agents for way in ways] == ["Claude Code, Anthropic SDK", "OpenAI SDK", "Codex", "Gemini CLI"]
    assert ways[0].lines == ["export ANTHROPIC_BASE_URL=http://127.0.0.1:1"]
    assert len(ways[2].lines) == 2


async def test_a_proxy_that_does_not_listen_tells_no_way() -> None:
    async with plane_of() as planes:
        assert ways_in(planes.plane) == []


@pytest.mark.parametrize(
    "modes, agents",
    [
        (["reverse:https://api.anthropic.com"], ["Claude Code, Anthropic SDK"]),
        (["reverse:https://api.openai.com", "reverse:https://api.anthropic.com@8081"], None),
        (["regular"], ["Any agent or SDK"]),
    ],
)
async def test_only_agents_that_can_be_answered_are_told(
    modes: list[str], agents: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"mode": modes, "confdir": "~/.mitmproxy"}
    monkeypatch.setattr("codemie_core.live_settings.value_of", values.get)
    async with plane_of() as planes:
        monkeypatch.setattr(planes.plane.core, "listening", lambda: [("0.0.0.0", 8080)])
        ways = ways_in(planes.plane)
    names = [way.agents for way in ways]
    assert names == agents if agents else {"Claude Code, Anthropic SDK", "Codex"} <= set(names)
    assert "http://127.0.0.1:8080" in " ".join(ways[0].lines)
