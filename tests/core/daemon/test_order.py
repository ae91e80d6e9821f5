import dataclasses
import json

import pytest

from codemie_core.daemon.order import Order, require_no_secret
from codemie_core.errors import SettingsError


def test_an_order_is_written_as_the_arguments_of_start() -> None:
    order = Order("https://a.example", profile="work", listen_host="::1", port=9000, passed_on=("-w", "flows"))
    assert order.arguments(9001) == [
        *("https://a.example", "--profile", "work", "--listen-host", "::1", "--port", "9001", "--quiet"),
        *("--", "--set", "termlog_verbosity=warn", "-w", "flows"),
    ]
    rules = ("a.example=https://b.example", "c.example=https://d.example")
    expected = ["--regular", "--retarget", rules[0], "--retarget", rules[1], "--listen-host"]
    assert Order(regular=True, retarget=rules).arguments()[:6] == expected


def test_an_order_survives_being_written_down() -> None:
    order = Order("https://a.example", retarget=("a=b",), passed_on=("-w", "flows"))
    assert Order.parse({**json.loads(json.dumps(dataclasses.asdict(order))), "moon": ["full"]}) == order


def test_what_the_user_says_about_the_log_counts() -> None:
    order = Order(passed_on=("--set", "termlog_verbosity=debug"))
    assert order.arguments()[-3:] == ["--", "--set", "termlog_verbosity=debug"]


@pytest.mark.parametrize(
    "change, line",
    [
        ({"target": "https://b.example"}, "TARGET is https://a.example, not https://b.example"),
        ({"target": ""}, "TARGET is https://a.example, not not given"),
        ({"regular": True}, "--regular is off, not on"),
        ({"profile": "home"}, "--profile is work, not home"),
        ({"port": 9000}, "--port is 8123, not 9000"),
        ({"retarget": ("a=b",)}, "--retarget is nothing, not a=b"),
        ({"watch": False}, "--watch is on, not off"),
        ({"passed_on": ("-q",)}, "what follows -- is nothing, not -q"),
    ],
)
def test_what_differs_is_named(change: dict, line: str) -> None:
    order = Order("https://a.example", profile="work", port=8123)
    assert order.differences(dataclasses.replace(order, **change), 8123) == [line]


def test_a_free_port_is_any_port() -> None:
    assert Order(port=0).differences(Order(port=0), 40123) == []
    assert Order(port=0).differences(Order(port=40123), 40123) == []


@pytest.mark.parametrize(
    "order",
    [
        Order("https://ann:hunter2-planted@a.example"),
        Order(regular=True, retarget=("a.example=https://ann:hunter2-planted@b.example",)),
        Order(passed_on=("--set", "proxyauth=ann:hunter2-planted")),
        Order(passed_on=("--set=upstream_auth=ann:hunter2-planted",)),
        Order(passed_on=("--proxyauth", "ann:hunter2-planted")),
        Order(passed_on=("--upstream-auth=ann:hunter2-planted",)),
        Order(passed_on=("--set", "web_password=hunter2-planted")),
        Order(passed_on=("--set", "cert_passphrase=hunter2-planted")),
        Order(passed_on=("--mode", "upstream:http://ann:hunter2-planted@proxy.example:80")),
        Order(passed_on=("--set", "codemie_x=sk-ant-api03-" + "planted" * 12)),
    ],
)
def test_an_order_that_holds_a_password_is_refused_without_repeating_it(order: Order) -> None:
    with pytest.raises(SettingsError) as refused:
        require_no_secret(order)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    "passed_on",
    [
        ("--set", "proxyauth=any"),
        ("--set", "proxyauth=@users.htpasswd"),
        ("--set", "codemie_proxy_access_key_header=x-key"),
        ("--set", "codemie_account_rotation_token_margin=5m"),
        ("--set", "codemie_hosts=api.example.com", "-w", "flows.mitm"),
    ],
)
def test_settings_that_only_sound_like_secrets_are_taken(passed_on: tuple[str, ...]) -> None:
    require_no_secret(Order("https://a.example/code-assistant-api", passed_on=passed_on))
