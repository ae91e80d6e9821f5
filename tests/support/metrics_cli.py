"""A home of somebody who signs in to CodeMie, with sessions in it that wait to be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import call
from support.metrics_api import MetricsApi
from support.metrics_room import MetricsRoom

OTHER = "5e551071-0000-4000-8000-0000000000ff"


def signed_in_home(home: Path, api: MetricsApi) -> None:
    """Its profile and its sign-in."""
    home.mkdir()
    values = {"provider": "ai-run-sso", "baseUrl": api.url, "authMethod": "sso"}
    (home / "codemie-cli.config.json").write_text(json.dumps(values))


@pytest.fixture
def api(codemie_home: Path) -> Iterator[MetricsApi]:
    """CodeMie's API, which the profile names."""
    with MetricsApi() as made:
        signed_in_home(codemie_home, made)
        yield made


@pytest.fixture
def room(codemie_home: Path, api: MetricsApi) -> MetricsRoom:
    """Two sessions, three records; somebody is signed in."""
    made = MetricsRoom(codemie_home, api)
    api.sign_in(made.places)
    made.add(made.session(), "a", "b")
    made.add(made.session(OTHER), "c", branch="dev")
    return made


def shown(*arguments: str) -> object:
    """What a command prints for programs."""
    found: object = json.loads(call("metrics", *arguments, "--json").out)
    return found


def status() -> dict[str, object]:
    """What `status` prints for programs."""
    found = shown("status")
    assert isinstance(found, dict)
    return found
