"""Python, mitmproxy, the libraries beside them, and what mitmproxy's own settings would break."""

from __future__ import annotations

import locale
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.surroundings import Surroundings

OLDEST, TESTED = (3, 12), (3, 13)
EXTRAS: Mapping[str, tuple[str, str]] = {
    "store": ("sqlalchemy", "history, cost, accounts"),
    "admin": ("nicegui", "the dashboard and the admin API"),
    "top": ("textual", "codemie-proxy top"),
    "fast": ("uvloop", "a faster event loop"),
    "oauth": ("authlib", "accounts with a sign-in"),
    "prices": ("genai_prices", "prices of models"),
    "telemetry": ("prometheus_client", "Prometheus metrics"),
}
"""Extra -> a module of it, and what it is for."""
KEYRINGS = {"darwin": "keyring", "linux": "secretstorage"}
_BREAKS: Mapping[str, str] = {
    "stream_large_bodies": "hides request bodies from the bundle; the start is refused",
    "connection_strategy": "must stay lazy; the start is refused",
    "proxy_debug": "prints whatever goes over the wire, secrets too",
    "ssl_insecure": "lets anybody pose as the model API",
    "body_size_limit": "ends streams that grow larger than it",
    "ignore_hosts": "may keep the bundle from seeing requests",
    "allow_hosts": "may keep the bundle from seeing requests",
    "intercept": "stops requests until somebody lets them go on, and mitmdump has nobody",
    "block_list": "may answer requests in the model API's place",
    "modify_body": "changes what models and agents say",
    "modify_headers": "changes what is signed and counted",
    "anticomp": "changes what agents accept",
    "mode": "is overruled by `start`, and counts for a plain mitmdump",
    "listen_port": "is overruled by --port only",
}
_STOPS = ("stream_large_bodies", "connection_strategy")
_ROOT = Path(__file__).parents[3]
"""The checkout, when this is one."""


def install_line(*wanted: str) -> str:
    """The command that brings a library to this very Python, which may have no pip of its own."""
    pip = [sys.executable, "-m", "pip", "install"]
    return shlex.join([*(pip if find_spec("pip") else ("uv", "pip", "install", "--python", sys.executable)), *wanted])


def extra_line(name: str) -> str:
    """The same for one of our extras: of the checkout where this is one, as no index need know us."""
    if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "constraints.txt").is_file():
        return install_line("-c", str(_ROOT / "constraints.txt"), "-e", f"{_ROOT}[{name}]")
    return install_line(f"codemie-proxy[{name}]")


def python(_: Surroundings) -> Iterator[Finding]:
    """The interpreter."""
    found = sys.version_info[:2]
    where = f"Python {platform.python_version()} ({sys.executable})"
    if found < OLDEST:
        yield problem("python", f"{where} is too old", "install Python 3.12 or 3.13")
    elif found > TESTED:
        yield note("python", f"{where} is newer than what the bundle was tested with (3.12, 3.13)")
    else:
        yield ok("python", where)
    if (locale.getpreferredencoding(False) or "").replace("-", "").lower() != "utf8":
        yield warning(
            "locale",
            f"text is written as {locale.getpreferredencoding(False)}: names and messages may break",
            "export LANG=C.UTF-8",
        )


def mitmproxy(_: Surroundings) -> Iterator[Finding]:
    """Its version, and whether its internals are those the bundle was tested with."""
    try:
        from codemie_core.seams import dispatch, install, socket_layer, tunnel
        from codemie_core.seams.shape import TESTED as TESTED_MITMPROXY
    except ImportError as missing:
        yield problem("mitmproxy", f"mitmproxy cannot be loaded: {missing}", install_line("mitmproxy>=12.2,<13"))
        return
    # Once our layers are in their places, theirs can no longer be looked at.
    mismatch = (None if install.installed() else install.SHAPE.mismatch()) or tunnel.SHAPE.mismatch()
    back = install_line("--force-reinstall", f"mitmproxy=={TESTED_MITMPROXY}")
    if mismatch:
        yield problem("mitmproxy", mismatch.partition(": pip")[0], back)
        return
    yield ok("mitmproxy", f"mitmproxy {version('mitmproxy')}, internals as tested")
    if not socket_layer.installed() and (sockets := socket_layer.SHAPE.mismatch()):
        yield warning("websocket", f"WebSockets of any size are relayed: {sockets.partition(': pip')[0]}", back)
    if slow := dispatch.SHAPE.mismatch():
        yield warning("dispatch", f"more CPU per request: {slow.partition(': pip')[0]}", back)


def extras(around: Surroundings) -> Iterator[Finding]:
    """Libraries that are there or not."""
    wanted = {**EXTRAS}
    if library := KEYRINGS.get(sys.platform):
        wanted["keyring"] = (library, "sessions in the system's keyring")
    if around.environ.get("CODEMIE_DATABASE_URL"):
        wanted["postgres"] = ("psycopg", "the database that CODEMIE_DATABASE_URL names")
    missing = {name: what for name, (module, what) in wanted.items() if find_spec(module) is None}
    there = [name for name in wanted if name not in missing]
    yield ok("extras", f"installed: {', '.join(there) or 'none'}")
    for name, what in missing.items():
        needed = name == "postgres"
        level = problem if needed else note
        yield level("extras", f"{name} is not installed: no {what}", extra_line(name))


def mitmproxy_settings(around: Surroundings) -> Iterator[Finding]:
    """The config.yaml that every mitmproxy on this machine reads."""
    from codemie_core.errors import SettingsError
    from codemie_core.options import PREFIX
    from codemie_core.settings import load_config_file

    folder = around.home / ".mitmproxy"
    path = next((path for path in (folder / "config.yaml", folder / "config.yml") if path.is_file()), None)
    if path is None:
        yield ok("mitmproxy_settings", "mitmproxy has no settings file of its own")
        return
    try:
        found = load_config_file(path, required=True)
    except SettingsError as trouble:
        yield problem("mitmproxy_settings", str(trouble), f"mend or remove {path}")
        return
    lines = list(_breaking(path, found))
    for name in (name for name in found if name.startswith(PREFIX)):
        words = f"{path} sets {name}, which overrules --set"
        lines.append(warning("mitmproxy_settings", words, f"move it to {around.places.config}"))
    yield from lines or [ok("mitmproxy_settings", f"{path}: nothing in it is in the way")]


def _breaking(path: Path, found: Mapping[str, object]) -> Iterator[Finding]:
    for name, value in found.items():
        if name not in _BREAKS or not value or (name, value) == ("connection_strategy", "lazy"):
            continue
        level = problem if name in _STOPS else warning
        yield level("mitmproxy_settings", f"{path}: {name} {_BREAKS[name]}", f"take {name} out of {path}")
