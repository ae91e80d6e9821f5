from types import SimpleNamespace

import pytest
from mitmproxy import ctx
from mitmproxy.connection import Client

from codemie_core.seams.handlers import handler_of


def test_a_client_has_the_handler_of_its_connection_and_none_in_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    connected, replayed = (Client(peername=("127.0.0.1", n), sockname=("127.0.0.1", 9)) for n in (1, 2))
    handler = object()
    proxyserver = SimpleNamespace(connections={connected.id: handler})
    monkeypatch.setattr(ctx, "master", SimpleNamespace(addons={"proxyserver": proxyserver}), raising=False)
    assert (handler_of(connected), handler_of(replayed)) == (handler, None)
    monkeypatch.setattr(ctx, "master", SimpleNamespace(addons={}), raising=False)
    assert handler_of(connected) is None
