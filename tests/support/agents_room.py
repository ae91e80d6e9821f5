"""The surroundings of one real agent: a scripted upstream, the proxy before it, a pool of two, a folder to work in.

In HTTPS_PROXY mode the upstream has certificates for the vendors' names, and all of the proxy's connections end there.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from codemie_core.demo.frames import sse
from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.interception.trust import Trust
from codemie_core.launch.environment import Via
from codemie_core.store import tables
from support import stay_home
from support.access import until
from support.agents_clients import OWN, Client, Run, Told, Way
from support.agents_npm import NotInstalled
from support.agents_wire import InTurn, answer
from support.certificates import Authority, ca_of
from support.proxy import BUNDLE, Mitmproxy
from support.scripted import Scripted
from support.stored import StoredHome

MAIN, SPARE = "sk-planted-main-account", "sk-planted-spare-account"
SESSION = "5e551071-0000-4000-8000-00000000a9e7"
"""Given to the proxy, as a launcher does."""
_BUSY = {"type": "service_unavailable_error", "code": "server_is_overloaded", "message": "Try again"}
WEBSOCKET_OVERLOAD = sse({"type": "error", "status": 503, "error": _BUSY})
"""As OpenAI says it in a message; without a status Codex passes over it, and waits."""
VENDORS = ("api.anthropic.com", "api.openai.com", "chatgpt.com", "generativelanguage.googleapis.com")
LATE = 60.0
"""Seconds for what is a matter of one, on a machine with much else to do."""


class Room:
    """One client with its proxy and upstream; `pool` is False for the agent alone, without any proxy.

    Without `own_proxy` there is a pool at the upstream itself, for a proxy that somebody else starts.
    """

    def __init__(self, client: Client, via: Via, folder: Path, pool: bool = True, own_proxy: bool = True) -> None:
        self.client, self.via, self.pool, self._own_proxy = client, via, pool, own_proxy
        self.folder = folder / "work"
        self.folder.mkdir()
        self.home = StoredHome(folder / "proxy-home" / ".codemie", {"CODEMIE_KEYRING": "0"})
        self._signer = Authority(folder) if via == "https-proxy" else None
        self._upstream_port, self._proxy_port = _free_port(), _free_port()
        self._before: list[Received] = []
        self._logs: list[str] = []
        self.tolds: list[Told] = []
        self.options: dict[str, object] = {"codemie_upstream_attempts_backoff": "50ms"}
        """Of the proxy. What is added counts for the next one that is started."""

    def __enter__(self) -> Room:
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._serve()
            stack.callback(lambda: self.upstream.__exit__(None, None, None))
            if self.pool:
                for priority, (name, secret) in enumerate((("main", MAIN), ("spare", SPARE))):
                    fields = {"provider": self.client.provider, "priority": priority}
                    self.home.key(name, self._account_url, secret, **fields)
            if self.pool and self._own_proxy:
                self.proxy = stack.enter_context(self._started())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def way(self) -> Way:
        """For the client."""
        if not self.pool:
            return Way("base-url", self.upstream.url)
        certificate = ca_of(self.proxy.confdir)
        return Way(self.via, self.proxy.url, Trust(certificate, certificate) if self._signer else None)

    def ask(self, prompt: str, again: bool = False, **more: Any) -> Told:
        """Run the client once, until it ends."""
        self.tolds.append(told := self.client.ask(self.way, self.folder, prompt, again, **more))
        return told

    def started(self, prompt: str) -> Run:
        """Run it while something else happens; `end` waits for it."""
        return self.client.start(self.way, self.folder, prompt)

    def end(self, run: Run) -> Told:
        """Wait for the end of what was started."""
        self.tolds.append(told := run.told())
        return told

    # --- the script ---

    def says(self, *turns: Step) -> None:
        """What model turns are answered, in this order; the last one goes on. Titles and the like get a word."""
        if self.client.websocket:
            turns = _messages(turns)
        self._others()
        self.upstream.script_for(self._is_turn, *turns[:-1], then=turns[-1])

    def fails(self, account: str, step: Step) -> None:
        """Every turn that this account asks for; before `says`."""
        key = {"main": MAIN, "spare": SPARE}[account]
        self._others()
        self.upstream.script_for(lambda request: key in request.keys and self._is_turn(request), then=step)

    def words(self, text: str, **step: Any) -> Step:
        """An answer of the model."""
        return answer(self.client.api, text, **step)

    def runs(self, command: str) -> Step:
        """The model has this run in a shell."""
        return answer(self.client.api, call=self.client.call(command))

    def _others(self) -> None:
        self.upstream.script(then=Step(text="A title"))
        if self.client.side:
            self.upstream.script_for(self._is_side, then=self.words("A title"))

    def _is_side(self, request: Received) -> bool:
        length = int(request.header("content-length") or 0)
        return self.client.path in request.path and 0 < length < self.client.side

    def _is_turn(self, request: Received) -> bool:
        wanted = "GET" if self.client.websocket else "POST"
        return self.client.path in request.path and request.method == wanted and not self._is_side(request)

    # --- what happens to the proxy and the upstream ---

    def restart_upstream(self) -> None:
        """On the same port; all of its connections end."""
        self._before += self.upstream.requests
        self.upstream.__exit__(None, None, None)
        self._serve()

    def restart_proxy(self) -> None:
        """On the same port, with the same home."""
        self.proxy.stop()
        self._logs.append(self.proxy.log)
        self.proxy = self._stack.enter_context(self._started())

    def _serve(self) -> None:
        tls = self._signer.server("localhost", "127.0.0.1", *VENDORS) if self._signer else None
        self.upstream = Scripted(tls=tls, port=self._upstream_port)
        self.upstream.__enter__()

    @property
    def authority(self) -> Path | None:
        """Who signs for the upstream, PEM; None where it speaks plain HTTP."""
        return self._signer.pem if self._signer else None

    @property
    def upstream_url(self) -> str:
        return f"{'https' if self._signer else 'http'}://localhost:{self._upstream_port}"

    @property
    def _account_url(self) -> str:
        """An account serves what is asked of its own host."""
        return f"https://{self.client.vendor}" if self._signer and self._own_proxy else self.upstream_url

    def _started(self) -> Mitmproxy:
        mode = "regular" if self._signer else f"reverse:{self.upstream_url}"
        if self._signer:
            self.options["codemie_upstream_attempts_ca_file"] = self._signer.pem
        home = self.home.places.home.parent
        home.mkdir(parents=True, exist_ok=True)
        env = {
            "HOME": str(home),
            "CODEMIE_HOME": str(self.home.places.home),
            "CODEMIE_SESSION_ID": SESSION,
            **stay_home.env(self._upstream_port),
        }
        port = ("--listen-port", str(self._proxy_port))
        return Mitmproxy("--mode", mode, *port, scripts=(BUNDLE, stay_home.SCRIPT), options=self.options, env=env)

    # --- what was seen ---

    @property
    def turns(self) -> list[Received]:
        """The model turns that arrived at the upstream; a WebSocket counts once."""
        return [request for request in (*self._before, *self.upstream.requests) if self._is_turn(request)]

    def asked_last(self) -> str:
        """The last thing that the model was told, body or message."""
        last = self.turns[-1]
        return last.messages[-1] if last.messages else last.body.decode()

    @property
    def accounts(self) -> list[str]:
        """Who asked for each turn, by the one credential it bore."""
        names = {MAIN: "main", SPARE: "spare", OWN: "own"}
        assert all(len(request.keys) == 1 for request in self.turns), [request.keys for request in self.turns]
        return [names.get(request.keys[0], "somebody else's") for request in self.turns]

    def rows(self, count: int) -> list[Mapping[str, Any]]:
        """The turns in the history, oldest first, once there are so many; those the agent asked on the side are not."""

        def found() -> list[Mapping[str, Any]]:
            return [row for row in self._history() if not self._on_the_side(row)]

        until(lambda: len(found()) >= count, LATE)
        return found()

    def ended_as(self, terminal: str) -> Mapping[str, Any]:
        """The first turn in the history that ended this way."""
        until(lambda: any(row["terminal"] == terminal for row in self._history()), LATE)
        return next(row for row in self._history() if row["terminal"] == terminal)

    def _history(self) -> list[Mapping[str, Any]]:
        table = tables.requests
        query = sa.select(table).order_by(table.c.started_ms)
        found = self.home.read(lambda connection: connection.execute(query).mappings().all())
        return [dict(row) for row in found if self.client.path in row["path"]]

    def _on_the_side(self, row: Mapping[str, Any]) -> bool:
        # Codex opens a WebSocket with a message that asks for nothing.
        return bool(0 < row["request_bytes"] < self.client.side or (self.client.websocket and not row["output_tokens"]))

    @property
    def log(self) -> str:
        """Of all proxies there were."""
        return "\n".join([*self._logs, *([self.proxy.log] if self._own_proxy else [])])

    def leaks(self) -> list[str]:
        """Where a planted secret is that does not belong there."""
        pool = (MAIN, SPARE)
        found = [f"upstream: {request}" for request in self.turns if OWN in f"{request.headers}{request.target}"]
        seen = [("the agent's output", told.out + told.err) for told in self.tolds] + [("the proxy's log", self.log)]
        for folder in (self.folder, self.folder.parent / "agent-home"):
            seen += [(str(path), path.read_text("utf-8", "replace")) for path in _files(folder)]
        found += [where for where, text in seen if any(secret in text for secret in pool)]
        written = _files(self.home.places.home)
        found += [str(path) for path in written if any(key.encode() in path.read_bytes() for key in (*pool, OWN))]
        return found


def _messages(turns: Sequence[Step]) -> tuple[Step, ...]:
    """A WebSocket has one step for all of its messages. What refuses the handshake comes before it."""
    refusals = [turn for turn in turns if turn.status != 200]
    streams = [turn for turn in turns if turn.status == 200]
    if any(turn.error_event for turn in streams):
        every = [[WEBSOCKET_OVERLOAD] if turn.error_event else _frames(turn) for turn in streams]
    else:
        every = [_frames(turn) for turn in streams]
    return (*refusals, Step(events=InTurn(*every), gate=streams[0].gate))


def _frames(turn: Step) -> list[bytes]:
    assert not isinstance(turn.events, int | None)
    return list(turn.events)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 20_000_000)


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@contextmanager
def room(client: Client, via: Via, folder: Path, pool: bool = True) -> Iterator[Room]:
    """In a folder that is fresh."""
    with Room(client, via, folder, pool) as found:
        yield found


def installed(client: Client) -> None:
    """Got with npm if need be. Skipped, loudly, when it cannot be had."""
    try:
        client.available()
    except NotInstalled as problem:
        print(f"\nNOT TESTED: {problem}", file=sys.__stderr__, flush=True)
        pytest.skip(str(problem))
