"""A pool, its keeper without a database, and requests on their way through it. Secrets come from an environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitmproxy import http
from mitmproxy.test import tflow, tutils

from codemie_core.accounts.account import Account, Kind, SecretRef, Source
from codemie_core.accounts.failover import Failover
from codemie_core.accounts.keeper import PoolKeeper
from codemie_core.accounts.outfit import Outfit
from codemie_core.accounts.pool import Ask, Choice, Pool
from codemie_core.accounts.turn import Left, Sent, Turn, path_below
from codemie_core.exchange import Attempt, Exchange, exchange_of
from codemie_core.places import Places
from codemie_core.policy import AttemptPlan

URL = "https://api.test"
ORIGIN = "https://api.test:443"
BODY = b'{"model":"opus","messages":[]}'
THOUGHT = b'{"type":"thinking","thinking":"hm","signature":"c2ln"},'
THINKING = b'{"model":"opus","messages":[{"role":"assistant","content":[' + THOUGHT + b'{"type":"text","text":"Hi"}]}]}'
REJECTED = b'{"type":"error","error":{"message":"messages.1.content.0: Invalid `signature` in `thinking` block"}}'
"""What an API says to such thinking of another account."""


def account(name: str, base_url: str = URL, **fields: Any) -> Account:
    """Its id is its name, its key is in the variable of its name."""
    fields = {"kind": Kind.API_KEY, "secret": SecretRef(Source.ENV, name), "serves": (ORIGIN,), **fields}
    return Account(
        id=name, name=name, provider=fields.pop("provider", "anthropic-compatible"), base_url=base_url, **fields
    )


@dataclass
class Run:
    """One request."""

    flow: http.HTTPFlow
    exchange: Exchange
    turn: Turn

    @property
    def address(self) -> str:
        """Where it goes now."""
        request = self.flow.request
        return f"{request.scheme}://{request.host}:{request.port}{request.path}"

    @property
    def sent(self) -> dict[str, str]:
        """The headers that the wire copy gets."""
        pairs = [pair for credential in self.exchange.credentials for pair in credential.headers.items()]
        return {name: secret.get_secret_value() for name, secret in pairs}


@dataclass
class Rotating:
    """`pool` has these accounts; each has the key `key-of-NAME` unless `environ` says otherwise."""

    accounts: tuple[Account, ...]
    environ: dict[str, str] = field(default_factory=dict)
    pool: Pool = field(default_factory=Pool)

    def __post_init__(self) -> None:
        self.environ = {one.name: f"key-of-{one.name}" for one in self.accounts} | self.environ
        self.pool.set_accounts(self.accounts)
        self.keeper = PoolKeeper(Places(Path("nowhere")), self.environ, self.pool, "run")
        self.outfit = Outfit(self.keeper)
        self.failover = Failover(self.keeper, self.outfit)

    def chosen(
        self,
        path: str = "/v1/messages?beta=true",
        body: bytes = BODY,
        *,
        url: str = URL,
        prefix: str = "",
        model: str = "opus",
        conversation: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = ((b"x-api-key", b"the-clients-own"),),
        plan: AttemptPlan | None = None,
        **about: Any,
    ) -> Run:
        """A request for which the pool has chosen; nothing has been done to it."""
        scheme, _, host = url.partition("://")
        fields = http.Headers([(b"Host", host.encode()), *headers, (b"content-length", str(len(body)).encode())])
        request = tutils.treq(
            scheme=scheme.encode(), host=host, port=443, path=f"{prefix}{path}".encode(), content=body, headers=fields
        )
        flow = tflow.tflow(req=request)
        exchange = exchange_of(flow)
        exchange.plan = plan or AttemptPlan()
        ask = Ask(ORIGIN, model, conversation)
        choice = self.pool.choose(ask)
        assert isinstance(choice, Choice), choice
        sent = Sent(scheme, host, 443, request.path, body)
        own: dict[str, Any] = {"moves": True, **about}
        turn = Turn(ask, choice, sent, path_below(request.path, prefix), body, exchange.plan, **own)
        return Run(flow, exchange, turn)

    async def equip(self, run: Run) -> Left | None:
        """The outfit's, with what was chosen."""
        return await self.outfit.equip(run.flow, run.exchange, run.turn, run.turn.ask, run.turn.choice)

    async def equipped(self, *args: Any, **kwargs: Any) -> Run:
        """A request that is ready to go out."""
        run = self.chosen(*args, **kwargs)
        assert await self.equip(run) is None
        return run


def attempt_of(run: Run, **about: Any) -> Attempt:
    """An attempt of it, as it is when it has failed: fields of Attempt."""
    attempt = run.exchange.begin_attempt(run.flow.request.host, run.flow.request.port)
    for name, value in about.items():
        setattr(attempt, name, value)
    return attempt
