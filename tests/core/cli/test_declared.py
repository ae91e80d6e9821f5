import json
from pathlib import Path
from typing import Any

import pytest

import codemie
from codemie_core.cli.declared import Declarations
from codemie_core.options import Layers, Resolved
from codemie_core.places import Places
from codemie_core.profile import Profile
from codemie_core.sources import read_layers

ATTEMPTS = "upstream_attempts.max_attempts"


@pytest.fixture
def declarations() -> Declarations:
    return Declarations.of_bundle()


def resolved(declarations: Declarations, key: str, layers: Layers) -> Resolved:
    (found,) = [found for found in declarations.resolve(layers) if found.setting.key == key]
    return found


def test_every_addon_of_the_bundle_has_its_section(declarations: Declarations) -> None:
    assert list(declarations.sections) == ["", *(addon.name for addon in codemie.addons)]  # type: ignore[attr-defined]  # the list holds Any


@pytest.mark.parametrize(
    "environ, file, value, source",
    [
        ({}, {}, 3, "default"),
        ({}, {"upstream_attempts": {"max_attempts": 4}}, 4, "codemie.yaml"),
        (
            {"CODEMIE_UPSTREAM_ATTEMPTS_MAX_ATTEMPTS": "5"},
            {"upstream_attempts": {"max_attempts": 4}},
            5,
            "environment: CODEMIE_UPSTREAM_ATTEMPTS_MAX_ATTEMPTS",
        ),
        # Set to what is the default anyway: still set.
        ({}, {"upstream_attempts": {"max_attempts": 3}}, 3, "codemie.yaml"),
        # What cannot be used does not count.
        (
            {"CODEMIE_UPSTREAM_ATTEMPTS_MAX_ATTEMPTS": "many"},
            {"upstream_attempts": {"max_attempts": 4}},
            4,
            "codemie.yaml",
        ),
    ],
)
def test_the_strongest_usable_source_decides(
    declarations: Declarations, environ: dict[str, str], file: dict[str, Any], value: int, source: str
) -> None:
    found = resolved(declarations, ATTEMPTS, Layers(environ, file))
    assert (found.value, found.source) == (value, source)


def test_the_profile_stands_below_file_and_environment(declarations: Declarations) -> None:
    profile = Profile(name="work", project="from profile")
    found = resolved(declarations, "header_injection.project", Layers({}, profile=profile))
    assert (found.value, found.source) == ("from profile", "CodeMie profile work")
    file = {"header_injection": {"project": "from file"}}
    assert resolved(declarations, "header_injection.project", Layers({}, file, profile=profile)).value == "from file"


def test_names_that_codemies_own_tools_use_are_named_as_source(declarations: Declarations) -> None:
    found = resolved(declarations, "header_injection.repository", Layers({"CODEMIE_REPOSITORY": "acme/site"}))
    assert (found.value, found.source) == ("acme/site", "environment: CODEMIE_REPOSITORY")


def test_resolved_values_are_what_a_start_would_use(declarations: Declarations) -> None:
    layers = Layers(
        {"CODEMIE_UPSTREAM_ATTEMPTS_BACKOFF": "1s"},
        {"hosts": ["a.example"], "upstream_attempts": {"backoff": "2s", "idle_timeout": 90}},
        profile=Profile(project="p"),
    )
    for found in declarations.resolve(layers):
        assert found.value == found.setting.resolve(layers).value
    assert layers.problems == []


@pytest.mark.parametrize(
    "environ, file, problem",
    [
        ({}, {"upstream_attempts": {"max_attempts": 0}}, "upstream_attempts.max_attempts"),
        ({}, {"upstream_attempts": {"max_atempts": 1}}, "did you mean 'max_attempts'?"),
        ({}, {"upstream_atempts": {}}, "did you mean 'upstream_attempts'?"),
        ({}, {"upstream_attempts": 3}, "upstream_attempts must hold keys and values"),
        ({}, {"hosts": ["https://a.example"]}, "hosts"),
        ({}, {"disabled": ["header_injecton"]}, "codemie_disabled: there is no addon 'header_injecton'"),
        ({"CODEMIE_ENABLED": "nobody_at_all"}, {}, "codemie_enabled: there is no addon 'nobody_at_all'"),
        ({"CODEMIE_UPSTREAM_ATTEMPTS_BACKOFF": "soon"}, {}, "CODEMIE_UPSTREAM_ATTEMPTS_BACKOFF"),
        # The environment hides it today; it is wrong all the same.
        ({"CODEMIE_KEPT_FLOWS": "5"}, {"kept_flows": "many"}, "codemie.yaml: kept_flows"),
    ],
)
def test_each_thing_wrong_is_one_line(
    declarations: Declarations, environ: dict[str, str], file: dict[str, Any], problem: str
) -> None:
    (found,) = declarations.problems(Layers(environ, file))
    assert problem in found
    assert "\n" not in found


def test_all_things_wrong_are_told_at_once(declarations: Declarations) -> None:
    file = {"kept_flows": -1, "nonsense": 1, "upstream_attempts": {"backoff": "soon", "target_path": "no-slash"}}
    assert len(declarations.problems(Layers({}, file))) == 4


def test_files_that_cannot_be_read_are_problems(declarations: Declarations, codemie_home: Path) -> None:
    codemie_home.mkdir()
    (codemie_home / "codemie-cli.config.json").write_text("{")
    (problem,) = declarations.problems(read_layers(Places(codemie_home), {}, {}))
    assert "codemie-cli.config.json" in problem


def test_sections_of_addons_that_are_not_loaded_are_right() -> None:
    only_one = Declarations(Declarations.of_bundle().addons[:1])
    assert only_one.problems(Layers({}, json.loads('{"header_injection": {"project": "p"}}'))) == []
