"""One declaration, five ways to set it: `--set`, environment, codemie.yaml, CodeMie profile, built-in default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Annotated, Any, Literal, Optional

import pytest
from mitmproxy.addonmanager import Loader
from mitmproxy.options import Options
from pydantic import Field, field_validator

from codemie_core.addon import AddonSettings
from codemie_core.durations import Duration, Size
from codemie_core.errors import SettingsError
from codemie_core.options import FromEnv, FromProfile, Layers, Setting, apply_deferred, declare, read, settings_of
from codemie_core.profile import Profile

SECTION = "sample_addon"


class Sample(AddonSettings):
    """One field of each kind."""

    text: str = Field("plain", description="A text.")
    number: int = Field(3, ge=1)
    switch: bool = False
    words: tuple[str, ...] = ("a", "b")
    choice: Literal["fast", "slow"] = "fast"
    wait: Duration = 0.25
    size: Size = 1024
    maybe_text: str | None = None
    maybe_number: Optional[int] = None  # noqa: UP045 - both spellings are used
    maybe_wait: Duration | None = None
    model: Annotated[str, FromProfile("model")] = ""
    timeout_ms: Annotated[int, FromProfile("timeout_ms"), FromEnv("SAMPLE_TIMEOUT")] = 0

    @field_validator("words")
    @classmethod
    def _lower(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any(word != word.lower() for word in words):
            raise ValueError("write words in lower case")
        return words


def layers(environ: Mapping[str, str] | None = None, file: Mapping[str, Any] | None = None, **profile: Any) -> Layers:
    return Layers(environ or {}, {SECTION: file} if file is not None else {}, profile=Profile(**profile))


def loader(options: Options) -> Loader:
    """mitmproxy's own, with nothing behind it but options."""
    return Loader(SimpleNamespace(options=options))


def started(source: Layers, *settings: str) -> tuple[Sample, Options]:
    """What an addon would see after a start with these `--set`."""
    options = Options()
    options.set(*settings, defer=True)
    declare(loader(options), SECTION, Sample, source)
    source.problems.extend(apply_deferred(options, SECTION, Sample))
    return read(options, SECTION, Sample), options


KINDS: list[tuple[str, str, Any, Any]] = [
    # field, as text, in YAML, the value of all three
    ("text", "other", "other", "other"),
    ("text", "", "", ""),
    ("number", "7", 7, 7),
    ("switch", "true", True, True),
    ("choice", "slow", "slow", "slow"),
    ("wait", "5m", "5m", 300.0),
    ("wait", "2", 2, 2.0),
    ("size", "64m", "64m", 64 * 2**20),
    ("size", "99", 99, 99),
    ("maybe_text", "other", "other", "other"),
    ("maybe_number", "7", 7, 7),
    ("maybe_wait", "250ms", "250ms", 0.25),
    ("words", "x", ["x"], ("x",)),
]


@pytest.mark.parametrize("field, text, yaml, value", KINDS)
def test_every_kind_is_read_from_each_source(field: str, text: str, yaml: Any, value: Any) -> None:
    option = f"codemie_{SECTION}_{field}"
    for source, sets in (
        (layers(environ={option.upper(): text}), ()),
        (layers(file={field: yaml}), ()),
        (layers(), (f"{option}={text}",)),
    ):
        found, _ = started(source, *sets)
        assert getattr(found, field) == value
        assert source.problems == []
        assert found.model_dump(exclude={field}) == Sample().model_dump(exclude={field})


def test_lists_take_several_values_from_each_source() -> None:
    option = f"codemie_{SECTION}_words"
    assert started(layers(), f"{option}=x", f"{option}=y")[0].words == ("x", "y")
    assert started(layers(), option)[0].words == ()
    assert started(layers(environ={option.upper(): "x, y"}))[0].words == ("x", "y")
    assert started(layers(environ={option.upper(): '["x", "y"]'}))[0].words == ("x", "y")
    assert started(layers(file={"words": ["x", "y"]}))[0].words == ("x", "y")


def test_without_any_source_the_built_in_defaults_count() -> None:
    found, options = started(layers())
    assert found == Sample()
    assert options.codemie_sample_addon_wait == "250ms"
    assert options.codemie_sample_addon_size == "1k"
    assert options.codemie_sample_addon_maybe_wait is None
    assert options.codemie_sample_addon_words == ["a", "b"]


SOURCES = ["set", "environment", "stored", "file", "profile", "default"]


@pytest.mark.parametrize("strongest", range(len(SOURCES)), ids=SOURCES)
def test_the_stronger_source_wins(strongest: int) -> None:
    given = SOURCES[strongest:]
    source = layers(
        environ={"CODEMIE_SAMPLE_ADDON_MODEL": "environment"} if "environment" in given else {},
        file={"model": "file"} if "file" in given else {},
        model="profile" if "profile" in given else "",
    )
    if "stored" in given:
        source = replace(source, stored={f"{SECTION}.model": "stored"})
    sets = ("codemie_sample_addon_model=set",) if "set" in given else ()
    assert started(source, *sets)[0].model == {"default": ""}.get(given[0], given[0])


def test_what_a_start_was_given_is_known() -> None:
    source = layers(environ={"CODEMIE_SAMPLE_ADDON_NUMBER": "7"})
    started(source, "codemie_sample_addon_model=set")
    assert source.given == {"codemie_sample_addon_model"}


def test_a_stored_value_that_cannot_be_used_stops_no_start(caplog: pytest.LogCaptureFixture) -> None:
    source = replace(layers(file={"number": 5}), stored={f"{SECTION}.number": "many"})
    assert started(source)[0].number == 5
    assert source.problems == []
    assert "sample_addon.number, changed by the admin API" in caplog.text
    assert "does not count" in caplog.text


def test_a_change_while_the_proxy_runs_stands_above_all() -> None:
    _, options = started(layers(environ={"CODEMIE_SAMPLE_ADDON_MODEL": "env"}), "codemie_sample_addon_model=set")
    options.update(codemie_sample_addon_model="live")
    assert read(options, SECTION, Sample).model == "live"


def test_a_variable_of_other_tools_counts_after_our_own() -> None:
    both = {"SAMPLE_TIMEOUT": "1", "CODEMIE_SAMPLE_ADDON_TIMEOUT_MS": "2"}
    assert started(layers(environ=both, timeout_ms=9))[0].timeout_ms == 2
    assert started(layers(environ={"SAMPLE_TIMEOUT": "1"}, timeout_ms=9))[0].timeout_ms == 1
    assert started(layers(timeout_ms=9))[0].timeout_ms == 9
    assert started(layers(timeout_ms=None))[0].timeout_ms == 0


def variable(name: str, value: str) -> Layers:
    return layers(environ={name: value})


OWN = "CODEMIE_SAMPLE_ADDON"
IN_FILE = "codemie.yaml: sample_addon"
BAD: list[tuple[Layers, str]] = [
    (variable(f"{OWN}_NUMBER", "many"), f"{OWN}_NUMBER: this must be a whole number"),
    (variable(f"{OWN}_NUMBER", "0"), f"{OWN}_NUMBER: this must be greater"),
    (variable(f"{OWN}_WORDS", "X"), f"{OWN}_WORDS: write words in lower case"),
    (variable(f"{OWN}_CHOICE", "soon"), f"{OWN}_CHOICE: this must be 'fast' or"),
    (variable("SAMPLE_TIMEOUT", "x"), "SAMPLE_TIMEOUT: this must be a whole number"),
    (layers(file={"wait": "soon"}), f"{IN_FILE}.wait: 'soon' is not a duration"),
    (layers(file={"number": "three"}), f"{IN_FILE}.number: this must be a whole number"),
    (layers(file={"words": "x"}), f"{IN_FILE}.words: this must be a list, like [a, b]"),
    (layers(file={"text": None}), f"{IN_FILE}.text: this must be text; put it in quotes"),
]


@pytest.mark.parametrize("source, says", BAD)
def test_a_value_that_cannot_be_used_is_one_line_and_the_next_source_counts(source: Layers, says: str) -> None:
    found, _ = started(source)
    [problem] = source.problems
    source.problems.clear()
    assert problem.startswith(says)
    assert found == Sample()


def test_a_bad_value_falls_to_the_next_source() -> None:
    source = layers(environ={"CODEMIE_SAMPLE_ADDON_NUMBER": "x"}, file={"number": 8})
    assert started(source)[0].number == 8


@pytest.mark.parametrize("spec", ["number=x", "number", "switch=maybe", "text=a codemie_sample_addon_text=b"])
def test_a_set_of_the_wrong_type_is_one_line_that_names_the_option(spec: str) -> None:
    source = layers()
    words = f"codemie_{SECTION}_{spec}".split(" ")
    found, _ = started(source, *words)
    [problem] = source.problems
    assert problem.startswith(words[0].partition("=")[0] + ": ")
    assert found == Sample()


def test_a_word_that_is_no_choice_is_refused_when_it_is_read() -> None:
    with pytest.raises(SettingsError, match="codemie_sample_addon_choice: this must be 'fast' or 'slow'"):
        started(layers(), "codemie_sample_addon_choice=soon")


def test_options_of_other_addons_stay_deferred() -> None:
    _, options = started(layers(), "codemie_other_addon_x=1")
    assert list(options.deferred) == ["codemie_other_addon_x"]


def test_a_value_of_the_config_file_of_mitmproxy_is_taken_as_it_is() -> None:
    options = Options()
    options.update_defer(codemie_sample_addon_number=9, codemie_sample_addon_switch="yes")
    declare(loader(options), SECTION, Sample, layers())
    [problem] = apply_deferred(options, SECTION, Sample)
    assert problem.startswith("codemie_sample_addon_switch: ")
    assert read(options, SECTION, Sample).number == 9


def test_reading_names_every_option_that_is_wrong() -> None:
    _, options = started(layers())
    options.update(codemie_sample_addon_number=0, codemie_sample_addon_wait="soon")
    with pytest.raises(SettingsError) as problem:
        read(options, SECTION, Sample)
    first, second = str(problem.value).split("; ")
    assert first.startswith("codemie_sample_addon_number: ")
    assert second.startswith("codemie_sample_addon_wait: 'soon' is not a duration")


def test_a_section_that_is_no_mapping_sets_nothing() -> None:
    source = Layers({}, {SECTION: ["x"]})
    assert started(source)[0] == Sample()


def test_settings_of_the_bundle_stand_at_the_top_level() -> None:
    [setting] = [found for found in settings_of("", Sample) if found.name == "text"]
    assert (setting.option, setting.key, setting.variables) == ("codemie_text", "text", ["CODEMIE_TEXT"])
    assert setting.resolve(Layers({}, {"text": "x"})).value == "x"


def test_a_setting_says_what_it_is_for() -> None:
    by_name = {found.name: found for found in settings_of(SECTION, Sample)}
    assert by_name["text"].help == "A text."
    assert by_name["number"].help == ""
    assert by_name["choice"].choices == ("fast", "slow")
    assert by_name["text"].choices is None
    assert by_name["maybe_number"].optional
    assert not by_name["number"].optional


def test_a_kind_that_no_option_can_hold_is_refused() -> None:
    class Wrong(AddonSettings):
        share: float = 0.5

    setting: Setting = settings_of("x", Wrong)[0]
    with pytest.raises(TypeError, match="codemie_x_share: mitmproxy options cannot hold"):
        _ = setting.typespec


class Switched(AddonSettings):
    """A switch that answers to a variable of other tools."""

    console: Annotated[bool, FromEnv("SAMPLE_DEBUG", frozenset({"1", "true"}))] = False


@pytest.mark.parametrize("text, on", [("1", True), ("TRUE ", True), ("0", False), ("yes", False), ("proxy,*", False)])
def test_a_switch_of_other_tools_is_read_as_they_read_it(text: str, on: bool) -> None:
    source = layers({"SAMPLE_DEBUG": text})
    [setting] = settings_of(SECTION, Switched)
    assert setting.resolve(source).value is on
    assert source.problems == []


def test_our_own_name_of_a_switch_stands_above_that_of_other_tools() -> None:
    [setting] = settings_of(SECTION, Switched)
    found = setting.resolve(layers({"SAMPLE_DEBUG": "1", "CODEMIE_SAMPLE_ADDON_CONSOLE": "no"}))
    assert (found.value, found.source) == (False, "environment: CODEMIE_SAMPLE_ADDON_CONSOLE")
