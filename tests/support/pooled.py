"""One proxy in every mode, before pools of accounts that each have an upstream of their own.

Clients bear a credential of their own in every header there is. `Place.served` is the proof of what arrived: exactly
one credential in each request, and never the client's.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support import certificates
from support.certificates import Authority, ca_of
from support.proxy import Mitmproxy
from support.shared import shared_proxy
from support.stored import StoredHome

OWN = [
    ("authorization", "Bearer planted-own-1"),
    ("x-api-key", "planted-own-2"),
    ("x-goog-api-key", "planted-own-3"),
    ("api-key", "planted-own-4"),
    ("cookie", "sid=planted-own-5"),
]
LIMITED = Step(status=429, headers=(("retry-after", "120"),))
NOT_THIS_TIME = Step(status=429, headers=(("x-should-retry", "true"),), body=b"{}")
"""Passes one request on to the next account and makes none rest."""
BEHIND = "main.test"
HIDDEN = (BEHIND, "one.test", "two.test", "three.test")
"""Names that only outbound proxies of the tests know: what is on this machine is reached directly."""
_MODES = ("reverse mode", "upstream mode")
_PLANTED = re.compile(r"planted-([\w.-]+)")


class Place(Upstream):
    """Where accounts are. The secret of the account NAME is `planted-NAME`."""

    def served(self) -> list[str]:
        """Which account's secret each request bore, and nothing else that anybody planted."""
        return [the_one_credential(request) for request in self.requests]

    def fails(self, account: str, step: Step = LIMITED) -> None:
        """Whatever this account asks for."""
        self.script_for(f"planted-{account}", then=step)

    @property
    def authority(self) -> str:
        """As clients name it."""
        return f"localhost:{self.port}"


def the_one_credential(request: Received) -> str:
    """Whose it is; fails when there is another one, in the target or in any header."""
    [name] = _PLANTED.findall(f"{request.target} {request.headers}")
    return str(name)


@dataclass(frozen=True)
class Pooled:
    """The proxy with its ports, and those of the places."""

    proxy: Mitmproxy
    home: StoredHome
    ports: Mapping[str, int]
    signer: Authority

    @property
    def reverse(self) -> int:
        """Reverse mode before the place "reverse"."""
        return self.ports["reverse mode"]

    @property
    def upstream(self) -> int:
        """Upstream mode before a proxy at the port "outer"."""
        return self.ports["upstream mode"]

    def place(self, name: str, http2: bool = False) -> Place:
        """To be entered: the upstream of this name."""
        secure = not name.startswith("plain")
        tls = self.signer.server("localhost", *HIDDEN) if secure else None
        return Place(tls, port=self.ports[name], http2=http2)

    def tls(self, *protocols: str) -> ssl.SSLContext:
        """For clients: trusts what the proxy shows, and offers these protocols."""
        return certificates.client(ca_of(self.proxy.confdir), *protocols)


@contextmanager
def pooled(
    folder: Path, places: tuple[str, ...], fill: Callable[[StoredHome, Mapping[str, int]], None], **options: object
) -> Iterator[Pooled]:
    """Running; `fill` puts accounts into the home. Places named plain... speak http, the others https."""
    with ExitStack() as stack:
        ports = {name: stack.enter_context(_reserved()) for name in (*places, "reverse", "outer", *_MODES)}
        home, signer = StoredHome(folder / ".codemie", {"CODEMIE_KEYRING": "0"}), Authority(folder)
        fill(home, ports)
        modes = (
            "regular",
            f"reverse:https://localhost:{ports['reverse']}@{ports['reverse mode']}",
            f"upstream:http://127.0.0.1:{ports['outer']}@{ports['upstream mode']}",
        )
        every = {
            "codemie_hosts": ["localhost", "127.0.0.1", "*.test"],
            "codemie_upstream_attempts_ca_file": signer.pem,
            "codemie_upstream_attempts_backoff": "1ms",
            **options,
        }
        words = [word for mode in modes for word in ("--mode", mode)]
        proxy = stack.enter_context(shared_proxy(folder, *words, options=every))
        for mode in _MODES:
            proxy.wait_for_log(rf"listening at .*:{ports[mode]}\b")
        yield Pooled(proxy, home, ports, signer)
        assert "planted-" not in proxy.log


@contextmanager
def _reserved() -> Iterator[int]:
    """A port that nobody gets by chance, while servers of ours may come and go on it: they reuse addresses, too."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def two_accounts(home: StoredHome, name: str, url: str, **about: Any) -> None:
    """`main-NAME` is asked first, `spare-NAME` second; `about` are fields of both."""
    for priority, account in enumerate(("main", "spare")):
        fields = {"provider": "anthropic-compatible", "priority": priority, **about}
        home.key(f"{account}-{name}", url, f"planted-{account}-{name}", **fields)
