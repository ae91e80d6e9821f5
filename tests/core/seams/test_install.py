from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.proxy.layers import http as http_layers

from codemie_core.errors import UnsupportedMitmproxy
from codemie_core.seams import install, shape

NAMES = tuple(install._REPLACEMENTS)


@pytest.fixture(autouse=True)
def stock(monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy's own layers, before and after."""
    for name in NAMES:
        original = install._REPLACEMENTS[name].__mro__[1:]
        own = next(base for base in original if base.__name__ == name and base.__module__.startswith("mitmproxy"))
        monkeypatch.setattr(http_layers, name, own)


def test_our_layers_take_the_place_of_mitmproxys() -> None:
    before = {name: getattr(http_layers, name) for name in NAMES}
    install.install()
    for name, replacement in install._REPLACEMENTS.items():
        assert getattr(http_layers, name) is replacement
        assert issubclass(replacement, before[name])


def test_doing_it_twice_is_harmless() -> None:
    install.install()
    install.install()
    assert http_layers.HttpStream is install._REPLACEMENTS["HttpStream"]


def test_the_mitmproxy_beside_us_is_one_that_was_tested() -> None:
    assert install.SHAPE.mismatch() is None


def test_before_an_unknown_mitmproxy_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: getattr(http_layers, name) for name in NAMES}
    other = shape.Shape(install.SHAPE.name, install.SHAPE.functions, frozenset({"0" * 16}))
    monkeypatch.setattr(install, "SHAPE", other)
    with pytest.raises(UnsupportedMitmproxy, match="force-reinstall 'mitmproxy=="):
        install.install()
    assert {name: getattr(http_layers, name) for name in NAMES} == before


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What mitmproxy keeps for a client that is connected."""

    async def drain() -> None: ...

    async def open_connection(_: object) -> None: ...

    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2))
    handler = SimpleNamespace(client=client, drain_writers=drain, open_connection=open_connection)
    proxyserver = SimpleNamespace(connections={client.id: handler})
    monkeypatch.setattr(ctx, "master", SimpleNamespace(addons={"proxyserver": proxyserver}), raising=False)
    return handler


async def test_a_client_connection_gets_as_many_upstream_connections_as_are_set(handler: Any) -> None:
    open_connection, drain = handler.open_connection, handler.drain_writers
    install.prepare_connection(handler.client, 2)
    one, other = handler.max_conns[("a.test", 443)], handler.max_conns[("b.test", 443)]
    assert one is handler.max_conns[("a.test", 443)]
    assert one is not other
    for _ in range(2):
        await one.acquire()
    assert one.locked()
    assert handler.open_connection is not open_connection
    assert handler.drain_writers is drain, "an HTTP/1.1 client pays nothing for what only HTTP/2 needs"


async def test_an_http2_client_holds_its_upstreams_back(handler: Any) -> None:
    drain = handler.drain_writers
    install.prepare_http2(handler.client)
    assert handler.drain_writers is not drain
    await handler.drain_writers()


def test_a_client_that_nothing_drives_is_left_alone(handler: Any) -> None:
    stranger = Client(peername=("127.0.0.1", 3), sockname=("127.0.0.1", 4))
    install.prepare_connection(stranger, 2)
    install.prepare_http2(stranger)
    assert not hasattr(handler, "max_conns")
