"""One line of the many of an exchange."""

import logging

import pytest

from codemie_core.logs.log_brief import in_brief
from codemie_core.logs.log_line import LineFormat
from codemie_core.logs.log_record import Ended
from codemie_core.policy import Failure, Reason
from support.turns import exchange_like


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_a_good_exchange_is_one_line_whatever_the_level(level: int) -> None:
    lines = LineFormat(level).render(Ended(0.0, exchange_like(), 12.3, None))
    told = in_brief(lines)
    assert told is not None
    assert told[0] == logging.INFO
    assert told[1].startswith("request_id=11111111-2222-4333-8444-555555555555 client_key=- method=POST")
    assert "\n" not in told[1]


def test_what_went_wrong_comes_first() -> None:
    exchange = exchange_like(status=200)
    exchange.begin_attempt("down.example", 443).failure = Failure(Reason.CONNECT_FAILED, "refused")
    exchange.begin_attempt("up.example", 443)
    told = in_brief(LineFormat().render(Ended(0.0, exchange, 12.3, None)))
    assert told is not None
    assert told[0] == logging.WARNING
    assert told[1].startswith("NetworkError: connect_failed: refused request_id=")


def test_an_exchange_that_ended_badly_is_an_error() -> None:
    told = in_brief(LineFormat().render(Ended(0.0, exchange_like(terminal="truncated", error="reset"), 1.0, None)))
    assert told is not None
    assert (told[0], told[1].partition(" request_id")[0]) == (logging.ERROR, "ProxyError: reset")


def test_where_the_level_leaves_it_out_there_is_none() -> None:
    assert in_brief(LineFormat(logging.WARNING).render(Ended(0.0, exchange_like(), 1.0, None))) is None
    assert in_brief("") is None
