"""What a sign-in tells of what is left to do; the sign-ins themselves are in tests/process/test_sign_in.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.cli import auth_flow
from codemie_core.cli.auth_context import AuthContext
from codemie_core.errors import SettingsError
from support.codemie_backend import ACCESS, CodemieBackend


@pytest.fixture
def backend() -> Iterator[CodemieBackend]:
    with CodemieBackend() as scripted:
        yield scripted


def context_of(backend: CodemieBackend, home: Path, picked: str = "", url: str = "", **environ: str) -> AuthContext:
    return AuthContext.of("codemie", picked, url, {"CODEMIE_HOME": str(home), **environ})


def token_of(backend: CodemieBackend) -> str:
    return backend.sign_in()[ACCESS]


@pytest.mark.parametrize("method, told", [("sso", True), ("jwt", False)])
def test_a_session_of_the_kind_the_profile_does_not_use_is_told(
    method: str, told: bool, backend: CodemieBackend, codemie_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"CODEMIE_AUTH_METHOD": method, "CODEMIE_JWT_TOKEN": token_of(backend)}
    standing = auth_flow.by_token(context_of(backend, codemie_home, url=backend.url, **environ), 1)
    assert standing.signed_in
    assert ("signs in by sso: for this session set authMethod" in capsys.readouterr().err) is told


def test_a_gateway_elsewhere_keeps_its_own_sessions(
    backend: CodemieBackend, codemie_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = {"provider": "bearer-auth", "codeMieUrl": backend.url, "baseUrl": "https://gateway.test"}
    codemie_home.mkdir(mode=0o700)
    (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
    auth_flow.by_token(context_of(backend, codemie_home, CODEMIE_JWT_TOKEN=token_of(backend)), 1)
    assert "add --url https://gateway.test/code-assistant-api" in capsys.readouterr().err


@pytest.mark.parametrize(
    "own, foreign",
    [
        ({}, {"provider": "bearer-auth", "baseUrl": "{url}"}),
        ({"provider": "bearer-auth", "baseUrl": "https://gateway.test"}, {"codeMieUrl": "{url}"}),
    ],
    ids=["gateway", "portal"],
)
def test_a_token_does_not_go_where_only_the_working_folder_says(
    own: dict[str, str],
    foreign: dict[str, str],
    backend: CodemieBackend,
    codemie_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "somebody's project"
    for home, profile in ((codemie_home, own), (folder / ".codemie", foreign)):
        home.mkdir(mode=0o700, parents=True)
        written = {key: value.format(url=backend.url) for key, value in profile.items()}
        (home / "codemie-cli.config.json").write_text(json.dumps(written))
    monkeypatch.chdir(folder)
    environ = {"CODEMIE_JWT_TOKEN": token_of(backend)}
    with pytest.raises(SettingsError, match="if that is right, add --url"):
        auth_flow.by_token(context_of(backend, codemie_home, **environ), 1)
    assert backend.requests == []
    assert auth_flow.by_token(context_of(backend, codemie_home, url=backend.url, **environ), 1).signed_in


def test_a_check_asks_the_backend(backend: CodemieBackend, codemie_home: Path) -> None:
    context = context_of(backend, codemie_home, url=backend.url, CODEMIE_AUTH_METHOD="jwt", CODEMIE_JWT_TOKEN="")
    assert auth_flow.standing(context, check=True).session is None
    token = token_of(backend)
    context = context_of(backend, codemie_home, url=backend.url, CODEMIE_AUTH_METHOD="jwt", CODEMIE_JWT_TOKEN=token)
    assert auth_flow.standing(context, check=True).verdict == "valid"
    backend.sessions.clear()
    assert not auth_flow.standing(context, check=True).signed_in
    assert auth_flow.standing(context, check=False).signed_in
