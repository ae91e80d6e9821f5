"""`codemie-proxy run`: one agent, with a proxy for as long as it runs."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from codemie_core.errors import SettingsError
from codemie_core.interception.rules import parse_rules
from codemie_core.launch import destination, serving
from codemie_core.launch.agents import LaunchAgent, agent_for
from codemie_core.launch.child import Child
from codemie_core.launch.client_key import client_key
from codemie_core.launch.defaults import defaults_for
from codemie_core.launch.destination import Destination
from codemie_core.launch.environment import Circumstances, Prepared, Via, pointers_to, prepare, without_secrets
from codemie_core.launch.kept_proxy import KeptProxy
from codemie_core.launch.meant import keep_keys_home
from codemie_core.launch.nesting import DEEPEST, LOOP, marked, outer_run
from codemie_core.launch.overruling import overrule
from codemie_core.launch.pool_facts import PoolFacts, pool_facts
from codemie_core.launch.program import find_program
from codemie_core.launch.traps import Look, logged_in, traps
from codemie_core.places import Places

GRACE = 2.0
"""Seconds for what an agent still sends when it has ended: its telemetry."""
KEPT_LOGS = 7 * 24 * 3600.0
SESSION = "CODEMIE_SESSION_ID"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    command: str
    arguments: Sequence[str] = ()
    via: Via = "base-url"
    target: str | None = None
    profile: str = ""
    port: int = 0
    own: bool = False
    """Not the daemon's proxy, even if it fits."""
    passed_on: Sequence[str] = ()
    """For mitmdump."""


class Run:
    """`say` gets what the user should know, a line at a time; never for stdout, which is the agent's."""

    def __init__(self, wanted: Wanted, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._outer = outer_run(environ)
        self._environ = self._outer.undone(environ) if self._outer else environ
        self._depth = self._outer.depth + 1 if self._outer else 1
        self._wanted, self._say = wanted, say
        self._places = Places.from_env(environ)
        self._agent: LaunchAgent = agent_for(wanted.command)

    def run(self) -> int:
        """The agent's exit code. A CodemieError when the proxy cannot be had, NotRun when there is no such program."""
        wanted = self._wanted
        program = find_program(wanted.command, self._agent, self._environ)
        if self._depth > DEEPEST:
            raise SettingsError(LOOP.format(program=program, command=wanted.command, depth=DEEPEST))
        going = destination.decide(
            self._agent, wanted.command, wanted.via, wanted.target, wanted.profile, self._environ
        )
        keep_keys_home(look_of(self._agent, wanted, self._environ), wanted.target, going)
        for note in going.notes:
            self._say(note)
        with self._proxy(going) as url:
            prepared = prepared_for(self._agent, wanted, going, url, self._places, self._environ)
            for note in prepared.notes:
                self._say(note)
            command = [program, *prepared.arguments, *wanted.arguments]
            return Child().run(command, marked(self._agent, wanted.via, url, prepared, self._environ, self._depth))

    @contextmanager
    def _proxy(self, going: Destination) -> Iterator[str]:
        shared = None if self._wanted.own or self._wanted.port else self._shared(going)
        if shared is not None:
            yield shared
            return
        with self._own(going) as url:
            yield url

    def _shared(self, going: Destination) -> str | None:
        wanted, outer = self._wanted, self._outer
        as_usual = wanted.target is None and not wanted.profile and not wanted.passed_on
        if outer is not None and as_usual and outer.serves(self._agent, wanted.via):
            return outer.url
        return serving.daemon_for(going, wanted.passed_on, self._places)

    @contextmanager
    def _own(self, going: Destination) -> Iterator[str]:
        session = str(uuid.uuid4())
        log = self._places.run / f"{session}.log"
        _remove_old(self._places.run)
        environ = {**self._environ, SESSION: session}
        wanted = self._wanted
        proxy = KeptProxy(self._places, environ, going.arguments, log, self._say, wanted.passed_on, wanted.port)
        try:
            proxy.up()
            yield f"http://127.0.0.1:{proxy.port}"
            _end(proxy)
        finally:
            proxy.stop()
        if proxy.restarts:
            self._say(f"the proxy ended early and was started again ({proxy.restarts}); what it said: {log}")
        elif not proxy.lost:
            log.unlink(missing_ok=True)


def prepared_for(
    agent: LaunchAgent,
    wanted: Wanted,
    going: Destination,
    url: str,
    places: Places,
    environ: Mapping[str, str],
    hide: bool = True,
) -> Prepared:
    """What to change for this agent, with all that can be known of it before it starts.

    Without `hide` our secrets are passed over, not taken out: for a shell that may start a proxy, too.
    """
    from codemie_core.interception.trust import make_trust

    defaults = defaults_for(agent, wanted.via, places, environ)
    look = look_of(agent, wanted, {**environ, **defaults})
    pool: PoolFacts = pool_facts(environ)
    shown, lacks = client_key(agent, places, environ)
    known = Circumstances(
        target_host=going.host,
        signed_in=frozenset(_signed_in(agent, wanted.via, going, pool)),
        logged_in=logged_in(look),
        client_key=shown,
        defaults=defaults,
        secrets=pool.variables | going.secrets,
    )
    trust = make_trust(places, environ) if wanted.via == "https-proxy" else None
    visible = environ if hide else without_secrets(environ, known.secrets)
    prepared = prepare(agent, wanted.via, url, trust, visible, known)
    hidden = (*prepared.hidden, *(name for name in environ if name not in visible))
    notes = (*prepared.notes, *([lacks] if lacks else []))
    prepared = dataclasses.replace(prepared, hidden=hidden, notes=notes)
    return overrule(agent, prepared, traps(look), wanted.arguments, visible)


def _signed_in(agent: LaunchAgent, via: Via, going: Destination, pool: PoolFacts) -> Iterator[str]:
    """Vendors whose requests get a credential from the proxy, or go elsewhere without the agent's."""
    if via == "base-url":
        if going.gateway or pool.serves((going.host,)):
            yield from (pointer.vendor for pointer in pointers_to(agent, going.host))
        return
    led = {rule.host for rule in parse_rules(going.retarget)}
    yield from (key.vendor for key in agent.keys if key.vendor in led or pool.serves((key.vendor,)))


def look_of(agent: LaunchAgent, wanted: Wanted, environ: Mapping[str, str]) -> Look:
    """Where its files lie. SettingsError when somebody has removed the working folder, or the user has no home."""
    try:
        return Look(agent, wanted.via, Path.home(), Path.cwd(), environ, wanted.arguments)
    except OSError as problem:
        raise SettingsError(f"the working folder: {problem.strerror}; change to another one") from None
    except RuntimeError:
        raise SettingsError("there is no home folder for this user; set HOME to one") from None


def _end(proxy: KeptProxy) -> None:
    """After the grace. Ctrl-C ends that alone: how the agent ended and what it used must not be lost by it."""
    over = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: over.set())
    try:
        over.wait(GRACE)
        proxy.stop()
    finally:
        signal.signal(signal.SIGINT, before)


def _remove_old(folder: Path) -> None:
    """What runs have left that were killed."""
    for log in folder.glob("*.log") if folder.is_dir() else ():
        try:
            if log.stat().st_mtime < time.time() - KEPT_LOGS:
                log.unlink()
        except OSError:
            continue
