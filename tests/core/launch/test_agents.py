import pytest

from codemie_core.launch.agents import AGENTS, GENERIC, agent_for
from codemie_core.launch.traps import KINDS
from codemie_core.scope import MODEL_API_HOSTS, host_matches, validate_hosts


@pytest.mark.parametrize(
    "command, name",
    [
        ("claude", "claude"),
        ("/usr/local/bin/claude", "claude"),
        ("./codex", "codex"),
        ("gemini", "gemini"),
        ("opencode", "opencode"),
        ("python", "any"),
        ("claude-monitor", "any"),
    ],
)
def test_an_agent_is_known_by_its_program(command: str, name: str) -> None:
    assert agent_for(command).name == name


@pytest.mark.parametrize("agent", [*AGENTS.values(), GENERIC], ids=lambda agent: agent.name)
def test_every_agent_is_told_everything_it_needs(agent: object) -> None:
    from codemie_core.launch.agents import LaunchAgent

    assert isinstance(agent, LaunchAgent)
    assert set(agent.traps) <= set(KINDS)
    validate_hosts(agent.hosts)
    assert all(
        host_matches(host.removeprefix("*."), MODEL_API_HOSTS) or host in MODEL_API_HOSTS for host in agent.hosts
    )
    assert all("{url}" in pointer.value for pointer in agent.pointers)
    assert agent is GENERIC or (agent.install and agent.programs and agent.default_target.startswith("https://"))


def test_base_urls_are_as_the_clients_want_them() -> None:
    assert AGENTS["claude"].base_url == {"ANTHROPIC_BASE_URL": "{url}"}
    assert GENERIC.base_url["OPENAI_BASE_URL"] == "{url}/v1"
    assert AGENTS["opencode"].base_url == {}
