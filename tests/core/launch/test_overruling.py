import json
from pathlib import Path

from codemie_core.launch.agents import AGENTS
from codemie_core.launch.environment import Prepared
from codemie_core.launch.overruling import overrule
from codemie_core.launch.traps import Trap

URL = "http://127.0.0.1:4000"
FILE = Path("/h/.claude/settings.json")
PREPARED = Prepared({"ANTHROPIC_BASE_URL": URL}, notes=("first",))


def trap(variable: str, managed: bool = False) -> Trap:
    return Trap(FILE, f"env.{variable}", "counts more", variable, managed)


def test_claude_is_told_again_by_an_argument() -> None:
    traps = [trap("ANTHROPIC_BASE_URL"), trap("CLAUDE_CODE_USE_BEDROCK"), trap("HTTPS_PROXY")]
    found = overrule(AGENTS["claude"], PREPARED, traps, ("-p", "x"), {"NO_PROXY": "a.example"})
    argument, text = found.arguments
    no_proxy = "a.example,127.0.0.1,localhost,::1"
    assert argument == "--settings"
    assert json.loads(text)["env"] == {
        "ANTHROPIC_BASE_URL": URL,
        "CLAUDE_CODE_USE_BEDROCK": "0",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }
    assert found.notes[:2] == ("first", f"{FILE}: env.ANTHROPIC_BASE_URL is overruled for this run, by --settings")


def test_a_base_url_in_a_file_is_emptied_where_none_is_wanted() -> None:
    found = overrule(AGENTS["claude"], Prepared({"HTTPS_PROXY": URL}), [trap("ANTHROPIC_BASE_URL")], (), {})
    assert json.loads(found.arguments[1])["env"] == {"ANTHROPIC_BASE_URL": ""}


def test_what_cannot_be_overruled_is_only_named() -> None:
    base_url = trap("ANTHROPIC_BASE_URL")
    for arguments, one in (
        (("--settings", "mine.json"), base_url),
        (("--settings=mine.json",), base_url),
        ((), trap("ANTHROPIC_BASE_URL", managed=True)),
    ):
        found = overrule(AGENTS["claude"], PREPARED, [one], arguments, {})
        assert (found.arguments, found.notes) == ((), ("first", str(one)))
    other = Trap(Path("/c/auth.json"), "tokens", "is a login")
    assert overrule(AGENTS["codex"], PREPARED, [other], (), {}).notes == ("first", str(other))


def test_without_a_trap_nothing_is_added() -> None:
    assert overrule(AGENTS["claude"], PREPARED, [], (), {}) == PREPARED
