"""A script that attaches credentials to exchanges, as an account addon does, and one that complains about requests.

ATTACHING holds JSON: {"port": the upstream's, "secret": ..., "elsewhere": the secret of another host}.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mitmproxy import http
from pydantic import SecretStr

from codemie_core.addon import Addon
from codemie_core.credential import Credential
from codemie_core.exchange import exchange_of

SCRIPT = Path(__file__)
_VARIABLE = "ATTACHING"


def env(port: int, secret: str, elsewhere: str) -> dict[str, str]:
    """The environment for the process."""
    return {_VARIABLE: json.dumps({"port": port, "secret": secret, "elsewhere": elsewhere})}


class Attaching(Addon, priority=16, fail="closed"):
    """One credential for the upstream, one for somebody else."""

    def start(self) -> None:
        """Read the secrets."""
        told = json.loads(os.environ[_VARIABLE])
        secret, elsewhere = SecretStr(f"Bearer {told['secret']}"), SecretStr(told["elsewhere"])
        drops = frozenset({"x-api-key", "x-goog-api-key", "cookie"})
        self.credentials = [
            Credential("http", "127.0.0.1", told["port"], "/v1", {"authorization": secret}, drops),
            Credential("https", "api.example.com", 443, "/", {"x-elsewhere": elsewhere}),
        ]

    def request(self, flow: http.HTTPFlow) -> None:
        """Attach both."""
        exchange_of(flow).credentials.extend(self.credentials)


class Complaining(Addon, priority=17, name="complaining"):
    """Puts all it was given into its exceptions."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Tell the headers and the address."""
        raise ValueError(f"{flow.request.url} {dict(flow.request.headers)} {dict(flow.request.cookies)}")

    def request(self, flow: http.HTTPFlow) -> None:
        """Tell the body, and one token without its scheme."""
        token = flow.request.headers.get("authorization", "").removeprefix("Bearer ")
        raise ValueError(f"{flow.request.text} {token}")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Tell what the flow holds now."""
        raise ValueError(f"{flow} {exchange_of(flow)!r} {self!r} {self.settings!r}")

    def exchange_done(self, exchange: object) -> None:
        """Tell the exchange, as much of its end as fits."""
        raise ValueError(repr(exchange)[-400:])


addons = [Attaching(), Complaining()]
