"""Which outbound proxy each attempt takes."""

import pytest
from mitmproxy import http

from codemie_core.egress import Egress, OutboundProxy
from codemie_core.exchange import Attempt
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
