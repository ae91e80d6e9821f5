"""Which addresses lead back to the proxy itself."""

import socket

import pytest

from codemie_core.access.own_address import leads_back

HERE = [("127.0.0.1", 8080)]
EVERYWHERE = [("0.0.0.0", 8080), ("::", 8080)]


@pytest.mark.parametrize(
    "host, port, listening, back",
    [
        ("127.0.0.1", 8080, HERE, True),
        ("localhost", 8080, HERE, True),
        ("LOCALHOST", 8080, HERE, True),
        ("127.1", 8080, HERE, True),
        ("0.0.0.0", 8080, HERE, True),
        ("::ffff:127.0.0.1", 8080, HERE, True),
        ("127.0.0.1", 8081, HERE, False),
        ("127.0.0.2", 8080, HERE, False),
        ("192.0.2.1", 8080, HERE, False),
        ("127.0.0.2", 8080, EVERYWHERE, True),
        ("127.0.0.1", 8080, [("", 8080)], True),
        ("192.0.2.1", 8080, EVERYWHERE, False),
        ("no name.invalid", 8080, HERE, False),
        ("x" * 70, 8080, HERE, False),
        ("127.0.0.1", 8080, [], False),
        ("::1", 8080, [("fe80::1%lo", 8080)], False),
    ],
)
async def test_a_name_is_what_it_leads_to(host: str, port: int, listening: list[tuple[str, int]], back: bool) -> None:
    assert await leads_back(host, port, listening) is back


async def test_this_machines_own_name_leads_to_a_proxy_that_listens_everywhere() -> None:
    own = socket.gethostbyname(socket.gethostname())
    assert await leads_back(socket.gethostname(), 8080, EVERYWHERE)
    assert await leads_back(own, 8080, EVERYWHERE)
