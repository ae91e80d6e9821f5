import json
from pathlib import Path

import pytest

from codemie_core.errors import SettingsError
from codemie_core.interception.trust import TRUST_VARIABLES, Trust
from codemie_core.launch.agents import AGENTS, ANTHROPIC, GENERIC, GOOGLE, OPENAI, PROXY_HANDLED
from codemie_core.launch.environment import Circumstances, Prepared, prepare

URL = "http://127.0.0.1:4000"
TRUST = Trust(Path("/ca/ours.pem"), Path("/ca/bundle.pem"))


UNKNOWN = Circumstances()
VENDORS = (ANTHROPIC, OPENAI, GOOGLE)


def led(name: str, via: str = "base-url", known: Circumstances = UNKNOWN, /, **environ: str) -> Prepared:
    agent = AGENTS.get(name, GENERIC)
    return prepare(agent, "https-proxy" if via == "https-proxy" else "base-url", URL, TRUST, environ, known)


def test_claude_gets_a_base_url_and_nothing_else() -> None:
    found = led("claude", ANTHROPIC_API_KEY="sk-mine", HOME="/h")
    assert (found.set, found.removed, found.arguments) == ({"ANTHROPIC_BASE_URL": URL}, (), ())
    assert found.applied({"HOME": "/h"}) == {"HOME": "/h", "ANTHROPIC_BASE_URL": URL}


def test_codex_gets_a_provider_of_its_own_that_counts_more_than_its_login() -> None:
    arguments = led("codex", OPENAI_API_KEY="sk-mine").arguments
    assert arguments[::2] == ("-c",) * (len(arguments) // 2)
    assert {
        "model_provider=codemie-proxy",
        f'model_providers.codemie-proxy.base_url="{URL}/v1"',
        'model_providers.codemie-proxy.env_key="OPENAI_API_KEY"',
    } <= set(arguments)


def test_codex_without_a_key_uses_its_own_login() -> None:
    arguments = led("codex").arguments
    assert "model_providers.codemie-proxy.requires_openai_auth=true" in arguments
    assert not any("env_key" in argument for argument in arguments)


def test_opencode_keeps_what_its_configuration_says_already() -> None:
    mine = {"model": "anthropic/x", "provider": {"anthropic": {"options": {"timeout": 5}}, "own": {"name": "o"}}}
    found = led("opencode", OPENCODE_CONFIG_CONTENT=json.dumps(mine))
    document = json.loads(found.set["OPENCODE_CONFIG_CONTENT"])
    assert document["model"] == "anthropic/x"
    assert document["provider"]["own"] == {"name": "o"}
    assert document["provider"]["anthropic"]["options"] == {"timeout": 5, "baseURL": f"{URL}/v1"}
    assert document["provider"]["google"]["options"] == {"baseURL": f"{URL}/v1beta"}


def test_a_configuration_that_is_none_is_not_thrown_away() -> None:
    with pytest.raises(SettingsError, match="OPENCODE_CONFIG_CONTENT"):
        led("opencode", OPENCODE_CONFIG_CONTENT="[1]")


@pytest.mark.parametrize(
    "host, variables",
    [
        ("api.anthropic.com", {"ANTHROPIC_BASE_URL"}),
        ("api.openai.com", {"OPENAI_BASE_URL"}),
        ("gateway.example", {"ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"}),
    ],
)
def test_a_key_for_one_vendor_is_not_led_to_another(host: str, variables: set[str]) -> None:
    assert led("any", "base-url", Circumstances(target_host=host)).set.keys() == variables


def test_a_key_that_the_proxy_replaces_is_made_up_only_where_there_is_none() -> None:
    signs = Circumstances(signed_in=VENDORS)
    assert led("claude", "base-url", signs).set["ANTHROPIC_AUTH_TOKEN"] == PROXY_HANDLED
    assert "ANTHROPIC_AUTH_TOKEN" not in led("claude", "base-url", signs, ANTHROPIC_API_KEY="sk-mine").set
    assert "ANTHROPIC_AUTH_TOKEN" not in led("claude").set
    codex = led("codex", "base-url", signs)
    assert codex.set["CODEX_API_KEY"] == PROXY_HANDLED
    assert 'model_providers.codemie-proxy.env_key="CODEX_API_KEY"' in codex.arguments


@pytest.mark.parametrize("name, via", [("opencode", "base-url"), ("any", "base-url"), ("opencode", "https-proxy")])
def test_a_key_is_made_up_for_no_vendor_that_would_get_it_as_it_is(name: str, via: str) -> None:
    found = led(name, via, Circumstances(target_host=ANTHROPIC, signed_in=(ANTHROPIC,))).set
    assert [key for key, value in found.items() if value == PROXY_HANDLED] == ["ANTHROPIC_API_KEY"]


def test_in_https_proxy_mode_an_agents_own_login_is_left_alone() -> None:
    known = Circumstances(signed_in=VENDORS, logged_in=True)
    assert "ANTHROPIC_AUTH_TOKEN" not in led("claude", "https-proxy", known).set
    assert led("claude", "https-proxy", Circumstances(signed_in=VENDORS)).set["ANTHROPIC_AUTH_TOKEN"] == PROXY_HANDLED


def test_https_proxy_mode_names_us_and_whom_to_trust() -> None:
    found = led("codex", "https-proxy", HTTPS_PROXY="http://corporate.example:3128")
    assert found.set["HTTPS_PROXY"] == found.set["https_proxy"] == URL
    assert {found.set[name] for name in TRUST_VARIABLES} == {"/ca/bundle.pem"}
    assert found.arguments == ()


def test_what_would_lead_past_the_proxy_is_taken_out_and_named() -> None:
    environ = {"ANTHROPIC_BASE_URL": "https://elsewhere.example", "CLAUDE_CODE_USE_BEDROCK": "1"}
    found = led("claude", "https-proxy", UNKNOWN, **environ)
    assert set(found.removed) == set(environ)
    assert [note.split()[0] for note in found.notes] == list(environ)
    assert found.applied({**environ, "A": "b"}).keys() - found.set.keys() == {"A"}
    assert led("claude", "base-url", UNKNOWN, **environ).removed == ("CLAUDE_CODE_USE_BEDROCK",)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_base_url_on_this_machine_does_not_go_to_the_corporate_proxy(variable: str) -> None:
    found = led(
        "claude", "base-url", UNKNOWN, **{variable: "http://corporate.example:3128", "NO_PROXY": "intern.example"}
    ).set
    assert found["NO_PROXY"] == found["no_proxy"] == "intern.example,127.0.0.1,localhost,::1"
    assert variable not in found


def test_each_case_of_no_proxy_keeps_its_own_rules() -> None:
    found = led("claude", HTTP_PROXY="http://c:1", NO_PROXY="a.example", no_proxy="b.example, 127.0.0.1").set
    assert found["NO_PROXY"] == "a.example,127.0.0.1,localhost,::1"
    assert found["no_proxy"] == "b.example,127.0.0.1,localhost,::1"


@pytest.mark.parametrize("rule", ["*", "api.anthropic.com", ".anthropic.com", "api.anthropic.com:443"])
def test_a_no_proxy_rule_does_not_keep_the_vendor_from_us(rule: str) -> None:
    found = led("claude", "https-proxy", no_proxy=f"{rule},intern.example").set
    assert found["no_proxy"] == "intern.example,127.0.0.1,localhost,::1"


@pytest.mark.parametrize("via", ["base-url", "https-proxy"])
def test_the_agent_sees_none_of_our_secrets(via: str) -> None:
    secrets = {
        name: "planted"
        for name in (
            *("CODEMIE_JWT_TOKEN", "CODEMIE_DATABASE_URL", "CODEMIE_ADMIN_TOKEN", "CODEMIE_VAULT_KEY"),
            *("CODEMIE_VAULT_PASSPHRASE", "CODEMIE_API_KEY", "CODEMIE_TEAM_TOKEN", "WORK_KEY"),
        )
    }
    secrets["CODEMIE_TELEMETRY_ENDPOINT"] = "https://me:planted@collector.example"
    secrets["CODEMIE_OTHER_ENDPOINT"] = "https://planted@collector.example"
    environ = {**secrets, "CODEMIE_KEYRING": "0", "CODEMIE_HOME": "/h", "PATH": "/bin"}
    found = led("claude", via, Circumstances(secrets={"WORK_KEY"}), **environ)
    assert "planted" not in str(found.applied(environ))
    assert {"CODEMIE_KEYRING", "CODEMIE_HOME", "PATH"} <= found.applied(environ).keys()


def test_a_key_that_belongs_to_an_account_is_replaced_in_the_agent() -> None:
    known = Circumstances(signed_in=VENDORS, secrets={"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"})
    found = led("claude", "base-url", known, ANTHROPIC_API_KEY="planted", ANTHROPIC_AUTH_TOKEN="planted")
    applied = found.applied({"ANTHROPIC_API_KEY": "planted", "ANTHROPIC_AUTH_TOKEN": "planted"})
    assert applied == {"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_AUTH_TOKEN": PROXY_HANDLED}


def test_a_client_key_takes_the_place_of_the_agents_own_key_or_stands_in_the_proxys_url() -> None:
    known = Circumstances(target_host=ANTHROPIC, client_key="cmk_x/y")
    assert led("codex", "base-url", Circumstances(client_key="cmk_x"), CODEX_API_KEY="mine").set == {
        "OPENAI_BASE_URL": f"{URL}/v1",
        "CODEX_API_KEY": "cmk_x",
    }
    assert led("any", "base-url", known).set == {"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_API_KEY": "cmk_x/y"}
    assert "ANTHROPIC_AUTH_TOKEN" not in led("claude", "base-url", known, ANTHROPIC_API_KEY="cmk_x/y").set
    found = led("claude", "https-proxy", known, ANTHROPIC_API_KEY="mine").set
    assert found["HTTPS_PROXY"] == "http://codemie-proxy:cmk_x%2Fy@127.0.0.1:4000"
    assert "ANTHROPIC_AUTH_TOKEN" not in found


def test_geminis_login_with_google_is_left_out_only_where_it_has_no_base_url() -> None:
    environ = {"GOOGLE_GENAI_USE_GCA": "true", "GOOGLE_GENAI_USE_VERTEXAI": "true"}
    assert set(led("gemini", "base-url", UNKNOWN, **environ).removed) == set(environ)
    assert led("gemini", "https-proxy", UNKNOWN, **environ).removed == ("GOOGLE_GENAI_USE_VERTEXAI",)


def test_gemini_is_given_a_key_beside_one_that_it_does_not_read() -> None:
    found = led("gemini", "base-url", Circumstances(signed_in=VENDORS), GOOGLE_API_KEY="mine")
    assert found.set["GEMINI_API_KEY"] == PROXY_HANDLED


def test_an_agent_without_a_base_url_setting_says_so() -> None:
    with pytest.raises(SettingsError, match=r"pi has no setting for a base URL.*--via https-proxy"):
        led("pi")
    assert led("pi", "https-proxy").set["HTTPS_PROXY"] == URL
