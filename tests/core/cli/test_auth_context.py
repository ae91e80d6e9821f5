"""Which CodeMie a command means."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from codemie_core.cli.auth_context import AuthContext, run
from codemie_core.errors import SettingsError
from codemie_core.places import Places

FLAG, SETTING, PROFILE, GATEWAY = (f"https://{name}.test" for name in ("flag", "setting", "profile", "gateway"))


@pytest.fixture
def places(codemie_home: Path) -> Places:
    found = Places(codemie_home)
    found.ensure_private(found.proxy)
    return found


def write_profiles(places: Places, **profiles: dict[str, str]) -> None:
    content = {"version": 2, "activeProfile": next(iter(profiles)), "profiles": profiles}
    places.profile.write_text(json.dumps(content))


def of(places: Places, url: str = "", picked: str = "", **environ: str) -> AuthContext:
    return AuthContext.of("codemie", picked, url, {"CODEMIE_HOME": str(places.home), **environ})


def test_the_nearest_word_about_the_url_counts(places: Places) -> None:
    write_profiles(places, work={"provider": "ai-run-sso", "codeMieUrl": PROFILE, "baseUrl": GATEWAY})
    assert of(places).url == PROFILE
    places.config.write_text(f"sso_auth:\n  url: {SETTING}\n")
    assert of(places).url == SETTING
    assert of(places, CODEMIE_SSO_AUTH_URL=f"{SETTING}/env").url == f"{SETTING}/env"
    assert of(places, FLAG, CODEMIE_SSO_AUTH_URL=SETTING).url == FLAG


def test_a_profile_without_codemie_s_own_url_has_its_gateway(places: Places) -> None:
    write_profiles(places, work={"provider": "ai-run-sso", "baseUrl": GATEWAY})
    assert of(places).host == "gateway.test"


@pytest.mark.parametrize("profile", [{"provider": "openai", "baseUrl": "https://api.openai.com"}, {}])
def test_another_provider_s_url_is_no_codemie(profile: dict[str, str], places: Places) -> None:
    write_profiles(places, work=profile)
    with pytest.raises(SettingsError, match="name it with --url"):
        of(places)


def test_a_profile_is_picked_by_name(places: Places) -> None:
    write_profiles(places, work={"codeMieUrl": PROFILE}, home={"codeMieUrl": GATEWAY})
    assert of(places, picked="home").url == GATEWAY
    with pytest.raises(SettingsError, match="there is no profile 'hone'; did you mean 'home'"):
        of(places, picked="hone")


def test_the_command_to_run_means_the_same_codemie(places: Places) -> None:
    write_profiles(places, **{"my work": {"codeMieUrl": PROFILE}})
    assert of(places).command("login") == "codemie-proxy auth login"
    named = of(places, FLAG, "my work").command("login")
    assert named == f"codemie-proxy auth login --url {FLAG} --profile 'my work'"


@pytest.mark.parametrize(
    "text, environ, expected",
    [
        ("", {}, ""),
        ("upstream_attempts: {ca_file: of-file.pem}", {}, "of-file.pem"),
        (
            "upstream_attempts: {ca_file: of-file.pem}",
            {"CODEMIE_UPSTREAM_ATTEMPTS_CA_FILE": "of-env.pem"},
            "of-env.pem",
        ),
    ],
)
def test_who_is_trusted_upstream_is_trusted_here(
    text: str, environ: dict[str, str], expected: str, places: Places
) -> None:
    places.config.write_text(text)
    assert of(places, FLAG, **environ).ca_file == expected


def test_a_broken_file_is_named(places: Places) -> None:
    places.profile.write_text("{")
    with pytest.raises(SettingsError, match=r"codemie-cli.config.json, line 1"):
        of(places, FLAG)


def test_sigterm_unwinds() -> None:
    unwound = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)
        finally:
            unwound.append(True)

    with pytest.raises(SystemExit) as end:
        run(work())
    assert (end.value.code, unwound) == (143, [True])
