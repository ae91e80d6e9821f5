"""The working folder's profile file: what it changes, what it must not decide, and how it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.profile import Profile, load_profile

SSO = {
    "provider": "ai-run-sso",
    "codeMieUrl": "https://codemie.example.com",
    "baseUrl": "https://codemie.example.com/code-assistant-api",
    "model": "own-model",
    "timeout": 120,
}
BARE = {key: SSO[key] for key in ("provider", "baseUrl", "model")}
OTHER = {"provider": "litellm", "baseUrl": "http://llm.example.com:4000", "model": "gpt-5"}
CONTEXT = {
    "codeMieUrl": "https://codemie.example.com",
    "codeMieProject": "team-project",
    "codeMieIntegration": {"id": "team-integration"},
}
JWT = {"provider": "bearer-auth", "baseUrl": "https://codemie.example.com"}


@pytest.fixture
def places(codemie_home: Path) -> Places:
    codemie_home.mkdir()
    return Places(codemie_home)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "repository"
    (made / ".codemie").mkdir(parents=True)
    return made


def named(active: str | None, **profiles: Any) -> dict[str, Any]:
    return {"version": 2, "activeProfile": active, "profiles": profiles}


def write(place: Places | Path, content: Any) -> Path:
    path = place.profile if isinstance(place, Places) else place / ".codemie" / "codemie-cli.config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def load(places: Places, folder: Path, own: Any, project: Any, name: str | None = None, **environ: str) -> Profile:
    if own is not None:
        write(places, own)
    if project is not None:
        write(folder, project)
    return load_profile(places, environ, name, folder)


def test_without_a_file_in_the_folder_nothing_changes(places: Places, folder: Path) -> None:
    profile = load(places, folder, named("sso", sso=SSO), None)
    assert profile == load_profile(places, {})
    assert (profile.project_file, profile.url_from_project) == ("", False)


def test_the_folders_file_lies_over_the_global_one_key_by_key(places: Places, folder: Path) -> None:
    project = named("sso", sso={"model": "team-model", "timeout": 0, "provider": None, "codeMieUrl": "", **{}})
    profile = load(places, folder, named("other", sso=SSO, other=OTHER), project)
    assert (profile.name, profile.model, profile.timeout_ms) == ("sso", "team-model", None)
    assert (profile.provider, profile.codemie_url) == ("ai-run-sso", SSO["codeMieUrl"])
    assert profile.project_file == str(folder / ".codemie" / "codemie-cli.config.json")


def test_the_environment_lies_over_the_folders_file(places: Places, folder: Path) -> None:
    project = named("sso", sso={"model": "team-model", "codeMieProject": "team-project"})
    profile = load(places, folder, named("sso", sso=SSO), project, CODEMIE_MODEL="env", CODEMIE_PROJECT="env-p")
    assert (profile.model, profile.project) == ("env", "env-p")


def test_a_flat_object_in_the_folder_lies_over_the_active_profile(places: Places, folder: Path) -> None:
    flat = {"model": "team-model", "codeMieProject": "team-project"}
    for name in (None, "sso"):
        profile = load(places, folder, named("sso", sso=SSO), flat, name)
        expected = ("sso", "team-model") if name is None else ("sso", "own-model")
        assert (profile.name, profile.model) == expected


def test_the_folders_active_profile_chooses_one_of_mine(places: Places, folder: Path) -> None:
    profile = load(places, folder, named("sso", sso=SSO, other=OTHER), named("other", x={}, y={}))
    assert (profile.name, profile.model, profile.url_from_project) == ("other", "gpt-5", False)
    assert profile.base_url == OTHER["baseUrl"]


def test_a_profile_may_be_in_the_folder_alone(places: Places, folder: Path) -> None:
    for own in (None, named("sso", sso=SSO), SSO):
        for name in (None, "team"):
            profile = load(places, folder, own, named("team", team=OTHER), name)
            assert (profile.name, profile.model, profile.url_from_project) == ("team", "gpt-5", True)


@pytest.mark.parametrize(
    "project", [named("team", team={**OTHER, **CONTEXT}), named("gone", team={**OTHER, **CONTEXT})]
)
def test_of_another_profile_only_project_integration_and_url_are_taken(
    places: Places, folder: Path, project: dict[str, Any]
) -> None:
    for own in (SSO, BARE):
        profile = load(places, folder, named("sso", sso=own), project, "sso")
        assert (profile.provider, profile.model, profile.base_url) == ("ai-run-sso", "own-model", SSO["baseUrl"])
        assert (profile.project, profile.integration_id) == ("team-project", "team-integration")
        assert profile.codemie_url == "https://codemie.example.com"
        assert not profile.url_from_project


@pytest.mark.parametrize(
    "own, team",
    [
        (SSO, {**CONTEXT, "codeMieUrl": "https://other.example"}),
        ({**SSO, "codeMieProject": "own-project"}, CONTEXT),
        ({**SSO, "codeMieIntegration": {"id": "own-integration"}}, CONTEXT),
    ],
)
def test_of_another_profile_nothing_is_taken_when_urls_differ_or_mine_says_itself(
    places: Places, folder: Path, own: dict[str, Any], team: dict[str, Any]
) -> None:
    profile = load(places, folder, named("sso", sso=own), named("team", team=team), "sso")
    assert profile == load_profile(places, {}, "sso")
    assert profile.project_file == ""


@pytest.mark.parametrize("url", ["https://codemie.example.com/", "https://CODEMIE.example.com"])
def test_urls_agree_whatever_their_case_and_last_slash(places: Places, folder: Path, url: str) -> None:
    project = named("team", team={**CONTEXT, "codeMieUrl": url})
    assert load(places, folder, named("sso", sso=SSO), project, "sso").project == "team-project"


def test_of_several_other_profiles_none_is_the_teams(places: Places, folder: Path) -> None:
    profile = load(places, folder, named("sso", sso=SSO), named("gone", a=CONTEXT, b=CONTEXT), "sso")
    assert profile.project == ""


def test_what_newer_tools_keep_beside_the_profiles_counts_after_them(places: Places, folder: Path) -> None:
    own = named("sso", sso=BARE) | {"workspace": {**CONTEXT, "codeMieProject": "own", "model": "not here"}}
    assert load(places, folder, own, None).project == "own"
    profile = load(places, folder, own, named("sso", sso={}) | {"workspace": {"codeMieProject": "team"}})
    assert (profile.project, profile.integration_id, profile.model) == ("team", "team-integration", "own-model")
    foreign = {"codeMieProject": "team", "codeMieUrl": "https://other.example"}
    assert load(places, folder, own, named("sso", sso={}) | {"workspace": foreign}).project == "own"


@pytest.mark.parametrize(
    "own, project, moved",
    [
        (SSO, {"baseUrl": "https://evil.example"}, True),
        (SSO, {"baseUrl": SSO["baseUrl"]}, False),
        (SSO, {"baseUrl": "https://codemie.example.com"}, False),
        (SSO, {"baseUrl": "http://codemie.example.com"}, True),
        (SSO, {"model": "x"}, False),
        ({"provider": "ai-run-sso"}, {"codeMieUrl": "https://evil.example"}, True),
        (OTHER, {"baseUrl": "http://evil.example"}, True),
        (OTHER, {"authMethod": "jwt"}, True),
        (OTHER, {"provider": "bearer-auth"}, True),
        ({}, {"provider": "bearer-auth", "baseUrl": "https://evil.example"}, True),
    ],
)
def test_a_gateway_that_the_folder_alone_decides_is_marked(
    places: Places, folder: Path, own: dict[str, Any], project: dict[str, Any], moved: bool
) -> None:
    for layout in (lambda values: named("p", p=values), lambda values: values):
        profile = load(places, folder, layout(own), layout(project))
        assert profile.url_from_project is moved
        assert profile.project_file


def test_a_gateway_that_the_environment_decides_is_mine(places: Places, folder: Path) -> None:
    project = named("sso", sso={"baseUrl": "https://evil.example"})
    profile = load(places, folder, named("sso", sso=SSO), project, CODEMIE_BASE_URL="https://mine.example")
    assert (profile.base_url, profile.url_from_project) == ("https://mine.example/code-assistant-api", False)


@pytest.mark.parametrize(
    "jwt, words",
    [
        ({"tokenEnvVar": "ANTHROPIC_API_KEY"}, "jwtConfig.tokenEnvVar must begin with CODEMIE_"),
        ({"token": "planted-token"}, "jwtConfig.token does not belong into a folder's file"),
    ],
)
def test_the_folder_chooses_neither_any_variable_nor_the_account(
    places: Places, folder: Path, jwt: dict[str, str], words: str
) -> None:
    for project in (named("j", j={"jwtConfig": jwt}), {"jwtConfig": jwt}):
        with pytest.raises(SettingsError, match=words) as caught:
            load(places, folder, named("j", j=JWT), project)
        assert str(folder) in str(caught.value)
        assert "planted" not in str(caught.value)
    mine = load(places, folder, named("j", j={**JWT, "jwtConfig": jwt}), {})
    assert (mine.jwt_variable == "ANTHROPIC_API_KEY") is ("tokenEnvVar" in jwt)


def test_a_variable_of_codemies_may_be_chosen_by_the_folder(places: Places, folder: Path) -> None:
    project = named("j", j={"jwtConfig": {"tokenEnvVar": "CODEMIE_TEAM_TOKEN"}})
    assert load(places, folder, named("j", j=JWT), project).jwt_variable == "CODEMIE_TEAM_TOKEN"


def test_the_env_file_of_the_folder_is_not_loaded(places: Places, folder: Path) -> None:
    (folder / ".env").write_text("CODEMIE_BASE_URL=https://evil.example\n")
    assert load(places, folder, named("sso", sso=SSO), None).base_url == SSO["baseUrl"]
    assert "CODEMIE_BASE_URL" not in os.environ


@pytest.mark.parametrize("linked", [False, True])
def test_in_the_home_folder_the_global_file_is_read_once(places: Places, tmp_path: Path, linked: bool) -> None:
    write(places, named("sso", sso={**SSO, "jwtConfig": {"token": "fine-in-my-own-file"}}))
    folder = places.home.parent
    if linked:
        folder = tmp_path / "link"
        folder.symlink_to(places.home.parent)
    assert load_profile(places, {}, None, folder).project_file == ""


@pytest.mark.parametrize(
    "content, words",
    [
        ('{"version": 2,\n "x" 1}', "line 2, column 6: this is not JSON"),
        ("[]", "must hold one JSON object"),
        ("[" * 100_000, "too deep"),
        ('{"timeout": ' + "9" * 5000 + "}", "too long"),
        ("x" * 2_000_000, "larger than 1024 KiB"),
        (named("gone", a={}, b={}), "activeProfile: there is no profile 'gone'; there are: sso"),
        (named("sso", sso=[]), "'sso' must be a JSON object"),
        (named("sso", sso={"model": 5}), "profile 'sso': model must be text"),
        (named("sso", sso={"timeout": "soon"}), "timeout must be a number of seconds"),
        (named("sso", sso={"baseUrl": "https://u:planted@h"}), "baseUrl must be like https://host/path"),
        (named("sso", sso={"jwtConfig": "planted"}), "jwtConfig must be an object"),
        (named("sso", sso={"jwtConfig": {"tokenEnvVar": 5}}), "jwtConfig.tokenEnvVar must be text"),
        (named("sso", sso={"codeMieIntegration": {"id": 5}}), "codeMieIntegration.id must be text"),
        (named("sso", sso={}) | {"workspace": "planted"}, "workspace must be an object"),
        ({"model": 5}, "model must be text"),
    ],
)
def test_a_bad_file_in_the_folder_is_told_in_one_line(places: Places, folder: Path, content: Any, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(places, folder, named("sso", sso=SSO), content)
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert words in message
    assert "\n" not in message
    assert "planted" not in message


@pytest.mark.parametrize("active", [7, ["sso"], {"a": 1}])
def test_an_active_profile_of_a_wrong_type_is_told(places: Places, folder: Path, active: Any) -> None:
    with pytest.raises(SettingsError, match="activeProfile: there is no profile"):
        load(places, folder, named("sso", sso=SSO), named(active, sso={}))
    assert load(places, folder, named("sso", sso=SSO), named(active, team={}, b={}), "sso").model == "own-model"


def test_a_file_that_cannot_be_read_says_how_to_do_without(places: Places, folder: Path) -> None:
    (folder / ".codemie" / "codemie-cli.config.json").mkdir()
    with pytest.raises(SettingsError, match=r"codemie-cli\.config\.json cannot be read .*; or start in another folder"):
        load_profile(places, {}, None, folder)


def test_a_byte_order_mark_does_not_matter(places: Places, folder: Path) -> None:
    write(folder, "\ufeff" + json.dumps({"model": "team-model"}))
    assert load_profile(places, {}, None, folder).model == "team-model"
