"""The model API: can it be reached, does its certificate hold, and do our clocks agree? No credential goes there."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx

from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.proxies import ports
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.egress import OutboundProxy, egress_from_env
from codemie_core.errors import SettingsError
from codemie_core.target import Target, parse_target
from codemie_core.web import answer_of_outbound, client_for

if TYPE_CHECKING:
    from codemie_core.profile import Profile

SECONDS = 6.0
SKEW = 120.0
"""Seconds by which two clocks may differ: sessions and tokens are good for minutes at least."""


def reach(around: Surroundings) -> Iterator[Finding]:
    """One HEAD to each target, as the proxy would go there."""
    targets = _targets(around)
    known = around.layers.profile
    if known.url_from_project and not around.target:
        # Looking at a folder that somebody else wrote must not call anybody.
        words = f"{known.project_file} leads to {_url(known)}, which was not asked: that file may come from anyone"
        yield note("upstream", words, shlex.join(["codemie-proxy", "doctor", _url(known)]))
    elif not targets:
        yield note("upstream", "no target is configured", "codemie-proxy doctor https://api.anthropic.com looks at one")
    for url in targets:
        try:
            wanted = parse_target(url)
        except SettingsError as trouble:
            yield problem("upstream", str(trouble), "write https://host[:port][/path]")
            continue
        yield from _asked(wanted, around)


def _targets(around: Surroundings) -> list[str]:
    """What was named; else where the proxies that run lead, the daemon, and the profile."""
    if around.target:
        return [around.target]
    modes = [mode.removeprefix("reverse:").partition("@")[0] for one in around.running for mode in one.mode]
    found = [mode for mode in modes if mode.startswith(("http://", "https://"))]
    if around.daemon is not None:
        order = around.daemon.order
        found += [order.target, *(rule.partition("=")[2].strip() for rule in order.retarget)]
    if not around.layers.profile.url_from_project:
        found.append(_url(around.layers.profile))
    return list(dict.fromkeys(_plain(url) for url in found if url))


def _url(known: Profile) -> str:
    return known.base_url or known.codemie_url


def _plain(url: str) -> str:
    """The same for what leads to the same place; what cannot be read stays, and is told."""
    try:
        wanted = parse_target(url)
    except SettingsError:
        return url
    return f"{wanted.origin}{wanted.path}"


def _asked(wanted: Target, around: Surroundings) -> Iterator[Finding]:
    where = wanted.origin
    try:
        answer = asyncio.run(_head(f"{where}{wanted.path or '/'}", around))
    except SettingsError as trouble:
        yield problem("upstream", f"{where}: {trouble}", "mend it where it is set")
        return
    except (httpx.HTTPError, OSError, TimeoutError) as trouble:
        yield problem("upstream", *_words(where, wanted, trouble, _way(wanted, around)))
        return
    yield ok("upstream", f"{where} answers ({answer.status_code})")
    yield from _clock(where, answer.headers, around.now())


def _way(wanted: Target, around: Surroundings) -> OutboundProxy | None:
    """The outbound proxy in between; one of ours is passed over, as the proxy itself does."""
    ours = [("127.0.0.1", number) for one in around.running for number in ports(one)]
    return egress_from_env(around.outside).without(ours).via(wanted.scheme, wanted.host, wanted.port)


class _Aside(ThreadPoolExecutor):
    """Threads that nobody waits for: a name that takes minutes to be resolved holds up neither us nor our end."""

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the usual one, in a thread of its own."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as trouble:
                future.set_exception(trouble)

        threading.Thread(target=work, name="doctor resolves", daemon=True).start()
        return future


async def _head(url: str, around: Surroundings) -> httpx.Response:
    ca_file = around.setting("upstream_attempts", "ca_file")
    asyncio.get_running_loop().set_default_executor(_Aside())
    async with asyncio.timeout(SECONDS):
        async with client_for(url, around.places, around.outside, ca_file, SECONDS) as client:
            return await client.head(url)


def _clock(where: str, headers: Mapping[str, str], now: float) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return
    skew = now - theirs
    if abs(skew) <= SKEW:
        yield ok("clock", f"this machine's clock agrees with {where}")
        return
    words = f"this machine's clock is {abs(skew) / 60:.0f} min {'ahead of' if skew > 0 else 'behind'} that of {where}"
    yield warning("clock", f"{words}: sessions seem to end early or late", _set_clock())


def _set_clock() -> str:
    if sys.platform == "darwin":
        return "sudo sntp -sS time.apple.com"
    if shutil.which("timedatectl"):
        return "sudo timedatectl set-ntp true"
    return "set the clock of this machine; in a container, that of its host"


def _words(where: str, wanted: Target, trouble: BaseException, way: OutboundProxy | None) -> tuple[str, str]:
    """What it means, and the fix. The error's own words stay out, unless they are the TLS library's."""
    causes = list(_causes(trouble))
    status = next(filter(None, map(answer_of_outbound, causes)), None)
    if way and status:
        return _refused(where, way, status)
    tls = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        fix = "name the company's authority: export CODEMIE_UPSTREAM_ATTEMPTS_CA_FILE=FILE; or look at the clock"
        return f"the certificate of {where} is not trusted: {tls.verify_message}", fix
    if tls is not None:
        return f"the TLS handshake with {where} fails ({tls.reason or 'cut'})", "check https and the port of the target"
    if any(isinstance(one, TimeoutError | httpx.TimeoutException) for one in causes):
        words = f"{where} does not answer within {SECONDS:g} s"
    elif any(isinstance(one, socket.gaierror) for one in causes):
        # Behind an outbound proxy that one alone is looked up here.
        words = f"the name {way.host if way else wanted.host} cannot be resolved"
    else:
        words = f"{where} cannot be reached ({type(causes[-1]).__name__})"
    if way:
        return f"{words}, asked through the outbound proxy {way.host}:{way.port}", "check HTTPS_PROXY, and the target"
    return words, "check the target, with curl for instance; behind a company's proxy set HTTPS_PROXY"


def _refused(where: str, way: OutboundProxy, status: int) -> tuple[str, str]:
    """What an outbound proxy says that does not lead there."""
    words = f"the outbound proxy {way.host}:{way.port} answers {status} when asked for {where}"
    if status in (401, 407):
        return words, "correct the user and the password in HTTPS_PROXY, in which an @ is written %40"
    if status < 500:
        return words, "ask whoever runs it whether it allows that address"
    return words, "it does not reach that address itself: check the target"


def _causes(trouble: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = trouble
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
