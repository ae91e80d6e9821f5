"""Settings: files and variables that people write, and the one line they get when something is wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codemie_core.errors import SettingsError
from codemie_core.settings import MAX_FILE_SIZE, coerce_env, load_config_file, nearest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "codemie.yaml"


def test_a_mapping_is_loaded_with_its_sections(path: Path) -> None:
    path.write_text("hosts: [a.example, b.example]\nheader_injection:\n  project: größe\n", encoding="utf-8")
    assert load_config_file(path, True) == {
        "hosts": ["a.example", "b.example"],
        "header_injection": {"project": "größe"},
    }


@pytest.mark.parametrize("content", ["", "# only a comment\n", "---\n", "\ufeff", "null\n"])
def test_an_empty_file_holds_no_settings(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    assert load_config_file(path, True) == {}


def test_a_byte_order_mark_is_no_part_of_the_first_key(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_config_file(path, True) == {"a": 1}


def test_a_missing_file_matters_only_when_it_was_asked_for(path: Path) -> None:
    assert load_config_file(path, False) == {}
    with pytest.raises(SettingsError, match="there is no such file; create it"):
        load_config_file(path, True)


BOMB = b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"


@pytest.mark.parametrize(
    "content,words",
    [
        (b"- a\n- b\n", "must hold keys and values"),
        (b"just words\n", "must hold keys and values"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", "line 4, column 3: the key 'c' is given twice"),
        (b"a:\n\tb: 1\n", "line 2, column 1: a tab"),
        (b"a: 1\nb: \xff\xfe\n", "line 2, column 4: this is not UTF-8"),
        ("a: ü\nb: ".encode() + b"\xe4\n", "line 2, column 4: this is not UTF-8"),
        (b"a: 1\nb: \x07\n", "line 2, column 4: a control character"),
        (b"a: [1, 2\nb: 3\n", "line 2, column 2:"),
        (b"a: b: c\n", "line 1, column 5:"),
        (b'a: "open\n', "line 2, column 1:"),
        (b"a: 1\n---\nb: 2\n", "line 2, column 1:"),
        (b"a: !!python/object/apply:os.getcwd []\n", "line 1, column 4:"),
        (b"a: !!int word\n", "a value does not fit"),
        (b"a: 2026-13-45\n", "a value does not fit"),
        (BOMB, "line 2, column 8: aliases are not supported"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
        (b"1: x\n", "the key 1 must be text"),
        (b"a: " + b"x" * MAX_FILE_SIZE, "larger than 1024 KiB"),
    ],
)
def test_a_bad_file_is_told_in_one_line_with_its_place(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_config_file(path, False)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message


def test_the_values_of_a_key_given_twice_are_not_repeated(path: Path) -> None:
    path.write_text("token: planted-one\ntoken: planted-two\n")
    with pytest.raises(SettingsError) as caught:
        load_config_file(path, True)
    assert "planted" not in str(caught.value)


def test_a_folder_in_the_place_of_the_file_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(SettingsError, match=r"cannot be read .*name a readable file"):
        load_config_file(path, False)


def problem_of(path: Path) -> str:
    """What is wrong with the file, "" when it loads."""
    try:
        load_config_file(path, True)
    except SettingsError as error:
        return str(error)
    return ""


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=60), st.text(alphabet="a:-[]{}&*!|>%@`'\"#?,\t\n 019.~<=", max_size=40)))
def test_any_content_is_loaded_or_refused_in_one_line(path: Path, content: bytes | str) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "\n" not in problem_of(path)


OPTIONS = ["codemie_hosts", "codemie_project", "codemie_metrics_sync_interval"]


@pytest.mark.parametrize(
    "key,candidates,expected",
    [
        ("hots", ["hosts", "project"], "hosts"),
        ("Header-Injection", ["header_injection", "sso_auth"], "header_injection"),
        ("codemie_metrics_sync_intervall", OPTIONS, "codemie_metrics_sync_interval"),
        ("codemie_host", OPTIONS, "codemie_hosts"),
        ("codmie_hosts", OPTIONS, "codemie_hosts"),
        ("codemie_zzz", OPTIONS, None),
        ("codemie_", OPTIONS, None),
        ("host", ["hosts"], "hosts"),
        ("anything", [], None),
    ],
)
def test_nearest_finds_what_a_typing_error_meant_and_nothing_far_off(
    key: str, candidates: list[str], expected: str | None
) -> None:
    assert nearest(key, candidates) == expected


@pytest.mark.parametrize(
    "text,kind,expected",
    [
        (" kept as is ", str, " kept as is "),
        ("-7", int, -7),
        (" 42 ", int, 42),
        ("Yes", bool, True),
        ("on", bool, True),
        ("1", bool, True),
        ("TRUE", bool, True),
        ("off", bool, False),
        ("0", bool, False),
        ("", Optional[str], None),  # noqa: UP045 - the form in which mitmproxy knows optional options
        ("x", str | None, "x"),
        ("5", int | None, 5),
        ("a, b,,c ", Sequence[str], ["a", "b", "c"]),
        ('["a,b", "c"]', Sequence[str], ["a,b", "c"]),
        ("[]", Sequence[str], []),
        ("", Sequence[str], []),
        ("[::1]:8080,example.com", Sequence[str], ["[::1]:8080", "example.com"]),
    ],
)
def test_a_variable_becomes_what_its_option_holds(text: str, kind: Any, expected: object) -> None:
    assert coerce_env(text, kind, "CODEMIE_X") == expected


@pytest.mark.parametrize(
    "text,kind",
    [
        ("planted", int),
        ("1_000", int),
        ("9" * 5000, int),
        ("", int),
        ("planted", bool),
        ("", bool),
        ("[planted", Sequence[str]),
        ('["planted", 1]', Sequence[str]),
        ("[1]", Sequence[str]),
    ],
)
def test_a_variable_that_does_not_fit_is_named_and_its_value_not_repeated(text: str, kind: Any) -> None:
    with pytest.raises(SettingsError, match="CODEMIE_X=") as caught:
        coerce_env(text, kind, "CODEMIE_X")
    assert "planted" not in str(caught.value)


def test_an_unsupported_kind_is_the_programmers_error() -> None:
    with pytest.raises(TypeError, match="CODEMIE_X"):
        coerce_env("1.5", float, "CODEMIE_X")
