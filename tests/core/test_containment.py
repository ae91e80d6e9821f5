"""What is known about hooks, and how an exception in one is told."""

import json

import pytest
from mitmproxy import hooks, http
from mitmproxy.proxy import layers, server_hooks
from mitmproxy.test import tflow, tutils

from codemie_core.addon import contained
from codemie_core.containment import HOOKS, REQUEST_SIDE, Mishap, answer_closed
from codemie_core.exchange import BOOK, Terminal, exchange_of
from codemie_core.policy import Answer
from codemie_core.recorded import UsageRecordedHook
from codemie_core.seams import attempt_hooks

NOT_OURS = {
    "add_log",  # deprecated since mitmproxy 9; our addons have no such handler
    attempt_hooks.AttemptHook.name,  # only between the attempt machine and the core addon
}


def test_every_hook_that_mitmproxy_and_the_bundle_call_is_known() -> None:
    assert layers.__name__
    assert server_hooks.__name__
    assert UsageRecordedHook.name
    # Other tests make hooks of their own.
    ours_or_theirs = ("mitmproxy.", "codemie_core.")
    real = {name for name, hook in hooks.all_hooks.items() if hook.__module__.startswith(ours_or_theirs)}
    assert real - NOT_OURS == HOOKS


def test_the_request_side_consists_of_hooks() -> None:
    assert REQUEST_SIDE < HOOKS


def raised(words: str) -> Exception:
    try:
        raise ValueError(words)
    except ValueError as error:
        return error


def test_a_mishap_names_addon_hook_error_place_and_request() -> None:
    flow = tflow.tflow()
    mishap = Mishap.of("cost_meter", "request", raised("no model"), flow)
    assert mishap.text.startswith("request: ValueError: no model at test_containment.py:")
    assert mishap.line.startswith(f"cost_meter failed in {mishap.text} (request {exchange_of(flow).request_id}).")
    assert "\n" not in mishap.line


def test_a_mishap_without_flow_and_without_traceback_is_told_too() -> None:
    mishap = Mishap.of("cost_meter", "running", KeyError("x"), None)
    assert mishap.text == "running: KeyError: 'x'"
    assert "request" not in mishap.line


def full_of_secrets() -> http.HTTPFlow:
    fields = [(b"authorization", b"Bearer planted-token-1"), (b"cookie", b"a=1; session=planted-cookie-2")]
    path, body = b"/v1/messages?alt=sse&key=planted-query-3", b'{"user": "planted-body-4"}'
    return tflow.tflow(
        req=tutils.treq(path=path, headers=http.Headers(fields), content=body),
        resp=tutils.tresp(headers=http.Headers([(b"set-cookie", b"sid=planted-answer-5")]), content=None),
    )


@pytest.mark.parametrize(
    "words",
    [
        "Bearer planted-token-1",
        "invalid literal for int(): 'planted-token-1'",
        "{'session': 'planted-cookie-2'}",
        "GET /v1/messages?alt=sse&key=planted-query-3",
        "not an id: planted-query-3",
        "user planted-body-4 is unknown",
        "sid planted-answer-5 expired",
        "api_key=sk-unknown-to-the-flow-123456",
    ],
)
def test_secrets_of_the_flow_are_cut_out_of_the_words_of_an_exception(words: str) -> None:
    text = Mishap.of("cost_meter", "response", ValueError(words), full_of_secrets()).text
    assert "planted" not in text
    assert "sk-unknown" not in text
    assert "[redacted]" in text


def test_harmless_words_of_an_exception_stay() -> None:
    words = "no price for claude in harmless messages"
    assert words in Mishap.of("cost_meter", "response", ValueError(words), full_of_secrets()).text


def test_the_words_of_an_exception_are_bounded() -> None:
    assert len(Mishap.of("cost_meter", "request", ValueError("x" * 10_000), None).text) < 600


def test_failing_closed_answers_the_flow_with_an_error_the_agent_can_read() -> None:
    flow = tflow.tflow(req=tutils.treq(path=b"/v1/messages"))
    answer_closed("proxy_access", flow)
    exchange = exchange_of(flow)
    assert flow.response is not None
    assert flow.response.status_code == 502
    body = json.loads(flow.response.content or b"")
    assert body["type"] == "error"
    assert "proxy_access" in body["error"]["message"]
    assert body["request_id"] == flow.response.headers["x-codemie-request-id"] == exchange.request_id
    assert (exchange.terminal, exchange.error) == (Terminal.REFUSED, "addon_failed")


def test_failing_closed_during_an_attempt_settles_the_answer_for_good() -> None:
    flow = tflow.tflow()
    attempt = exchange_of(flow).begin_attempt("api.example.com", 443)
    answer_closed("proxy_access", flow, attempt)
    assert attempt.rejected == "addon_failed"
    assert isinstance(attempt.final, Answer)
    assert flow.response is None


def test_a_connect_request_leaves_no_exchange_open() -> None:
    flow = tflow.tflow(req=tutils.treq(method=b"CONNECT"))
    before = len(BOOK)
    Mishap.of("proxy_access", "http_connect", RuntimeError(), flow)
    answer_closed("proxy_access", flow)
    assert flow.response is not None
    assert len(BOOK) == before


def test_a_contained_handler_keeps_its_name() -> None:
    def request(self: object, flow: http.HTTPFlow) -> None:
        """Say why."""

    assert contained("request", request).__doc__ == "Say why."
