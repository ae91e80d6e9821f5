"""Bad configuration: one clear line each that names the key and the fix, and no start half configured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
from mitmproxy import exceptions

from codemie_core.demo.absent import closed_port
from codemie_core.exchange import BOOK
from support.headless import Headless, Refused, headless
from support.proxy import ADDONS, Mitmproxy, failing_start

SECRET = "planted-pass-9f3a"
ATTEMPTS = "codemie_upstream_attempts"


@dataclass(frozen=True)
class Bad:
    """One way to get it wrong, and what the line about it must say."""

    name: str
    says: tuple[str, ...]
    yaml: str | bytes | None = None
    profile: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()

    def plant(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        """Write the files and variables."""
        if self.yaml is not None:
            place = home / "proxy" / "codemie.yaml"
            place.parent.mkdir(parents=True)
            place.write_bytes(self.yaml if isinstance(self.yaml, bytes) else self.yaml.encode())
        if self.profile is not None:
            home.mkdir(parents=True, exist_ok=True)
            (home / "codemie-cli.config.json").write_text(self.profile)
        for variable, value in self.env.items():
            patch.setenv(variable, value)


def variable(name: str, value: str, *says: str) -> Bad:
    return Bad(f"{name}={value}", (name, *says), env={name: value})


def option(spec: str, *says: str) -> Bad:
    return Bad(f"--set {spec}", (spec.partition("=")[0], *says), sets=(spec,))


PROFILES = json.dumps({"version": 2, "activeProfile": "work", "profiles": {"work": {"provider": "litellm"}}})

TABLE = [
    # codemie.yaml
    Bad("unknown section", ("codemie.yaml", "'weather'"), yaml="weather: {}\n"),
    Bad("misspelt section", ("'header_injecton'", "'header_injection'"), yaml="header_injecton: {cli: x}\n"),
    Bad("unknown key", ("upstream_attempts", "'colour'"), yaml="upstream_attempts: {colour: red}\n"),
    Bad("misspelt key", ("'max_atempts'", "'max_attempts'"), yaml="upstream_attempts: {max_atempts: 2}\n"),
    Bad("misspelt key at the top", ("'hots'", "'hosts'"), yaml="hots: [api.example.com]\n"),
    Bad("text for a number", ("upstream_attempts.max_attempts",), yaml="upstream_attempts: {max_attempts: many}\n"),
    Bad("number out of range", ("upstream_attempts.max_attempts", "10"), yaml="upstream_attempts: {max_attempts: 99}"),
    Bad("text for a list", ("codemie.yaml: hosts",), yaml="hosts: api.example.com\n"),
    Bad("bad duration", ("upstream_attempts.backoff", '"250ms"'), yaml="upstream_attempts: {backoff: soon}\n"),
    Bad("list for a section", ("upstream_attempts", "{key: value}"), yaml="upstream_attempts: [a, b]\n"),
    Bad("list for the whole", ("codemie.yaml", "keys and values"), yaml="- a\n- b\n"),
    Bad("broken YAML", ("codemie.yaml, line 2, column",), yaml="hosts: [a.example.com]\n  bad: : x\n"),
    Bad("duplicate key", ("'hosts'", "twice"), yaml="hosts: [a.example.com]\nhosts: [b.example.com]\n"),
    Bad("key that is a number", ("the key 7", "quotes"), yaml="7: x\n"),
    Bad("not UTF-8", ("line 1, column 10", "UTF-8"), yaml=b"profile: \xff\xfe\n"),
    Bad("too large", ("1024 KiB",), yaml=b"# " + b"x" * 1024 * 1024),
    Bad("bad host pattern in the file", ("hosts", "https://a.example.com"), yaml="hosts: ['https://a.example.com']\n"),
    option("codemie_config=/nowhere/codemie.yaml", "/nowhere/codemie.yaml", "no such file"),
    option("codemie_config=.", "cannot be read"),
    # environment
    variable("CODEMIE_CONFIG", "/nowhere/codemie.yaml", "no such file"),
    variable("CODEMIE_UPSTREAM_ATTEMPTS_CONNECT_TIMEOUT", "ten", "250ms"),
    variable("CODEMIE_UPSTREAM_ATTEMPTS_MAX_ATTEMPTS", "3.5", "whole number"),
    variable("CODEMIE_ALLOW_REMOTE_PEERS", "maybe", "yes or no"),
    variable("CODEMIE_HOSTS", "[broken", "a,b"),
    variable("CODEMIE_HOSTS", "http://api.example.com/v1", "host pattern"),
    Bad("unknown addon", ("codemie_enabled", "'header_injection'"), env={"CODEMIE_ENABLED": "header_injecton"}),
    variable("CODEMIE_TIMEOUT", "fast", "number of seconds"),
    variable("HTTPS_PROXY", f"socks5://someone:{SECRET}@proxy.example.com", "http://host:port"),
    variable("ALL_PROXY", f"http://someone:{SECRET}@[broken", "http://host:port"),
    variable("CODEMIE_BASE_URL", f"https://someone:{SECRET}@codemie.example.com", "without user"),
    # --set
    option("codemie_hots=a.example.com", "'codemie_hosts'"),
    option(f"{ATTEMPTS}_max_atempts=2", f"'{ATTEMPTS}_max_attempts'"),
    option("codemie_nonsense=1", "no such option"),
    option(f"{ATTEMPTS}_max_attempts=three", "integer"),
    option(f"{ATTEMPTS}_max_attempts=-1", "greater than or equal to 1"),
    option(f"{ATTEMPTS}_max_connections=0", "greater than or equal to 1"),
    option(f"{ATTEMPTS}_idle_timeout=-5s", '"250ms"'),
    option(f"{ATTEMPTS}_max_request_size=huge", '"64m"'),
    option(f"{ATTEMPTS}_retry_statuses=200", "400 to 599"),
    option(f"{ATTEMPTS}_target_path=v1", "slash"),
    option(f"{ATTEMPTS}_ca_file=/nowhere/ca.pem", "/nowhere/ca.pem", "cannot be read"),
    option(f"{ATTEMPTS}_ca_file={Path(__file__)}", "PEM"),
    Bad(
        "two files of authorities",
        (f"{ATTEMPTS}_ca_file", "keep one"),
        sets=(f"{ATTEMPTS}_ca_file=a.pem", f"ssl_verify_upstream_trusted_ca={certifi.where()}"),
    ),
    option("codemie_kept_flows=-1", "greater than or equal to 0"),
    option("codemie_allow_remote_peers=maybe", "true"),
    option("codemie_disabled=local_endpoint", "'local_endpoints'"),
    option("codemie_enabled=sso", "no addon 'sso'"),
    option("codemie_header_injection_hosts=*", "host pattern"),
    option("stream_large_bodies=1m", "leave it unset"),
    # the CodeMie profile
    Bad("broken profile", ("codemie-cli.config.json, line 1", "JSON"), profile="{"),
    Bad("active profile missing", ("'gone'", "activeProfile"), profile=PROFILES.replace('"work", "p', '"gone", "p')),
    Bad("profile of the wrong type", ("baseUrl", "text"), profile=json.dumps({"baseUrl": 7})),
    Bad("unknown profile", ("'wrok'", "work"), profile=PROFILES, sets=("codemie_profile=wrok",)),
    Bad("profile named, none there", ("no profile 'work'", "config.json does not exist"), yaml="profile: work\n"),
]


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One certificate authority for all starts of this module: making one takes a while."""
    return tmp_path_factory.mktemp("mitmproxy")


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name[:60])
async def test_bad_configuration_stops_the_start_with_one_clear_line(
    bad: Bad, confdir: Path, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad.plant(codemie_home, monkeypatch)
    with pytest.raises(Refused) as refusal:
        async with headless(*bad.sets, confdir=confdir):
            pass
    [line] = refusal.value.lines
    for words in bad.says:
        assert words in line
    assert "\n" not in line
    assert SECRET not in line
    assert not list((codemie_home / "proxy").glob("run/*"))


async def test_each_problem_has_its_own_line(
    confdir: Path, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = [case for case in TABLE if case.name in ("misspelt key", "CODEMIE_HOSTS=[broken")]
    for case in together:
        case.plant(codemie_home, monkeypatch)
    with pytest.raises(Refused) as refusal:
        async with headless(f"{ATTEMPTS}_max_attempts=three", f"{ATTEMPTS}_backoff=x", confdir=confdir):
            pass
    assert len(refusal.value.lines) == 4
    assert len(set(refusal.value.lines)) == 4


REAL = {
    "broken YAML": ("codemie.yaml, line 2",),
    f"--set {ATTEMPTS}_max_atempts=2": (f"'{ATTEMPTS}_max_attempts'",),
    "CODEMIE_UPSTREAM_ATTEMPTS_CONNECT_TIMEOUT=ten": ("CODEMIE_UPSTREAM_ATTEMPTS_CONNECT_TIMEOUT",),
    "--set stream_large_bodies=1m": ("stream_large_bodies",),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_mitmdump_refuses_to_start(name: str, codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = next(case for case in TABLE if case.name == name)
    bad.plant(codemie_home, monkeypatch)
    code, printed = failing_start(*(word for spec in bad.sets for word in ("--set", spec)))
    assert code == 1
    assert "Traceback" not in printed
    stock = ("Loading script", "HTTP(S) proxy listening", "logged during startup")
    [line] = [line for line in printed.splitlines() if not any(words in line for words in stock)]
    assert all(words in line for words in REAL[name])


GOOD = [
    Bad("unknown CODEMIE variables", (), env={"CODEMIE_DEBUG": "1", "CODEMIE_SOMETHING_ELSE": "x"}),
    Bad("empty file", (), yaml=""),
    Bad("only comments", (), yaml="# nothing yet\n"),
    Bad("empty section", (), yaml="upstream_attempts: {}\n"),
]


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
async def test_what_is_none_of_our_business_does_not_stop_the_start(
    good: Bad, confdir: Path, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good.plant(codemie_home, monkeypatch)
    async with headless(confdir=confdir) as proxy:
        assert proxy.errors == proxy.warnings == []


SHARED = """
disabled: [local_endpoints]
upstream_attempts: {max_attempts: 5}
local_endpoints: {block_telemetry: false}
header_injection: {cli: shared/1}
"""


async def test_one_addon_alone_takes_the_file_that_serves_them_all(
    confdir: Path, codemie_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Bad("", (), yaml=SHARED).plant(codemie_home, monkeypatch)
    alone = tmp_path / "alone.py"
    alone.write_text("from header_injection import HeaderInjection\naddons = [HeaderInjection()]\n")
    async with headless(f"{ATTEMPTS}_backoff=1s", confdir=confdir, scripts=[alone]) as proxy:
        assert proxy.core.addons_in_order[0].settings.cli == "shared/1"
        assert proxy.errors == []


async def test_an_eager_connection_strategy_is_overruled_at_the_start(confdir: Path) -> None:
    async with headless("connection_strategy=eager", confdir=confdir) as proxy:
        assert proxy.options.connection_strategy == "lazy"


async def test_our_options_in_the_config_file_of_mitmproxy_are_obeyed_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"{ATTEMPTS}_max_attempts: 7\n")
    async with headless(f"{ATTEMPTS}_max_attempts=2", confdir=tmp_path) as proxy:
        assert proxy.core.addons_in_order[0].settings.max_attempts == 7
        [warning] = proxy.warnings
    assert f"{ATTEMPTS}_max_attempts" in warning
    assert "codemie.yaml" in warning


async def test_a_bad_option_in_the_config_file_of_mitmproxy_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"{ATTEMPTS}_max_attempts: many\n")
    with pytest.raises(Refused, match=f"{ATTEMPTS}_max_attempts"):
        async with headless(confdir=tmp_path):
            pass


LIVE: list[tuple[dict[str, Any], str]] = [
    ({f"{ATTEMPTS}_max_attempts": 0}, "greater than or equal to 1"),
    ({f"{ATTEMPTS}_backoff": "soon"}, '"250ms"'),
    ({f"{ATTEMPTS}_retry_statuses": ["299"]}, "400 to 599"),
    ({f"{ATTEMPTS}_target_path": "v1"}, "slash"),
    ({f"{ATTEMPTS}_ca_file": "/nowhere/ca.pem"}, "restart it"),
    ({"codemie_hosts": ["http://x"]}, "host pattern"),
    ({"codemie_disabled": ["local_endpoint"]}, "'local_endpoints'"),
    ({"connection_strategy": "eager"}, "lazy"),
    ({"stream_large_bodies": "1m"}, "leave it unset"),
    ({f"{ATTEMPTS}_max_attempts": 4, f"{ATTEMPTS}_budget": "x"}, f"{ATTEMPTS}_budget"),
]


@pytest.mark.parametrize("change, says", LIVE, ids=lambda part: "-".join(part) if isinstance(part, dict) else "")
async def test_a_bad_change_at_run_time_is_rolled_back(change: dict[str, Any], says: str, confdir: Path) -> None:
    async with headless(f"{ATTEMPTS}_max_attempts=2", "codemie_hosts=a.example.com", confdir=confdir) as proxy:
        before = kept(proxy, change)
        with pytest.raises(exceptions.OptionsError) as refusal:
            proxy.options.update(**change)
        assert says in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert kept(proxy, change) == before
        assert BOOK.scope == proxy.core.in_scope
        assert proxy.core.settings.hosts == ("a.example.com",)


def kept(proxy: Headless, change: Mapping[str, Any]) -> object:
    """All that a change could have changed."""
    options = {name: getattr(proxy.options, name) for name in change}
    return options, proxy.core.settings, [(a.settings, a.status.enabled) for a in proxy.core.addons_in_order]


def test_the_options_api_of_mitmweb_refuses_a_bad_change_and_the_proxy_goes_on() -> None:
    port = closed_port()
    with (
        Mitmproxy("--mode", "reverse:http://127.0.0.1:9", "--web-port", str(port), tool="mitmweb") as proxy,
        httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client,
    ):
        # Without the page that sets them, cookie and header only have to be the same.
        client.headers.update({"authorization": "Bearer test", "x-xsrftoken": "00" * 16})
        client.cookies.set("_mitmproxy_xsrf", "00" * 16)
        name = f"{ATTEMPTS}_max_attempts"
        assert client.put("/options", json={name: 5}).status_code == 200
        refused = client.put("/options", json={name: 0})
        assert refused.status_code == 400
        assert name in refused.text
        assert client.get("/options").json()[name]["value"] == 5
        assert proxy.health()["status"] == "ok"


NEWER = """
from mitmproxy import version
version.VERSION = "13.1.0"
"""
ALTERED_HTTP = """
from mitmproxy.proxy.layers import http
class HttpStream(http.HttpStream):
    def check_killed(self, emit_error_hook):
        return False
        yield
http.HttpStream = HttpStream
"""
ALTERED_MANAGER = """
from mitmproxy import addonmanager
class AddonManager(addonmanager.AddonManager):
    def register(self, addon):
        return super().register(addon)
addonmanager.AddonManager = AddonManager
"""


def patched(folder: Path, source: str) -> dict[str, str]:
    """The environment of a process whose mitmproxy has other internals."""
    (folder / "sitecustomize.py").write_text(source)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    "source, found",
    [(NEWER, "mitmproxy 13.1.0 found, >=12.2,<13 wanted"), (ALTERED_HTTP, "not those of the tested")],
    ids=["newer", "altered"],
)
def test_a_mitmproxy_of_another_shape_is_refused_by_the_attempts(source: str, found: str, tmp_path: Path) -> None:
    code, printed = failing_start(env=patched(tmp_path, source))
    assert code == 1
    assert "Traceback" not in printed
    [line] = [line for line in printed.splitlines() if "upstream attempts" in line]
    assert found in line
    assert "pip install" in line
    assert "is running" not in printed


@pytest.mark.parametrize("source", [NEWER, ALTERED_MANAGER], ids=["newer", "altered"])
def test_before_a_mitmproxy_of_another_shape_the_faster_dispatch_steps_aside(source: str, tmp_path: Path) -> None:
    scripts = (ADDONS / "local_endpoints.py",)
    with Mitmproxy("--mode", "reverse:http://127.0.0.1:9", scripts=scripts, env=patched(tmp_path, source)) as proxy:
        assert proxy.health()["status"] == "ok"
    [line] = [line for line in proxy.lines if "dispatch" in line]
    assert "pip install" in line
