"""Serves requests with the operator's own accounts, and moves those that meet a limit to the next one.

Fails closed: a request that the pool should serve goes out with an account's credential or not at all. The attempt
machine does the moving, before the first byte has gone to the client; this addon chooses the account, attaches its
credential to the wire copy and tells the pool how each attempt went. What is known lives in the pool, in memory; the
keeper saves it and brings news of other processes. Without accounts none of its hooks is there.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mitmproxy import ctx, http
from mitmproxy.proxy.mode_specs import ReverseMode
from pydantic import Field, field_validator

from codemie_core.accounts.calls import Call, call_of
from codemie_core.accounts.commands import STRATEGY_OPTION, AccountCommands
from codemie_core.accounts.failover import Failover
from codemie_core.accounts.keeper import PoolKeeper
from codemie_core.accounts.limits import read_limits
from codemie_core.accounts.message import LimitedModels, judge_message, limits_said
from codemie_core.accounts.outfit import CLIENTS_OWN, Outfit, note_account
from codemie_core.accounts.pool import Ask, Choice, Pool
from codemie_core.accounts.strategies import STRATEGIES
from codemie_core.accounts.stream_end import Tail, error_at_end
from codemie_core.accounts.turn import (
    Left,
    Sent,
    Turn,
    base_paths,
    conversation_key,
    keeps_answers,
    path_below,
    problem_of,
    quits_on_429,
    without_keys,
)
from codemie_core.accounts.verdicts import judge_event
from codemie_core.accounts.way_out import ProxyHost
from codemie_core.addon import Addon, AddonSettings, errors_only, report
from codemie_core.agents import CODEX
from codemie_core.core_addon import core_of
from codemie_core.durations import Duration
from codemie_core.errors import Problem, SettingsError
from codemie_core.exchange import RUN_ID, Attempt, Exchange, exchange_of
from codemie_core.model_name import asked_model, named_model
from codemie_core.policy import Answer, AttemptPlan, Retry
from codemie_core.refusal import refuse
from codemie_core.scope import address_of, normal_host
from codemie_core.seams.socket_layer import close_socket
from codemie_core.websocket.closing import OTHER_ACCOUNT

logger = logging.getLogger(__name__)

AT_WORK = (
    "request",
    "upstream_response",
    "upstream_failed",
    "responseheaders",
    "websocket_message",
    "exchange_done",
    "http_connect_upstream",
)
CA_FILE_OPTION = "codemie_upstream_attempts_ca_file"
READ = frozenset({400, 401, 402, 429, 529})
"""Statuses whose body tells what to do."""
UNSERVED = Problem(
    502, "pool_cannot_serve", "An account cannot serve this: it is replayed, or upstream_attempts is not at work."
)


class AccountRotation(AccountCommands, Addon, priority=16, fail="closed"):
    """One pool per process."""

    switchable = False

    class Settings(AddonSettings):
        """How accounts are chosen. `codemie-proxy accounts` adds them."""

        strategy: str = Field(
            "session", description=f"How an account is chosen: {', '.join(STRATEGIES)}; see docs/accounts.md."
        )
        stickiness: Duration = Field(18000.0, description="How long an unused conversation keeps its account.")
        max_conversations: int = Field(100_000, ge=1, description="Conversations whose account is remembered.")
        max_accounts: int = Field(5, ge=1, le=30, description="Accounts tried per request, the first one included.")
        passthrough: bool = Field(
            False, description="Let a request go out with the client's own credentials when no account can serve it."
        )
        fallback_models: tuple[str, ...] = Field(
            (), description='Models to ask for when no account has the asked one left, like "claude-opus-*=claude-x".'
        )

        @field_validator("strategy")
        @classmethod
        def _is_known(cls, strategy: str) -> str:
            if strategy not in STRATEGIES:
                raise ValueError(f"{strategy!r} is no strategy: write one of {', '.join(STRATEGIES)}")
            return strategy

    settings: Settings

    def __init__(self) -> None:
        self.pool = Pool()
        self.keeper: PoolKeeper
        self._turns: dict[str, Turn] = {}
        self._limited_models = LimitedModels()
        self._bases: Mapping[str, Sequence[str]] = {}
        self._outfit: Outfit
        self._failover: Failover
        self._wired = True

    def configure(self, updated: set[str]) -> None:
        """Sign-in services may be behind a company's own authority, too."""
        if CA_FILE_OPTION in updated and hasattr(self, "keeper"):
            self.keeper.ca_file = getattr(ctx.options, CA_FILE_OPTION)

    def settled(self) -> None:
        """Load the accounts, before anybody asks for one."""
        core, own = core_of(self), self.settings
        self.pool.configure(
            stickiness=own.stickiness, max_conversations=own.max_conversations, fallback_models=own.fallback_models
        )
        if not hasattr(self, "keeper"):
            self.keeper = PoolKeeper(core.places, core.layers.environ, self.pool, RUN_ID)
            self._outfit = Outfit(self.keeper)
            self._failover = Failover(self.keeper, self._outfit)
            if self.status.enabled:
                self._open()
        self._refresh()

    def _open(self) -> None:
        try:
            self.keeper.open()
        except Exception as problem:
            # Whatever it was: with accounts that nobody could read, no request may go out as if there were none.
            self.keeper.trouble = str(problem) if isinstance(problem, SettingsError) else type(problem).__name__
            if not isinstance(problem, SettingsError):
                raise
            report(self, str(problem))

    def start(self) -> None:
        """Keep in step with the database from now on. Where a setting was refused there is none, and the proxy ends."""
        if not hasattr(self, "keeper"):
            return
        self.keeper.begin(self._refresh)
        if self.pool.accounts:
            logger.info("Accounts in the pool: %d, strategy %s", len(self.pool.accounts), self.pool.strategy)

    async def stop(self) -> None:
        """Save what the pool has learnt."""
        if hasattr(self, "keeper"):
            await self.keeper.end()

    def health(self) -> Mapping[str, object]:
        """How many accounts there are, and how many could serve."""
        states = [self.pool.status(account.id).state for account in self.pool.accounts]
        worker = self.keeper.worker
        out = ("paused", "sign in again", "limited", "guessed")
        return {
            "accounts": len(states),
            "usable": sum(state not in out for state in states),
            "strategy": self.pool.strategy,
            "database": self.keeper.trouble or (worker.trouble if worker is not None else "") or "well",
        }

    async def request(self, flow: http.HTTPFlow) -> None:
        """Choose an account. The path is final: `upstream_attempts` has put the target's before it."""
        request, exchange = flow.request, exchange_of(flow)
        if flow.response is not None or flow.error is not None or not exchange.scoped or exchange.credentials:
            return
        origin = f"{request.scheme}://{address_of(normal_host(request.host), request.port)}"
        if not (self.pool.homes(origin) or self.keeper.trouble):
            return
        call = call_of(request.method, request.path, request.host)
        if call is Call.CONTROL:
            return
        if "sec-fetch-site" in request.headers and not isinstance(flow.client_conn.proxy_mode, ReverseMode):
            return  # A browser behind the proxy: its pages may be anybody's, and are not to spend the accounts.
        if self.keeper.trouble:
            refuse(flow, self._problem())
        elif exchange.plan is None:
            refuse(flow, UNSERVED)
        else:
            await exchange.identify(flow)
            await self._serve(flow, exchange, exchange.plan, origin, call)

    async def _serve(self, flow: http.HTTPFlow, exchange: Exchange, plan: AttemptPlan, origin: str, call: Call) -> None:
        request, agent = flow.request, exchange.agent
        raw = request.raw_content or b""
        encoding = request.headers.get("content-encoding", "")
        model = asked_model(request.path, raw, encoding)
        if encoding and not model:
            model = named_model(await exchange.request_json(flow))
        client = exchange.client_key or flow.client_conn.peername[0]
        named = exchange.conversation_id
        stored = call is Call.RESOURCE or (not named and keeps_answers(request.path, raw))
        key = conversation_key(agent, named, client, stored)
        ask, quits = Ask(origin, model, key), quits_on_429(agent, request.headers.get)
        refused = self._limited_models.of(key) if "upgrade" in request.headers else ""
        found: Choice | Left = self.pool.choose(replace(ask, model=refused) if refused else ask)
        if refused and not isinstance(found, Choice):
            found = self.pool.choose(ask)  # By now it may ask for another one.
        if isinstance(found, Choice):
            self._turns[exchange.request_id] = turn = Turn(
                ask,
                found,
                Sent(request.scheme, request.host, request.port, request.path, raw),
                without_keys(path_below(request.path, exchange.prefix, self._bases.get(origin, ()))),
                raw,
                plan,
                moves=call is not Call.RESOURCE,
                quits_on_429=quits,
            )
            left = await self._outfit.equip(flow, exchange, turn, ask, found)
            if left is None:
                return
            self._turns.pop(exchange.request_id, None)
            found = left
        if self._passes(found):
            note_account(flow, exchange, "", CLIENTS_OWN)
        else:
            refuse(flow, problem_of(found, time.time(), quits))

    @errors_only
    def upstream_response(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        """Have errors read that say what to do about the account."""
        turn, response = self._turns.get(exchange_of(flow).request_id), flow.response
        if turn is not None and response is not None:
            attempt.account = turn.choice.account.name
            if response.status_code in READ and not attempt.held_back:
                attempt.read_body()

    async def upstream_failed(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        """Go on with the next account, where that may help."""
        exchange = exchange_of(flow)
        turn = self._turns.get(exchange.request_id)
        if turn is None or attempt.rejected or attempt.held_back:
            return
        attempt.account = turn.choice.account.name
        left = await self._failover.after(flow, exchange, turn, attempt, self.settings.max_accounts)
        if left is None:
            return
        if self._passes(left):
            self._turns.pop(exchange.request_id, None)
            self._outfit.undress(flow, exchange, turn)
            attempt.decision = Retry(0.0)
        else:
            attempt.decision = Answer(problem_of(left, time.time(), turn.quits_on_429))

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """This answer is the client's: what it says of limits counts, and the account serves."""
        exchange, response = exchange_of(flow), flow.response
        turn = self._turns.get(exchange.request_id)
        if turn is None or response is None or turn.settled or not exchange.attempts or exchange.terminal is not None:
            return
        attempt = exchange.attempts[-1]
        if attempt.failure is not None or attempt.held_back or response.status_code >= 400:
            return
        turn.settled = True
        limits = read_limits(response.headers.fields, time.time())
        self.pool.succeeded(turn.choice.account.id, turn.model, limits, turn.choice)
        self.keeper.note()
        turn.streams = response.headers.get("content-type", "").startswith("text/event-stream")
        if turn.streams and response.headers.get("content-encoding", "identity") != "identity":
            turn.tail = Tail()
            exchange.observers.append(turn.tail)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """A limit that comes as a message counts like one that ends a stream.

        It is the client's as it is, but for Codex while another account could serve: Codex gives up over the message,
        and after a close it connects again, which is a new choice, and repeats its turn.
        """
        exchange = exchange_of(flow)
        turn = self._turns.get(exchange.request_id)
        messages = flow.websocket.messages if flow.websocket is not None else []
        if turn is None or not messages or messages[-1].from_client:
            return
        verdict = judge_message(messages[-1].content, time.time())
        if verdict is None and (limits := limits_said(messages[-1].content, time.time())) is not None:
            self.pool.heard(turn.choice.account.id, limits)
            self.keeper.note()
        if verdict is not None:
            asked = (asked_model("", one.content, "") for one in reversed(messages) if one.from_client)
            model = next(filter(None, asked), "") or turn.model
            self.pool.failed(turn.choice.account.id, model, verdict, turn.choice)
            self.keeper.note()
            self._limited_models.note(turn.ask.conversation, model)
            after = self.pool.peek(replace(turn.ask, model=model))
            other = isinstance(after, Choice) and after.account.id != turn.choice.account.id
            if other and exchange.agent is CODEX and close_socket(flow, OTHER_ACCOUNT):
                messages[-1].drop()

    def exchange_done(self, exchange: Exchange) -> None:
        """An error that ended the stream counts against its account; a client that left counts for nothing."""
        turn = self._turns.pop(exchange.request_id, None)
        if turn is None:
            return
        if not turn.settled:
            self.pool.released(turn.choice)
        elif turn.streams and (kind := error_at_end(turn.tail.kept if turn.tail else exchange.tail)):
            verdict = judge_event(kind, time.time())
            self.pool.failed(turn.choice.account.id, turn.model, verdict, turn.choice)
        self.keeper.note()

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Sign in to an account's own outbound proxy. This flow is the CONNECT to it; mitmproxy never saves it."""
        host = flow.server_conn.address[0] if flow.server_conn.address else ""
        if isinstance(host, ProxyHost) and host.authorization is not None:
            flow.request.headers["proxy-authorization"] = host.authorization.get_secret_value()

    def _passes(self, left: Left) -> bool:
        """May the client's own credentials stand in?"""
        return self.settings.passthrough and not isinstance(left, Problem)

    def _problem(self) -> Problem:
        return Problem(503, "pool_unavailable", f"The accounts of the pool cannot be used: {self.keeper.trouble}", 30)

    def _refresh(self) -> None:
        """Accounts or settings have changed: be at work only where there is something to do."""
        stored = self.keeper.settings.get("account_rotation.strategy")
        layers = core_of(self).layers
        named = STRATEGY_OPTION in layers.given or STRATEGY_OPTION.upper() in layers.environ
        pinned = named or ctx.options.has_changed(STRATEGY_OPTION)
        strategy = stored if stored in STRATEGIES and not pinned else self.settings.strategy
        if self.pool.strategy != strategy:
            self.pool.configure(strategy=str(strategy))
        self._outfit.keep(self.pool.accounts)
        self._bases = base_paths(self.pool.accounts)
        wired = bool(self.pool.accounts) or bool(self.keeper.trouble)
        if wired != self._wired:
            self._wired = wired
            self._turns.clear()
            for hook in AT_WORK:
                if wired:
                    vars(self).pop(hook, None)
                else:
                    vars(self)[hook] = None
            core_of(self).rewire()


addons = [AccountRotation()]
