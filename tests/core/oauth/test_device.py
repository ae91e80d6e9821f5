"""Polling for a sign-in on another device: when, for how long, and what ends it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from codemie_core.oauth.device import LONGEST_PAUSE, agreed
from codemie_core.oauth.errors import OAuthFailed
from codemie_core.oauth.grants import DeviceCode, Way, ask_device
from codemie_core.oauth.providers import OAuthProvider, load_providers
from codemie_core.places import Places
from support.oauth_server import OAuthServer

DOWN: tuple[int, object, Mapping[str, str]] = (503, {}, {})


class Person:
    """Time passes only while somebody sleeps; before sleep number `when`, the person decides."""

    def __init__(self, server: OAuthServer, device: DeviceCode, when: int = 0, agrees: bool = True) -> None:
        self.server, self.device, self.when, self.agrees = server, device, when, agrees
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if len(self.slept) == self.when:
            self.server.decide(self.device.user_code, self.agrees)

    def clock(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def way(server: OAuthServer, codemie_home: Path) -> Way:
    places = Places(codemie_home)
    server.configure(places)
    return Way(places, {})


@pytest.fixture
def lab(way: Way) -> OAuthProvider:
    return load_providers(way.places, {})["lab"]


@pytest.fixture
async def device(lab: OAuthProvider, way: Way) -> DeviceCode:
    return replace(await ask_device(lab, way), expires_in=60.0)


async def test_it_waits_for_the_person_at_the_services_own_pace(
    server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode
) -> None:
    person = Person(server, device, when=3)
    tokens = await agreed(lab, way, device, person.sleep, person.clock)
    assert person.slept == [device.interval] * 3
    assert server.good(tokens.access.get_secret_value())
    assert tokens.obtained_at == person.now


async def test_slow_down_makes_every_later_wait_longer(
    server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode
) -> None:
    person, server.authority.slow_down = Person(server, device, when=5), 2
    await agreed(lab, way, device, person.sleep, person.clock)
    assert person.slept == [1, 6, 11, 11, 11]


async def test_a_refusal_ends_it(server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode) -> None:
    person = Person(server, device, when=2, agrees=False)
    with pytest.raises(OAuthFailed, match="was refused on the other device") as caught:
        await agreed(lab, way, device, person.sleep, person.clock)
    assert (caught.value.code, len(person.slept)) == ("access_denied", 2)


async def test_the_service_may_say_that_the_code_is_over(
    server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode
) -> None:
    server.authority.devices[device.device_code.get_secret_value()]["expires_at"] = 1
    person = Person(server, device)
    with pytest.raises(OAuthFailed, match="nobody signed in") as caught:
        await agreed(lab, way, device, person.sleep, person.clock)
    assert (caught.value.code, len(person.slept)) == ("expired_token", 1)


async def test_no_code_is_polled_for_beyond_its_life(
    server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode
) -> None:
    person = Person(server, device)
    with pytest.raises(OAuthFailed, match="nobody signed in"):
        await agreed(lab, way, device, person.sleep, person.clock)
    assert len(person.slept) == device.expires_in / device.interval
    assert server.calls("/token") == len(person.slept) - 1


async def test_a_service_that_is_down_for_a_while_is_asked_again_more_slowly(
    server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode
) -> None:
    server.failing.extend([DOWN, DOWN])
    person = Person(server, device, when=4)
    await agreed(lab, way, device, person.sleep, person.clock)
    assert person.slept == [1, 2, 4, 4]


async def test_a_service_that_stays_down_is_asked_once_a_minute_at_most(
    server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode
) -> None:
    server.failing.extend([DOWN] * 40)
    person, patient = Person(server, device), replace(device, expires_in=300.0)
    with pytest.raises(OAuthFailed, match="nobody signed in"):
        await agreed(lab, way, patient, person.sleep, person.clock)
    assert max(person.slept) == LONGEST_PAUSE


async def test_an_error_that_waiting_does_not_mend_ends_it(
    server: OAuthServer, lab: OAuthProvider, way: Way, device: DeviceCode
) -> None:
    server.failing.append((400, {"error": "invalid_client"}, {}))
    person = Person(server, device)
    with pytest.raises(OAuthFailed) as caught:
        await agreed(lab, way, device, person.sleep, person.clock)
    assert (caught.value.code, len(person.slept)) == ("invalid_client", 1)
