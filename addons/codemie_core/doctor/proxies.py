"""The port, the proxies that run, and the daemon."""

from __future__ import annotations

import errno
import shlex
import socket
from collections.abc import Iterator

from codemie_core.daemon import control
from codemie_core.daemon.probe import probe
from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.holder import holder_of
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.running import RunningProxy


def port(around: Surroundings) -> Iterator[Finding]:
    """May a start have its port?"""
    wanted = around.port
    trouble = _refusal(wanted)
    if trouble is None:
        yield ok("port", f"port {wanted} is free")
        return
    ours = next((one for one in around.running if wanted in ports(one)), None)
    if ours is not None:
        yield ok("port", f"port {wanted} is held by a proxy of this home (pid {ours.pid})")
        return
    another = "codemie-proxy start --port 0 takes a free one"
    if trouble.errno != errno.EADDRINUSE:
        yield warning("port", f"port {wanted} cannot be had: {trouble.strerror}", another)
        return
    answer = probe(f"127.0.0.1:{wanted}")
    if answer.health is not None:
        yield note("port", f"port {wanted} is held by a proxy of another CodeMie home{holder_of(wanted)}", another)
    else:
        yield warning("port", f"port {wanted} is held by another program{holder_of(wanted)}", another)


def admin_port(around: Surroundings) -> Iterator[Finding]:
    """May the dashboard have its port, where it is to have a certain one?"""
    text = around.setting("admin_server", "port")
    wanted = int(text) if text.isdigit() else 0
    if not 0 < wanted < 65536:
        return
    if _refusal(wanted) is None or any(one.admin_port == wanted for one in around.running):
        yield ok("admin_port", f"codemie_admin_server_port: port {wanted} is free, or held by a proxy of this home")
        return
    words = f"codemie_admin_server_port: port {wanted} is held by another program{holder_of(wanted)}"
    yield warning("admin_port", words, "export CODEMIE_ADMIN_SERVER_PORT=0    (takes a free one)")


def register(around: Surroundings) -> Iterator[Finding]:
    """The proxies of this home, and what is left of others."""
    found = around.register
    if not found.running:
        yield ok("proxies", "no proxy runs")
    for one in found.running:
        yield _asked(one, around)
    if found.gone:
        many = "entries of proxies that were killed have" if found.gone > 1 else "entry of a proxy that was killed has"
        yield note("register", f"{found.gone} {many} been removed")
    for path in found.odd:
        yield warning("register", f"{path} cannot be read", shlex.join(["rm", str(path)]))


def daemon(around: Surroundings) -> Iterator[Finding]:
    """The one of this home."""
    found = control.look(around.places)
    if found.state is None:
        yield ok("daemon", "no daemon has been started")
    elif found.condition == "ok" and not found.fix:
        again = f", started anew {found.state.restarts} times" if found.state.restarts else ""
        yield ok("daemon", f"the daemon serves at {found.state.url}{again}")
    elif found.condition == "ok":
        yield warning("daemon", f"the daemon: {found.words}", found.fix)
    else:
        yield problem("daemon", f"the daemon is {found.condition}: {found.words}", found.fix)


def ports(entry: RunningProxy) -> list[int]:
    """Where it listens."""
    return [int(one.rpartition(":")[2]) for one in entry.addresses if one.rpartition(":")[2].isdigit()]


def _asked(one: RunningProxy, around: Surroundings) -> Finding:
    where = f"{', '.join(one.addresses)} (pid {one.pid})"
    background = around.daemon is not None and around.daemon.serves and around.daemon.proxy_pid == one.pid
    # One that hangs need not hear a plain `kill`.
    fix = "codemie-proxy daemon restart" if background else f"kill {one.pid}; kill -9 {one.pid}; then start it anew"
    if not one.addresses:
        return warning("proxies", f"the proxy of pid {one.pid} listens nowhere", fix)
    answer = probe(one.addresses[0], run_id=one.run_id)
    if answer.state != "ok":
        return problem("proxies", f"{where}: {answer.state}, {answer.words}", fix)
    failed = [
        f"{addon.get('name')} {addon.get('state')}"
        for addon in (answer.health or {}).get("addons", ())
        if addon.get("state") in ("degraded", "failed")
    ]
    if failed:
        return warning("proxies", f"{where} serves, but {', '.join(failed)}", "codemie-proxy logs --level warn")
    return ok("proxies", f"{where} serves")


def _refusal(wanted: int) -> OSError | None:
    """What the system says to who wants it; None: it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", wanted))
        except OSError as trouble:
            return trouble
    return None
