"""Warnings of the proxy find their way into the log, and go in no circle."""

import logging
from collections.abc import Iterator

import pytest

from codemie_core.logs.log_record import Said
from codemie_core.logs.log_tap import LONGEST_MESSAGE, LogTap


@pytest.fixture
def said() -> Iterator[list[Said]]:
    records: list[Said] = []
    tap = LogTap(records.append, but_not=frozenset({"the.log.itself"}))
    tap.install()
    yield records
    tap.uninstall()
    logging.getLogger("late").warning("nobody listens any more")
    assert "late" not in {record.source for record in records}


def test_warnings_and_errors_are_taken(said: list[Said]) -> None:
    for name in ("mitmproxy.proxy.server", "codemie_core.core_addon", "__mitmproxy_script__.request_log"):
        logging.getLogger(name).warning("%s went wrong", name)
        logging.getLogger(name).info("all is well")
    assert [(record.source, record.level, record.text) for record in said] == [
        (name, logging.WARNING, f"{name} went wrong")
        for name in ("mitmproxy.proxy.server", "codemie_core.core_addon", "__mitmproxy_script__.request_log")
    ]


def test_of_what_is_well_only_the_bundles_word_is_taken(said: list[Said], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger("mitmproxy.proxy.server").info("client connect")
    logging.getLogger("codemie_core.core_addon").info("the proxy is running")
    assert [(record.level, record.text) for record in said] == [(logging.INFO, "the proxy is running")]


def test_what_the_log_says_about_itself_goes_in_no_circle(said: list[Said]) -> None:
    logging.getLogger("the.log.itself").error("cannot be written")
    assert not said


def test_an_exception_is_named_without_its_traceback(said: list[Said]) -> None:
    try:
        raise ValueError("bad value")
    except ValueError:
        logging.getLogger("x").exception("It failed")
    assert said[0].text == "It failed (ValueError: bad value)"


def test_a_message_that_cannot_be_formatted_is_taken_without_its_arguments(
    said: list[Said], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("x").error("%d of them", "planted")
    assert said[0].text == "a message that could not be formatted: '%d of them'"
    assert "planted" not in capsys.readouterr().err


def test_long_messages_are_cut(said: list[Said]) -> None:
    logging.getLogger("x").warning("y" * 100_000)
    assert len(said[0].text) == LONGEST_MESSAGE
