"""The port, the proxies that run, and the daemon."""

from __future__ import annotations

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
    if _is_free(wanted):
        yield ok("port", f"port {wanted} is free")
        return
    ours = next((one for one in around.running if wanted in ports(one)), None)
    if ours is not None:
        yield ok("port", f"port {wanted} is held by a proxy of this home (pid {ours.pid})")
        return
    answer = probe(f"127.0.0.1:{wanted}")
    another = "codemie-proxy start --port 0 takes a free one"
    if answer.health is not None:
        yield note("port", f"port {wanted} is held by a proxy of another CodeMie home{holder_of(wanted)}", another)
    else:
        yield warning("port", f"port {wanted} is held by another program{holder_of(wanted)}", another)


def register(around: Surroundings) -> Iterator[Finding]:
    """The proxies of this home, and what is left of others."""
    folder = around.places.run
    before = set(folder.glob("*.json")) if folder.is_dir() else set()
    running = around.running
    if not running:
        yield ok("proxies", "no proxy runs")
    for one in running:
        yield _asked(one)
    # Reading the register removed what nobody stands behind.
    gone = [path for path in before if not path.exists()]
    if gone:
        yield note("register", f"{len(gone)} entries of proxies that were killed have been removed")
    left = [path for path in before if path.exists() and path.stem not in {one.run_id for one in running}]
    for path in left:
        yield warning("register", f"{path} cannot be read", f"rm {path}")


def daemon(around: Surroundings) -> Iterator[Finding]:
    """The one of this home."""
    found = control.look(around.places)
    if found.state is None:
        yield ok("daemon", "none has been started")
    elif found.condition == "ok" and not found.fix:
        again = f", started anew {found.state.restarts} times" if found.state.restarts else ""
        yield ok("daemon", f"serves at {found.state.url}{again}")
    elif found.condition == "ok":
        yield warning("daemon", found.words, found.fix)
    else:
        yield problem("daemon", f"{found.condition}: {found.words}", found.fix)


def ports(entry: RunningProxy) -> list[int]:
    """Where it listens."""
    return [int(one.rpartition(":")[2]) for one in entry.addresses if one.rpartition(":")[2].isdigit()]


def _asked(one: RunningProxy) -> Finding:
    where = f"{', '.join(one.addresses)} (pid {one.pid})"
    if not one.addresses:
        return warning("proxies", f"the proxy of pid {one.pid} listens nowhere", f"kill {one.pid}, and start it anew")
    answer = probe(one.addresses[0], run_id=one.run_id)
    if answer.state != "ok":
        fix = f"kill {one.pid}, and start it anew; a daemon: codemie-proxy daemon restart"
        return problem("proxies", f"{where}: {answer.state}, {answer.words}", fix)
    failed = [
        f"{addon.get('name')} {addon.get('state')}"
        for addon in (answer.health or {}).get("addons", ())
        if addon.get("state") in ("degraded", "failed")
    ]
    if failed:
        return warning("proxies", f"{where} serves, but {', '.join(failed)}", "codemie-proxy logs --level warn")
    return ok("proxies", f"{where} serves")


def _is_free(wanted: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", wanted))
        except OSError:
            return False
    return True
