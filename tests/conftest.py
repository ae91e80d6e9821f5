"""Fixtures every test gets: a clean environment and a home of its own.

Neither ~/.codemie nor ~/.mitmproxy of the person running the tests is ever read or written.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from codemie_core.exchange import BOOK
from support.httpx_here import prepare

# Real agents have a command of their own: ./run.sh test-agents.
collect_ignore = ["agents"]

# Read by OpenSSL, httpx, requests and Node: any of them would change whom a test trusts.
TRUST_VARIABLES = frozenset(
    {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
)
# Keys, base URLs and collectors that the SDKs pick up by themselves.
SDK_PREFIXES = ("CODEMIE_", "ANTHROPIC_", "OPENAI_", "GEMINI_", "GOOGLE_", "OTEL_")

# The same examples in every run, however long they take: nobody's change is refused for what another run has found.
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

prepare(TRUST_VARIABLES)

# A shell has what it starts in the background ignore both, and every child inherits it: no test could press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def leaks_into_tests(name: str) -> bool:
    """Whether an environment variable would let the developer's machine decide a test."""
    upper = name.upper()
    return upper.startswith(SDK_PREFIXES) or upper.endswith("_PROXY") or upper in TRUST_VARIABLES


@pytest.fixture
def anyio_backend() -> str:
    """mitmproxy runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def home_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A HOME for what several tests share, a browser or a proxy: it writes there, too."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        yield home


@pytest.fixture(autouse=True)
def nothing_open_of_others() -> None:
    """A process runs one proxy, but the tests of many: what one has left open is not the next one's."""
    for exchange in BOOK.still_open():
        BOOK.close(exchange)


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove CODEMIE_*, OTEL_*, SDK keys, proxy and CA variables; subprocesses inherit the clean environment."""
    for name in list(os.environ):
        if leaks_into_tests(name):
            monkeypatch.delenv(name)
    # The keyring of whoever runs the tests is none of their business.
    monkeypatch.setenv("CODEMIE_KEYRING", "0")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


@pytest.fixture(autouse=True)
def codemie_home(clean_environ: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The test's own CODEMIE_HOME (not created yet), below a HOME that is empty."""
    home = tmp_path / "home"
    home.mkdir()
    codemie = home / ".codemie"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("CODEMIE_HOME", str(codemie))
    return codemie
