import errno
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from mitmproxy import addons, exceptions, hooks, options
from mitmproxy.addons.dumper import Dumper
from mitmproxy.addons.keepserving import KeepServing
from mitmproxy.addons.readfile import ReadFileStdin
from mitmproxy.proxy.mode_specs import ProxyMode

from codemie_core.cli.launcher import (
    ONLY_BEYOND_REVERSE,
    WAKING_OPTIONS,
    Launcher,
    idle_addons,
    read_usual_config,
    require_free,
)
from codemie_core.demo.absent import closed_port
from codemie_core.errors import SettingsError

REVERSE = ["reverse:http://127.0.0.1:9"]
# One value for each option that wakes an addon, so that the table is tried as a whole.
AWAKE: dict[str, object] = {
    "anticache": True,
    "anticomp": True,
    "block_list": ["/~all/404"],
    "client_replay": ["flows"],
    "server_replay": ["flows"],
    "rfile": "flows",
    "map_local": ["|a|b"],
    "map_remote": ["|a|b"],
    "modify_body": ["|a|b"],
    "modify_headers": ["|a|b"],
    "proxyauth": "any",
    "save_stream_file": "flows",
    "hardump": "-",
    "stickyauth": ".*",
    "stickycookie": ".*",
    "upstream_auth": "a:b",
    "flow_detail": 1,
}


async def launcher(values: Mapping[str, object] | None = None, all_addons: bool = False) -> Launcher:
    opts = options.Options(mode=REVERSE)
    made = Launcher(opts, all_addons, lambda master: None)
    opts.update(flow_detail=0)
    # Not through update(): the addons would open the files these values name.
    for name, value in (values or {}).items():
        opts._options[name].set(value)
    return made


def names(master: Launcher) -> set[str]:
    return set(master.addons.lookup)


async def test_every_idle_addon_is_one_that_mitmdump_has() -> None:
    present = names(await launcher())
    assert WAKING_OPTIONS.keys() <= present
    assert set(ONLY_BEYOND_REVERSE) <= present


async def test_every_waking_option_exists() -> None:
    opts = (await launcher()).options
    assert {option for waking in WAKING_OPTIONS.values() for option in waking} <= opts.keys()
    assert AWAKE.keys() == {option for waking in WAKING_OPTIONS.values() for option in waking}


async def test_idle_addons_are_taken_out_and_all_others_stay() -> None:
    master = await launcher()
    before = names(master)
    master.shed()
    assert before - names(master) == {*WAKING_OPTIONS, *ONLY_BEYOND_REVERSE}
    assert {"proxyserver", "nextlayer", "tlsconfig", "block", "disableh2c", "errorcheck"} <= names(master)


@pytest.mark.parametrize("option", sorted(AWAKE))
async def test_an_addon_with_something_to_do_stays(option: str) -> None:
    master = await launcher({option: AWAKE[option]})
    master.shed()
    woken = {name for name, waking in WAKING_OPTIONS.items() if option in waking}
    assert woken
    assert woken <= names(master)


@pytest.mark.parametrize(
    "mode, stays",
    [
        (["reverse:http://127.0.0.1:9"], False),
        (["reverse:https://127.0.0.1:9", "reverse:http://127.0.0.1:9@8081"], False),
        (["regular"], True),
        (["reverse:https://127.0.0.1:9", "regular@8081"], True),
        (["reverse:dns://127.0.0.1:9"], True),
    ],
)
async def test_what_serves_browsers_and_dns_goes_only_where_all_is_reverse(mode: list[str], stays: bool) -> None:
    opts = (await launcher()).options
    opts.update(mode=mode)
    assert set(ONLY_BEYOND_REVERSE).isdisjoint(idle_addons(opts)) is stays


async def test_the_option_of_an_addon_left_out_can_no_longer_be_set() -> None:
    master = await launcher()
    master.shed()
    with pytest.raises(exceptions.OptionsError, match="modify_headers cannot be set now"):
        master.options.update(modify_headers=["/~q/a/b"])
    assert master.options.modify_headers == []


async def test_other_options_can_still_be_set() -> None:
    master = await launcher()
    master.shed()
    master.options.update(keep_host_header=True, save_stream_filter="~all")
    assert master.options.keep_host_header


async def test_nothing_is_taken_out_where_all_addons_are_wanted() -> None:
    master = await launcher(all_addons=True)
    before = names(master)
    await master.running()
    assert names(master) == before
    await master.done()


async def test_no_addon_is_called_idle_whose_defaults_act_on_flows() -> None:
    """A new built-in with flow hooks must be looked at: it is in one of the lists, or here with its reason."""
    acting = {
        "block": "block_global is on by default",
        "disableh2c": "has no option",
        "updatealtsvc": "rewrites Alt-Svc in reverse mode by default",
        "proxyserver": "the proxy itself",
        "nextlayer": "the proxy itself",
        "tlsconfig": "the proxy itself",
    }
    not_of_flows = {"load", "configure", "running", "done"}
    flow_hooks = hooks.all_hooks.keys() - not_of_flows
    for addon in [*addons.default_addons(), Dumper(), KeepServing(), ReadFileStdin()]:
        name = getattr(addon, "name", type(addon).__name__.lower())
        if any(hasattr(addon, hook) for hook in flow_hooks):
            assert name in {*WAKING_OPTIONS, *ONLY_BEYOND_REVERSE, *acting}


def test_a_free_port_is_no_problem() -> None:
    require_free(ProxyMode.parse("regular"), options.Options(listen_host="127.0.0.1", listen_port=closed_port()))
    require_free(ProxyMode.parse("regular"), options.Options(listen_host="127.0.0.1", listen_port=0))


@pytest.mark.parametrize("spec", ["regular@{}", "reverse:http://127.0.0.1:9@127.0.0.1:{}"])
def test_a_busy_port_is_named_with_the_fix(spec: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            require_free(ProxyMode.parse(spec.format(port)), options.Options(listen_host="127.0.0.1"))
    told, _, fix = str(caught.value).partition("; ")
    assert told == f"127.0.0.1:{port} is in use. `codemie-proxy status` shows running proxies"
    assert fix == f"--port {port + 1} takes another port"


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.EACCES, "no permission to listen on 127.0.0.1:80; take a port above 1023"),
        (errno.EADDRNOTAVAIL, "cannot listen on 127.0.0.1:80 ("),
    ],
)
def test_other_troubles_with_listening_are_named_too(number: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, address: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(SettingsError) as caught:
        require_free(ProxyMode.parse("regular"), options.Options(listen_host="127.0.0.1", listen_port=80))
    assert str(caught.value).startswith(words)


def test_an_address_that_is_not_ours_is_refused_for_a_free_port_too() -> None:
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1:0 \(.*; --listen-host and --port choose"):
        require_free(ProxyMode.parse("regular"), options.Options(listen_host="192.0.2.1", listen_port=0))


def test_mitmproxys_usual_settings_are_read_although_another_folder_holds_the_authority(tmp_path: Path) -> None:
    opts = options.Options()
    opts.confdir = str(tmp_path)
    (tmp_path / "config.yaml").write_text("listen_port: 4711\n")
    read_usual_config(opts)
    assert opts.listen_port == 4711
    (tmp_path / "config.yaml").write_text("listen_port: many\n")
    with pytest.raises(SettingsError, match="listen_port"):
        read_usual_config(opts)
