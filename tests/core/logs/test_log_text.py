"""Whatever a stranger writes stays on its line, bounded and without secrets."""

import json

import pytest

from codemie_core.logs import log_text

KEY = "sk-ant-planted0123456789"


@pytest.mark.parametrize(
    "written, shown",
    [
        ("plain text", "plain text"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x1b[31mred\x9b", "\\x1b[31mred\\x9b"),
        ("a\u2028b", "a\\u2028b"),
        ("half \ud800 a pair", "half \\ud800 a pair"),
        ("Grüße", "Grüße"),
        (f"key {KEY}", "key [redacted]"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_a_short_text_is_redacted_printable_and_bounded(written: str, shown: str) -> None:
    assert log_text.shown(written) == shown


def test_long_texts_are_not_kept_in_memory() -> None:
    before = log_text._shown.cache_info().currsize
    assert log_text.shown("y" * 10_000) == "y" * 300
    assert log_text._shown.cache_info().currsize == before


@pytest.mark.parametrize(
    "url, shown",
    [
        ("/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/v1/models?key=planted-1&alt=sse", "/v1/models?key=[redacted]&alt=sse"),
        ("/a\nb", "/a\\nb"),
        ("/" + "x" * 5000, "/" + "x" * 1999),
    ],
)
def test_a_url_is_redacted_printable_and_bounded(url: str, shown: str) -> None:
    assert log_text.shown_url(url) == shown


def test_json_is_indented_readable_and_harmless_to_a_terminal() -> None:
    value = {"text": "Grüße \x9b31m \u2028 \x1b", "list": [1]}
    text = log_text.pair("body", value)
    assert "\n    " in text
    assert "Grüße" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert json.loads(f"{{{text}}}") == {"body": value}


@pytest.mark.parametrize("text, bare", [("", "-"), ("two words", "two%20words"), ("line\nbreak", "line\\nbreak")])
def test_a_value_for_awk_holds_no_space(text: str, bare: str) -> None:
    assert log_text.bare(text) == bare
