"""Which outbound proxy each attempt takes, and what does not go out at all."""

from collections.abc import Callable

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import RequestHeaders, RequestTrailers
from pydantic import SecretStr

from codemie_core.credential import Credential
from codemie_core.egress import Egress, OutboundProxy
from codemie_core.exchange import Attempt, exchange_of
from codemie_core.policy import AttemptPlan, Retry
from support.playbook import Playbook


@pytest.mark.parametrize("connects", [False, True])
def test_each_attempt_goes_out_through_the_proxy_for_its_own_address(connects: bool) -> None:
    proxy = OutboundProxy("http", "proxy.test", 3128)
    plan = AttemptPlan(egress=Egress({"http": proxy}, ("direct.test",)))

    def elsewhere(flow: http.HTTPFlow, attempt: Attempt) -> None:
        flow.request.host = "direct.test"
        attempt.decision = Retry()

    with Playbook(plan, hooks={"upstream_failed": elsewhere}, dials=["pending"]) as book:
        book.ask()
        assert book.pending[0].connection.address == proxy.address[1]
        if connects:
            book.dialed()
            book.upstream_writes(b"HTTP/1.1 200 OK\r\n\r\n")
            book.servers.append(book.flows[1].server_conn)  # Behind the tunnel.
            book.respond(503)
        else:
            book.dialed("refused")
        assert book.servers[-1].address == ("direct.test", 80)
        assert book.servers[-1].via is None


def attaching(host: str, required: bool) -> Callable[[http.HTTPFlow], None]:
    key = {"x-api-key": SecretStr("planted-key")}

    def attach(flow: http.HTTPFlow) -> None:
        exchange_of(flow).credentials.append(Credential("https", host, 443, "/", key, required=required))

    return attach


@pytest.mark.parametrize("required", [True, False])
def test_without_a_credential_that_it_needs_nothing_is_sent(required: bool) -> None:
    with Playbook(hooks={"request": attaching("elsewhere.test", required)}) as book:
        book.ask()
        assert bool(book.sent_to("upstream", RequestHeaders)) is not required
        if required:
            assert (book.response().status_code, book.ended()) == (502, True)
            assert b"credential_held_back" in book.body() or b"may not go where" in book.body()
            assert book.reasons() == ["rejected"]
            book.ask(3)
            assert book.ended(3)


def test_a_credential_in_a_trailer_goes_no_further_than_one_in_the_head() -> None:
    with Playbook(hooks={"request": attaching("elsewhere.test", False)}, alpn=b"h2") as book:
        book.ask(trailers=http.Headers([(b"x-sum", b"1"), (b"X-Api-Key", b"planted-own")]))
        (sent,) = book.sent_to("upstream", RequestTrailers)
        assert sent.trailers.fields == ((b"x-sum", b"1"),)
        book.ask(3, trailers=http.Headers([(b"x-api-key", b"planted-own")]))
        assert book.count("upstream RequestTrailers") == 1
