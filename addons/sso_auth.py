"""Signs requests in to CodeMie's gateway, with the cookies or the JWT of `codemie-proxy auth login`.

Fails closed: a request to the gateway goes out with a session or is answered with a 401 that names the command to run.
The session never touches the flow: the attempt machine attaches it to a copy of each attempt, and only where that
attempt goes to the gateway's own scheme, host, port and path. An expired session rarely shows itself as a 401; however
it does, the agent gets the same error, unless somebody has signed in meanwhile: then the very same request succeeds.
"""

import asyncio
import dataclasses
import logging
import re
import shlex
from typing import Annotated
from urllib.parse import unquote, urlsplit

from mitmproxy import ctx, exceptions, http
from mitmproxy.proxy.mode_specs import ReverseMode
from pydantic import Field, field_validator

from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import core_of
from codemie_core.credential import CLIENT_CREDENTIALS, Credential
from codemie_core.errors import Problem, SettingsError
from codemie_core.exchange import Attempt, Exchange, exchange_of
from codemie_core.options import FromProfile
from codemie_core.policy import Answer, Decision, Release, Retry
from codemie_core.profile import PROFILE_VARIABLE
from codemie_core.refusal import refuse
from codemie_core.scope import address_of
from codemie_core.sso.backend import Backend, Verdict, api_base
from codemie_core.sso.expiry import sign_of_expiry
from codemie_core.sso.keeper import LONGEST_CHECK, Keeper
from codemie_core.sso.session import Session
from codemie_core.sso.sources import gateway_session, given_session
from codemie_core.sso.store import CredentialStore
from codemie_core.target import parse_target
from codemie_core.urls import is_plain_url, origin_of
from codemie_core.web import client_for

logger = logging.getLogger(__name__)

AGENT_CREDENTIALS = CLIENT_CREDENTIALS | {"user-id"}
"""Whatever of these an agent sends is a dummy that its settings made it have."""
AT_WORK = ("request", "upstream_response", "upstream_failed", "responseheaders")
CA_FILE_OPTION = "codemie_upstream_attempts_ca_file"
EXPIRED = "session_expired"
NOT_HERE = Problem(
    400, "sign_in_elsewhere", "Nobody signs in through this proxy. Its operator runs: codemie-proxy auth login"
)
UNSIGNABLE = Problem(
    502, "cannot_sign_in", "This request cannot be signed in: it is replayed, or upstream_attempts is not at work."
)


class SsoAuth(Addon, priority=10, fail="closed"):
    """One gateway, one session at a time."""

    switchable = False

    class Settings(AddonSettings):
        """Where the session may go."""

        url: Annotated[str, FromProfile("gateway_url")] = Field(
            "", description="Base URL of the CodeMie gateway that requests are signed in to; empty signs none in."
        )
        verify_403: bool = Field(
            True,
            description="Ask the gateway about the session when it answers 403; otherwise each 403 counts as expired.",
        )

        @field_validator("url")
        @classmethod
        def _may_get_a_session(cls, url: str) -> str:
            if url:
                place_of(url)
            return plain(url)

    settings: Settings

    def __init__(self) -> None:
        self._place: Credential | None = None
        self._url: str | None = None
        self._keeper: Keeper
        self._signed: tuple[Session, Credential] | None = None
        self._fix = ""

    def configure(self, updated: set[str]) -> None:
        """Refuse what would print the session."""
        if "proxy_debug" in updated and ctx.options.proxy_debug and self.settings.url:
            raise exceptions.OptionsError(
                "proxy_debug prints whatever goes over the wire, the session too: leave it unset, or sign nobody in "
                "(codemie_disabled=sso_auth)"
            )

    def settled(self) -> None:
        """Find out where the session comes from, before anybody asks for it."""
        url, core = self.settings.url, core_of(self)
        if url == self._url:
            return
        if self._url is not None and core.running_since:
            raise SettingsError("codemie_sso_auth_url cannot be changed while the proxy runs; restart it")
        profile, environ, store = core.layers.profile, core.layers.environ, CredentialStore(core.places)

        def load() -> tuple[Session | None, str]:
            session = gateway_session(profile, url, environ, store)
            return session, " ".join(store.problems)

        fix = f"Run: {self._command()} (no restart is needed)."
        if given := given_session(profile, url, environ):  # Its mistakes are to be told at start.
            fix = f"Put a new token into {given.source} and restart the proxy."
        self._url, self._fix, self._place = url, fix, place_of(url) if url else None
        core.further_hosts[self.name] = (address_of(self._place.host[0], self._place.port),) if self._place else ()
        self._keeper = Keeper(load, lambda: store.signature(url), self._check)
        # The attempt machine starts no hook that nobody has, so a proxy of other APIs pays nothing for this addon.
        for hook in AT_WORK:
            if url:
                vars(self).pop(hook, None)
            else:
                vars(self)[hook] = None

    def _command(self) -> str:
        core = core_of(self)
        profile = core.layers.profile
        words = ["codemie-proxy", "auth", "login", *(["--jwt"] if profile.auth_method == "jwt" else [])]
        if core.settings.profile or core.layers.environ.get(PROFILE_VARIABLE):
            words += ["--profile", profile.name]
        if self.settings.url != plain(profile.gateway_url):
            words += ["--url", self.settings.url]
        return shlex.join(words)

    async def start(self) -> None:
        """A proxy without a session serves: it may come any time."""
        if self._place is not None and await self._keeper.current() is None:
            logger.warning("%s", self._problem().message)

    async def request(self, flow: http.HTTPFlow) -> None:
        """Give the exchange its credential. The path is final: `upstream_attempts` has put the target's before it."""
        place, request = self._place, flow.request
        if place is None or flow.response is not None or flow.error is not None:
            return
        exchange = exchange_of(flow)
        if not exchange.scoped or not place.fits(request.scheme, request.host, request.port, request.path):
            return
        if "sec-fetch-site" in request.headers and not isinstance(flow.client_conn.proxy_mode, ReverseMode):
            return  # A browser behind the proxy: it has a session of its own, and its pages may be anybody's.
        if exchange.plan is None:
            refuse(flow, UNSIGNABLE)
        elif signs_in(request.path):
            refuse(flow, NOT_HERE)
        elif (session := self._keeper.at_hand() or await self._keeper.current()) is None:
            refuse(flow, self._problem())
        else:
            exchange.credentials.append(self._credential(session))

    def upstream_response(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        """Keep the answer to an expired session from the agent."""
        request, response = flow.request, flow.response
        used = self._used_by(exchange_of(flow))
        if used is None or response is None or attempt.held_back:
            return  # It went out unsigned, so the answer says nothing about the session.
        header = response.headers.get
        if sign_of_expiry(request.url, response.status_code, header("location"), header("content-type")) and used.fits(
            request.scheme, request.host, request.port, request.path
        ):
            attempt.reject(EXPIRED)

    async def upstream_failed(self, flow: http.HTTPFlow, attempt: Attempt) -> None:
        """Try again with a newer session, or say that there is none."""
        exchange = exchange_of(flow)
        used = self._used_by(exchange)
        if used is not None and attempt.rejected == EXPIRED:
            attempt.decision = await self._decide(exchange, used, attempt.status)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Whatever cookies the gateway sets belong to the session, which is not the agent's."""
        response = flow.response
        if response is not None and "set-cookie" in response.headers and self._used_by(exchange_of(flow)):
            del response.headers["set-cookie"]

    async def _decide(self, exchange: Exchange, used: Credential, status: int | None) -> Decision:
        session = await self._keeper.renewed()
        again = any(attempt.rejected == EXPIRED for attempt in exchange.attempts[:-1])
        if session is not None and not again and (newer := self._credential(session)) is not used:
            exchange.credentials = [newer if credential is used else credential for credential in exchange.credentials]
            return Retry(0.0)
        doubtful = session is not None and status == 403 and self.settings.verify_403
        if session is not None and doubtful and await self._keeper.verdict(session) is Verdict.VALID:
            return Release()
        return Answer(self._problem())

    def _credential(self, session: Session) -> Credential:
        """The same object for the same session: that is how a newer one is told."""
        if self._signed is None or self._signed[0] is not session:
            assert self._place is not None
            self._signed = session, dataclasses.replace(self._place, headers=session.headers())
        return self._signed[1]

    def _used_by(self, exchange: Exchange) -> Credential | None:
        return next((credential for credential in exchange.credentials if credential.owner == self.name), None)

    def _problem(self) -> Problem:
        if self._keeper.session is not None:
            return Problem(401, EXPIRED, f"The sign-in to CodeMie at {self.settings.url} has expired. {self._fix}")
        why = "cannot be read" if self._keeper.trouble else "is missing"
        return Problem(401, "sign_in_required", f"The sign-in to CodeMie at {self.settings.url} {why}. {self._fix}")

    async def _check(self, session: Session) -> Verdict:
        """Ask where the session is sent to anyway, whatever address was stored with it."""
        url, core = self.settings.url, core_of(self)
        ca_file = getattr(ctx.options, CA_FILE_OPTION) if CA_FILE_OPTION in ctx.options else ""
        # Reading the authorities takes long enough to be felt.
        client = await asyncio.to_thread(
            client_for, url, core.places, core.layers.environ, ca_file, timeout=LONGEST_CHECK
        )
        async with client:
            verdict, _ = await Backend(api_base(url), client).check(dataclasses.replace(session, api_url=url))
        return verdict


def signs_in(path: str) -> bool:
    """Is it CodeMie's login? With a session in place that hands the session over, to whatever port is asked for."""
    bare = re.split(r"[?#]", path, maxsplit=1)[0]
    return "/auth/login" in re.sub(r"[/\\]+", "/", unquote(unquote(bare))).lower()


def plain(url: str) -> str:
    """`url` in the one form that can be compared and read: no default port, no slash at the end."""
    return origin_of(url) + urlsplit(url).path.rstrip("/") if url else ""


def place_of(url: str) -> Credential:
    """Where the session may go, as a credential that holds nothing yet. ValueError when that would be unsafe."""
    if not is_plain_url(url):
        raise ValueError("must be like https://host/path, without user, password, ? and #")
    target = parse_target(url)
    try:
        return Credential(
            target.scheme, target.host, target.port, target.path or "/", {}, AGENT_CREDENTIALS, SsoAuth.name
        )
    except ValueError:
        fix = "begin it with https:// (in a CodeMie profile it is baseUrl); plain http is for this machine alone"
        raise ValueError(f"{url!r} would carry the session unencrypted: {fix}") from None


addons = [SsoAuth()]
