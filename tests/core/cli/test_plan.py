import json
from pathlib import Path

import pytest

from codemie_core.cli import plan
from codemie_core.cli.plan import Plan
from codemie_core.errors import SettingsError
from support.proxy import ADDONS


def write_profile(home: Path, **values: str) -> None:
    home.mkdir()
    (home / "codemie-cli.config.json").write_text(json.dumps(values))


def write_two_profiles(home: Path) -> None:
    """Named one and two, of which one is active."""
    profiles = {name: {"name": name, "baseUrl": f"https://{name}.example"} for name in ("one", "two")}
    home.mkdir()
    (home / "codemie-cli.config.json").write_text(
        json.dumps({"version": 2, "activeProfile": "one", "profiles": profiles})
    )


@pytest.mark.parametrize(
    "target, expected",
    [
        ("https://api.anthropic.com", Plan("reverse:https://api.anthropic.com:443")),
        ("api.openai.com", Plan("reverse:https://api.openai.com:443")),
        ("http://127.0.0.1:9/v1/", Plan("reverse:http://127.0.0.1:9", "/v1")),
        (
            "https://codemie.example.com/code-assistant-api",
            Plan(
                "reverse:https://codemie.example.com:443",
                "/code-assistant-api",
                sign_in_url="https://codemie.example.com:443/code-assistant-api",
            ),
        ),
        (
            "https://codemie.lab.epam.com",
            Plan("reverse:https://codemie.lab.epam.com:443", sign_in_url="https://codemie.lab.epam.com:443"),
        ),
        (
            "http://localhost:9/code-assistant-api",
            Plan(
                "reverse:http://localhost:9",
                "/code-assistant-api",
                sign_in_url="http://localhost:9/code-assistant-api",
            ),
        ),
        (
            "http://codemie.example.com/code-assistant-api",
            Plan("reverse:http://codemie.example.com:80", "/code-assistant-api", plan.UNSIGNED),
        ),
    ],
)
def test_target_becomes_a_reverse_mode_and_a_path(target: str, expected: Plan) -> None:
    assert plan.make(target, False, [], {}) == expected


def test_regular_mode_needs_no_target() -> None:
    assert plan.make(None, True, [], {}) == Plan("regular")


@pytest.mark.parametrize(
    "target, regular, passed_on, words",
    [
        ("https://a.example", True, [], "--regular takes no TARGET"),
        ("https://a.example", False, ["--mode", "socks5"], "give either TARGET or --regular, or a --mode after --"),
        (None, True, ["-m", "socks5"], "give either TARGET or --regular, or a --mode after --"),
        (None, True, ["-mregular"], "give either"),
        (None, True, ["--set", "mode=regular"], "give either"),
        ("ftp://a.example", False, [], "TARGET: the scheme 'ftp' is not http or https"),
        ("https://u:p@a.example", False, [], "TARGET: credentials do not belong in a URL"),
    ],
)
def test_contradictions_and_bad_targets_are_refused(
    target: str | None, regular: bool, passed_on: list[str], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        plan.make(target, regular, passed_on, {})
    assert str(caught.value).startswith(words)


def test_modes_of_the_users_own_are_left_alone() -> None:
    assert plan.make(None, False, ["--mode=socks5"], {}) == Plan(None)


def test_without_a_target_the_profile_says_where_to(codemie_home: Path) -> None:
    write_profile(codemie_home, provider="ai-run-sso", baseUrl="https://codemie.example.com/code-assistant-api")
    found = plan.make(None, False, [], {"CODEMIE_HOME": str(codemie_home)})
    # Its path is applied by the bundle, below its own option and codemie.yaml.
    assert (found.mode, found.target_path) == ("reverse:https://codemie.example.com:443", "")
    assert "CodeMie profile" in found.note
    assert "https://codemie.example.com/code-assistant-api" in found.note


def test_a_profile_named_after_the_dashes_counts(codemie_home: Path) -> None:
    write_two_profiles(codemie_home)
    env = {"CODEMIE_HOME": str(codemie_home)}
    assert plan.make(None, False, [], env).mode == "reverse:https://one.example:443"
    assert plan.make(None, False, ["--set", "codemie_profile=two"], env).mode == "reverse:https://two.example:443"


def test_a_folders_own_file_that_says_where_to_is_named(
    codemie_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(codemie_home, provider="litellm", baseUrl="https://mine.example")
    folder = tmp_path / "cloned"
    (folder / ".codemie").mkdir(parents=True)
    own = folder / ".codemie" / "codemie-cli.config.json"
    own.write_text(json.dumps({"baseUrl": "https://theirs.example"}))
    monkeypatch.chdir(folder)
    found = plan.make(None, False, [], {"CODEMIE_HOME": str(codemie_home)})
    assert found.mode == "reverse:https://theirs.example:443"
    assert f"{own} says so: what your agent sends goes there" in found.note


def test_a_profile_picked_by_name_says_where_to_and_is_passed_on(codemie_home: Path) -> None:
    write_two_profiles(codemie_home)
    env = {"CODEMIE_HOME": str(codemie_home)}
    found = plan.make(None, False, [], env, "two")
    assert found.mode == "reverse:https://two.example:443"
    assert "codemie_profile=two" in plan.arguments(found, None, "127.0.0.1", False, [])
    assert plan.make("https://a.example", False, [], env, "two").profile == "two"
    with pytest.raises(SettingsError, match="--profile"):
        plan.make(None, False, ["--set", "codemie_profile=one"], env, "two")


@pytest.mark.parametrize("provider, vendor", list(plan.VENDORS.items()))
def test_a_profile_without_a_base_url_means_its_provider(codemie_home: Path, provider: str, vendor: str) -> None:
    write_profile(codemie_home, provider=provider)
    found = plan.make(None, False, [], {"CODEMIE_HOME": str(codemie_home)})
    assert found.mode == f"reverse:{vendor}"
    assert vendor in found.note


def test_a_profile_that_names_no_place_is_an_error_that_names_the_key(codemie_home: Path) -> None:
    write_profile(codemie_home, provider="bedrock")
    with pytest.raises(SettingsError, match="baseUrl"):
        plan.make(None, False, [], {"CODEMIE_HOME": str(codemie_home)})


def test_a_gateway_of_the_command_line_is_signed_in_to_unless_the_option_says_otherwise() -> None:
    gateway = plan.make("https://codemie.example.com/code-assistant-api", False, [], {})
    wanted = f"{plan.SIGN_IN_URL}={gateway.sign_in_url}"
    assert wanted in plan.arguments(gateway, None, "127.0.0.1", False, [])
    own = ["--set", f"{plan.SIGN_IN_URL}="]
    assert wanted not in plan.arguments(gateway, None, "127.0.0.1", False, own)


def test_without_target_and_profile_it_is_anthropic_and_says_so(codemie_home: Path) -> None:
    found = plan.make(None, False, [], {"CODEMIE_HOME": str(codemie_home)})
    assert found.mode == "reverse:https://api.anthropic.com"
    assert found.note == "No TARGET given and no CodeMie profile found: https://api.anthropic.com it is."


def test_a_profile_that_cannot_be_used_is_not_said_to_be_missing(codemie_home: Path) -> None:
    codemie_home.mkdir()
    (codemie_home / "codemie-cli.config.json").write_text("{")
    assert plan.make(None, False, [], {"CODEMIE_HOME": str(codemie_home)}).note == ""


def test_what_is_passed_on_comes_last_and_wins() -> None:
    made = plan.arguments(Plan("reverse:https://a.example:443", "/p"), 9000, "127.0.0.1", True, ["--listen-port", "1"])
    assert made == [
        *("-s", str(plan.BUNDLE)),
        *("--listen-host", "127.0.0.1"),
        *("--mode", "reverse:https://a.example:443"),
        *("--listen-port", "9000"),
        *("--set", "codemie_upstream_attempts_target_path=/p"),
        *("--set", "flow_detail=0"),
        *("--listen-port", "1"),
    ]


@pytest.mark.parametrize("passed_on", [["--set", "listen_host=::1"], ["--set=listen_host=::1"]])
def test_a_listen_host_given_with_set_is_not_overruled_by_ours(passed_on: list[str]) -> None:
    assert "--listen-host" not in plan.arguments(Plan("regular"), None, "127.0.0.1", False, passed_on)


def test_the_port_is_mitmproxys_own_when_nobody_names_one() -> None:
    assert "--listen-port" not in plan.arguments(Plan("regular"), None, "127.0.0.1", False, [])


def test_bundle_is_the_script_beside_the_core() -> None:
    assert plan.BUNDLE == ADDONS / "codemie.py"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([], {}),
        (["--set", "a=1", "-w", "b=2", "--set=c=3=4"], {"a": "1", "c": "3=4"}),
        (["--set", "flag"], {"flag": ""}),
    ],
)
def test_set_options_reads_both_spellings(arguments: list[str], expected: dict[str, str]) -> None:
    assert plan.set_options(arguments) == expected
