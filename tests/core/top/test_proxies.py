from pathlib import Path

import pytest

from codemie_core.admin.token import admin_token
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from codemie_core.top import proxies
from support.top_admin import NOW


def enter(home: Path, name: str, port: int, admin_port: int | None, started_at: float = NOW) -> None:
    pid, started = this_process()
    modes = ("reverse:https://user:planted@a.example/api",)
    write_entry(
        Places(home), RunningProxy(name, pid, started, started_at, (f"127.0.0.1:{port}",), modes, "1", admin_port)
    )


def test_the_newest_that_can_be_asked_comes_first(codemie_home: Path) -> None:
    enter(codemie_home, "old", 8080, 1, NOW - 50)
    enter(codemie_home, "new", 8081, 2, NOW - 40)
    enter(codemie_home, "off", 8082, None, NOW - 30)
    found = proxies.running(Places(codemie_home), clock=lambda: NOW)
    assert [one.run_id for one in found.shown] == ["new", "old"]
    assert not found.coming


def test_a_port_names_one_of_them(codemie_home: Path) -> None:
    enter(codemie_home, "a", 8080, 1)
    enter(codemie_home, "b", 8081, 2)
    assert [one.run_id for one in proxies.running(Places(codemie_home), 8080).shown] == ["a"]
    assert proxies.running(Places(codemie_home), 9999).shown == []


def test_one_without_an_admin_api_is_told_with_what_helps(codemie_home: Path) -> None:
    enter(codemie_home, "off", 8082, None, NOW - 30)
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:8082 has no admin API: take admin_server out"):
        proxies.running(Places(codemie_home), clock=lambda: NOW)


def test_one_that_has_just_come_up_may_still_open_its_port(codemie_home: Path) -> None:
    enter(codemie_home, "new", 8082, None, NOW - 1)
    assert proxies.running(Places(codemie_home), clock=lambda: NOW) == proxies.Running([], coming=True)


def test_where_it_leads_is_shown_without_a_password(codemie_home: Path) -> None:
    enter(codemie_home, "a", 8080, 1)
    [entry] = proxies.running(Places(codemie_home)).shown
    assert proxies.address(entry) == "127.0.0.1:8080"
    assert "a.example/api" in proxies.target(entry)
    assert "planted" not in proxies.target(entry)


def test_the_token_is_the_one_in_the_home(codemie_home: Path) -> None:
    with pytest.raises(SettingsError, match=r"admin\.token is not there"):
        proxies.token(Places(codemie_home))
    made = admin_token(Places(codemie_home))
    assert proxies.token(Places(codemie_home)) == made.get_secret_value()
