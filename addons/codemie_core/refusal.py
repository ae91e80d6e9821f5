"""Ending a flow on the request side with an error that the agent in front of it can read."""

from __future__ import annotations

from mitmproxy import http

from codemie_core.errors import Problem, error_body, error_headers
from codemie_core.exchange import BOOK, Exchange, Terminal, exchange_of


def refuse(flow: http.HTTPFlow, problem: Problem, headers: tuple[tuple[str, str], ...] = ()) -> None:
    """Answer in the shape of the client's API, with these headers too. Nobody connects to an upstream for it."""
    exchange = answered_exchange(flow)
    exchange.end(Terminal.REFUSED, problem.code)
    exchange.status = problem.status
    flow.response = http.Response.make(
        problem.status,
        error_body(exchange.api, problem, exchange.request_id),
        [(n.encode(), v.encode()) for n, v in (*error_headers(problem, exchange.request_id), *headers)],
    )
    if flow.request.method == "HEAD":
        flow.response.raw_content = b""  # Its client would read a body as the next response.


def answered_exchange(flow: http.HTTPFlow) -> Exchange:
    """The exchange of a flow that ends on the request side."""
    exchange = exchange_of(flow)
    if flow.request.method == "CONNECT":
        BOOK.close(exchange)  # None of the hooks that end an exchange follows on a CONNECT.
    return exchange
