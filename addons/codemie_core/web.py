"""Our own calls to the outside: sign-in, metrics. Everything that is no agent's request goes out through here."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import certifi

from codemie_core import __version__
from codemie_core.egress import Egress, OutboundProxy, egress_from_env
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.running import running_proxies
from codemie_core.scope import address_of

if TYPE_CHECKING:
    import httpx

# A line per call, on the terminal of whoever watches a proxy: each caller says what matters.
logging.getLogger("httpx").setLevel(logging.WARNING)

USER_AGENT = f"codemie-proxy/{__version__}"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def client_for(
    url: str,
    places: Places,
    environ: Mapping[str, str],
    ca_file: str = "",
    timeout: float = 10.0,
    proxy: OutboundProxy | None = None,
) -> httpx.AsyncClient:
    """A client for calls to `url`'s host: it follows no redirects, keeps no cookies and takes `timeout` seconds.

    It goes out through `proxy`, else as HTTPS_PROXY and NO_PROXY say, but never through a proxy of ours, which would
    sign and meter our own calls; to this machine it goes directly. `ca_file` is trusted beside the usual authorities.
    SettingsError when a variable or `ca_file` is unusable. Blocks at its first call: not for the event loop.
    """
    # Here, and not at every start of a proxy: it takes a tenth of a second, and few proxies ever call anybody.
    import httpx

    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    egress = Egress({"http": proxy, "https": proxy}) if proxy else egress_from_env(environ)
    way, trust = egress.without(_own_addresses(places)).via(parts.scheme, parts.hostname or "", port), _trust(ca_file)
    return httpx.AsyncClient(
        verify=trust,
        proxy=_as_httpx(way, trust) if way else None,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"user-agent": USER_AGENT},
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
    )


def answer_of_outbound(trouble: BaseException) -> int | None:
    """The status with which an outbound proxy refused to lead there, if that is what went wrong.

    httpx has it in the error's text alone; the rest of that text is the proxy's own.
    """
    import httpx

    status = str(trouble)[:3]
    return int(status) if isinstance(trouble, httpx.ProxyError) and status.isdecimal() else None


def _own_addresses(places: Places) -> Iterator[tuple[str, int]]:
    for running in running_proxies(places):
        for address in running.addresses:
            host, _, port = address.rpartition(":")
            if port.isdigit():
                yield host, int(port)


def _as_httpx(proxy: OutboundProxy, trust: ssl.SSLContext) -> httpx.Proxy:
    import httpx

    secret = proxy.authorization
    return httpx.Proxy(
        f"{proxy.scheme}://{address_of(proxy.host, proxy.port)}",
        ssl_context=trust if proxy.scheme == "https" else None,
        headers={"proxy-authorization": secret.get_secret_value()} if secret else None,
    )


def _trust(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file:
        try:
            context.load_verify_locations(Path(ca_file).expanduser())
        except ssl.SSLError:
            raise SettingsError(f"{ca_file} holds no certificate in PEM form; name a file of authorities") from None
        except OSError as problem:
            raise SettingsError(f"{ca_file} cannot be read: {problem.strerror}; name a readable file") from None
    return context
