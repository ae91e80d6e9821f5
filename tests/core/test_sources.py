"""Where settings come from, and which of their keys nobody knows."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from codemie_core.options import Layers
from codemie_core.places import Places
from codemie_core.sources import did_you_mean, from_mitmproxy_file, is_addon_name, read_layers, unknown_keys


class Bundle(BaseModel):
    hosts: tuple[str, ...] = ()


class Attempts(BaseModel):
    max_attempts: int = 3


LOADED = [SimpleNamespace(name="upstream_attempts", Settings=Attempts)]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "home")
    found.config.parent.mkdir(parents=True)
    return found


def written(values: list[str]) -> SimpleNamespace:
    """What mitmproxy keeps of a `--set` for an option it does not know yet."""
    return SimpleNamespace(val=values)


def test_the_file_under_the_home_is_read_when_it_is_there(places: Places) -> None:
    assert read_layers(places, {}, {}).file == {}
    places.config.write_text("hosts: [a.example.com]\n")
    found = read_layers(places, {}, {})
    assert (found.file, found.file_name) == ({"hosts": ["a.example.com"]}, str(places.config))
    assert found.problems == []


def test_another_file_is_named_by_set_or_by_the_environment(places: Places, tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("hosts: [one.example.com]\n")
    two.write_text("hosts: [two.example.com]\n")
    environ = {"CODEMIE_CONFIG": str(one)}
    assert read_layers(places, environ, {}).file["hosts"] == ["one.example.com"]
    for deferred in (written([str(one), str(two)]), str(two)):
        assert read_layers(places, environ, {"codemie_config": deferred}).file["hosts"] == ["two.example.com"]
    assert read_layers(places, environ, {"codemie_config": written([])}).file["hosts"] == ["one.example.com"]


@pytest.mark.parametrize(
    "deferred, environ, named",
    [
        ({"codemie_config": written(["/nowhere.yaml"])}, {}, "codemie_config: "),
        ({}, {"CODEMIE_CONFIG": "/nowhere.yaml"}, "CODEMIE_CONFIG: "),
    ],
)
def test_a_file_that_was_named_must_be_there(
    deferred: dict[str, Any], environ: dict[str, str], named: str, places: Places
) -> None:
    [problem] = read_layers(places, environ, deferred).problems
    assert problem.startswith(f"{named}/nowhere.yaml: there is no such file")


PROFILES = {
    "version": 2,
    "activeProfile": "one",
    "profiles": {name: {"model": f"model of {name}"} for name in ("one", "two", "three", "four")},
}


def test_the_profile_is_picked_by_set_then_environment_then_file(places: Places) -> None:
    places.profile.write_text(json.dumps(PROFILES))
    assert read_layers(places, {}, {}).profile.model == "model of one"
    places.config.write_text("profile: two\n")
    assert read_layers(places, {}, {}).profile.model == "model of two"
    environ = {"CODEMIE_PROFILE": "three"}
    assert read_layers(places, environ, {}).profile.model == "model of three"
    assert read_layers(places, environ, {"codemie_profile": written(["four"])}).profile.model == "model of four"


def test_the_profile_file_of_the_working_folder_counts(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "repository" / ".codemie" / "codemie-cli.config.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"model": "model of the team"}))
    monkeypatch.chdir(file.parent.parent)
    assert read_layers(places, {}, {}).profile.model == "model of the team"


def test_a_working_folder_that_was_removed_holds_no_profile(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert read_layers(places, {}, {}).problems == []


def test_a_profile_that_is_not_there_is_a_problem_that_names_who_wanted_it(places: Places) -> None:
    places.profile.write_text(json.dumps(PROFILES))
    places.config.write_text("profile: fuor\n")
    found = read_layers(places, {}, {})
    [problem] = found.problems
    assert problem.startswith(f"{places.config}: profile: ")
    assert "'fuor'" in problem
    assert found.profile.model == ""


def test_a_file_and_a_profile_that_cannot_be_read_are_two_problems(places: Places) -> None:
    places.config.write_text("hosts: [")
    places.profile.write_text("{")
    assert len(read_layers(places, {}, {}).problems) == 2


def problems(file: dict[str, Any] | None = None, *deferred: str) -> list[str]:
    layers = Layers({}, file or {})
    return unknown_keys(layers, dict.fromkeys(deferred, written(["x"])), LOADED, Bundle)


@pytest.mark.parametrize(
    "file",
    [
        {},
        {"hosts": []},
        {"upstream_attempts": {"max_attempts": 2}},
        {"upstream_attempts": {}},
        {"header_injection": {"anything": "of an addon that is not loaded"}},
    ],
)
def test_known_keys_are_right(file: dict[str, Any]) -> None:
    assert problems(file) == []


@pytest.mark.parametrize(
    "file, says",
    [
        ({"hots": []}, "codemie.yaml: there is no key 'hots'; did you mean 'hosts'?"),
        ({"weather": {}}, "codemie.yaml: there is no key 'weather'; there are: hosts, upstream_attempts"),
        ({"config": "x"}, "codemie.yaml: a file cannot name another one; use CODEMIE_CONFIG or codemie_config"),
        ({"../evil": {}}, "codemie.yaml: there is no key '../evil'; there are: hosts, upstream_attempts"),
        (
            {"upstream_atempts": {}},
            "codemie.yaml: there is no key 'upstream_atempts'; did you mean 'upstream_attempts'?",
        ),
        (
            {"upstream_attempts": {"max_atempts": 1}},
            "codemie.yaml: upstream_attempts has no key 'max_atempts'; did you mean 'max_attempts'?",
        ),
        ({"upstream_attempts": {7: 1}}, "codemie.yaml: upstream_attempts has no key 7; there are: max_attempts"),
        (
            {"upstream_attempts": None},
            "codemie.yaml: upstream_attempts must hold keys and values, like upstream_attempts: {key: value}",
        ),
    ],
)
def test_an_unknown_key_is_one_line_with_the_nearest_one(file: dict[str, Any], says: str) -> None:
    assert problems(file) == [says]


def test_an_unknown_option_is_one_line_with_the_nearest_one() -> None:
    assert problems(None, "codemie_hots", "codemie_upstream_attempts_max_atempts", "someone_elses") == [
        "codemie_hots: there is no such option; did you mean 'codemie_hosts'?",
        "codemie_upstream_attempts_max_atempts: there is no such option; did you mean "
        "'codemie_upstream_attempts_max_attempts'?",
    ]


def test_options_of_an_addon_that_is_not_loaded_are_right() -> None:
    assert problems(None, "codemie_header_injection_cli", "codemie_local_endpoints_block_telemetry") == []


def test_options_that_mitmproxy_s_own_file_sets_are_told_from_those_of_set() -> None:
    deferred = {"codemie_b": 1, "codemie_a": ["x"], "codemie_c": written(["1"]), "console_palette": "dark"}
    assert from_mitmproxy_file(deferred) == ["codemie_a", "codemie_b"]


def test_an_addon_is_known_by_its_file() -> None:
    assert is_addon_name("header_injection")
    assert not is_addon_name("header_injecton")
    assert not is_addon_name("../addons/header_injection")


def test_where_nothing_is_near_a_few_names_are_listed_and_of_many_it_is_said_who_lists_them() -> None:
    assert did_you_mean("weather", ["hosts", "profile"]) == "; there are: hosts, profile"
    many = (f"hosts_{number}" for number in range(50))
    assert did_you_mean("weather", many) == "; `codemie-proxy config show` names them all"
