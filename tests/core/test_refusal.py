import json

from codemie_core.errors import Problem
from codemie_core.exchange import BOOK, Terminal, exchange_of
from codemie_core.refusal import refuse
from support.core_room import request

NO_KEY = Problem(401, "no_key", "There is no key.")


def test_a_refused_flow_has_an_answer_of_its_api_and_is_over() -> None:
    flow = request()
    refuse(flow, NO_KEY)
    assert flow.response is not None
    assert flow.response.status_code == 401
    body = json.loads(flow.response.raw_content or b"")
    assert body["error"]["type"] == "authentication_error"
    exchange = exchange_of(flow)
    assert exchange.request_id in body["error"]["message"]
    assert (exchange.terminal, exchange.error, exchange.status) == (Terminal.REFUSED, "no_key", 401)
    assert exchange in BOOK.still_open()


def test_headers_can_be_added() -> None:
    flow = request()
    refuse(flow, NO_KEY, (("www-authenticate", "Bearer"),))
    assert flow.response is not None
    assert flow.response.headers["www-authenticate"] == "Bearer"
    assert flow.response.headers["content-type"] == "application/json"


def test_head_gets_the_headers_alone() -> None:
    """A body would be read as the next response on the connection."""
    flow = request(method=b"HEAD")
    refuse(flow, NO_KEY)
    assert flow.response is not None
    assert flow.response.raw_content == b""
    assert int(flow.response.headers["content-length"]) > 0


def test_a_refused_connect_is_closed_at_once_because_no_hook_follows() -> None:
    flow = request("regular", method=b"CONNECT")
    refuse(flow, NO_KEY)
    assert exchange_of(flow) not in BOOK.still_open()
