import platform

import pytest
from mitmproxy import version as mitmproxy_version

from codemie_core import __version__
from codemie_core.cli import event_loop
from codemie_core.seams import install, socket_layer
from support.cli import call


def test_version_names_what_is_installed_and_whether_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "uvloop_version", lambda: "0.22.1")
    lines = [" ".join(line.split()) for line in call("version").out.splitlines()]
    assert lines == [
        f"codemie-proxy {__version__}",
        f"mitmproxy {mitmproxy_version.VERSION}",
        f"Python {platform.python_version()} ({platform.system()} {platform.machine()})",
        "uvloop 0.22.1",
        "upstream attempts supported",
        "WebSocket bounds supported",
        "tunnels supported",
        "fast dispatch supported",
    ]


def test_version_says_what_to_do_when_mitmproxy_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "installed", lambda: False)  # another test may have put the machine in place
    monkeypatch.setattr(socket_layer, "installed", lambda: False)
    monkeypatch.setattr(mitmproxy_version, "VERSION", "13.0.0")
    shown = call("version").out
    assert shown.count("mitmproxy 13.0.0 found, >=12.2,<13 wanted") == 4
