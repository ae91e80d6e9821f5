"""`codemie-proxy auth` as a process, against a scripted CodeMie: in through every door, and nothing secret anywhere."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from codemie_core.demo.script import Step
from codemie_core.places import Places
from codemie_core.sso.store import CredentialStore
from support.auth_process import PATIENCE, ended, wait_until_hidden, waiting
from support.cli import COMMAND, Outcome, environ, run
from support.codemie_backend import ACCESS, EMAIL, SECOND, CodemieBackend, make_jwt
from support.terminal import Terminal

LONG = "planted" + "z" * 10_000

# What a browser does, for $BROWSER: the login page's form, then where it leads.
BROWSER = f"""#!{sys.executable}
import sys, httpx
print("noise of a browser")
client = httpx.Client(trust_env=False, timeout=60)
page = client.get(sys.argv[1])
assert 'method="post"' in page.text
done = client.post(sys.argv[1] + "/done")
client.get(done.headers["location"], headers={{"sec-fetch-mode": "navigate"}}).raise_for_status()
"""


@pytest.fixture
def backend() -> Iterator[CodemieBackend]:
    with CodemieBackend() as scripted:
        yield scripted


@pytest.fixture
def profile(backend: CodemieBackend, codemie_home: Path) -> Path:
    """A CodeMie profile, so that no command needs --url."""
    codemie_home.mkdir(mode=0o700)
    path = codemie_home / "codemie-cli.config.json"
    path.write_text(json.dumps({"provider": "ai-run-sso", "codeMieUrl": backend.url}))
    return path


def browse(address: str) -> None:
    with httpx.Client(trust_env=False) as client:
        done = client.post(f"{address}/done")
        assert client.get(done.headers["location"]).status_code == 200


def auth(*arguments: str, **env: str) -> Outcome:
    return run("auth", *arguments, env=environ(**env))


def kept(home: Path, url: str, kind: Any = "sso") -> dict[str, str]:
    session = CredentialStore(Places(home)).read(url, kind)
    if session is None:
        return {}
    if session.token:
        return {"token": session.token.get_secret_value()}
    return {name: value.get_secret_value() for name, value in session.cookies.items()}


def assert_no_secret(backend: CodemieBackend, *texts: str) -> None:
    for cookies in backend.sessions.values():
        for value in cookies.values():
            for text in texts:
                assert value not in text
                assert value[-40:] not in text
    assert not any("Traceback" in text for text in texts)


@pytest.mark.usefixtures("profile")
def test_the_browser_signs_in(backend: CodemieBackend, codemie_home: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o700)
    outcome = auth("login", BROWSER=str(browser))
    assert outcome.code == 0, outcome.err
    [cookies] = backend.sessions.values()
    assert kept(codemie_home, backend.url) == cookies
    assert EMAIL in outcome.out
    assert re.search(r"Until +\d{4}-\d\d-\d\d \d\d:\d\d \S+ \(in 7 h 59 min\)|\(in 8 h 00 min\)", outcome.out)
    assert "noise" not in outcome.out + outcome.err
    [file] = (codemie_home / "credentials").iterdir()
    assert str(file) in outcome.out
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert_no_secret(backend, outcome.out, outcome.err, file.read_text())


def test_the_address_is_enough_and_json_is_alone_on_standard_output(
    backend: CodemieBackend, codemie_home: Path
) -> None:
    gate = backend.gate()
    backend.answers["/v1/user"] = Step(hold=gate, body=json.dumps({"email": EMAIL}))
    with waiting("login", "--url", backend.url, "--no-browser", "--json", fresh=True) as (process, address):
        assert re.fullmatch(re.escape(backend.api_url) + r"/v1/auth/login/\d+", address)
        browser = threading.Thread(target=browse, args=(address,))
        browser.start()
        backend.wait_requests(2, PATIENCE)  # the session is there and being verified
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert_no_secret(backend, *(" ".join(member.cmdline()) for member in family))
        backend.call(gate.open)
        outcome = ended(process)
        browser.join()
    assert outcome.code == 0, outcome.err
    shown = json.loads(outcome.out)
    assert (shown["signed_in"], shown["who"], shown["kind"], shown["checked"]) == (True, EMAIL, "sso", "valid")
    assert shown["api_url"] == backend.api_url
    assert 28_000 < shown["expires_in_seconds"] <= 28_800
    assert_no_secret(backend, outcome.out, outcome.err)


@pytest.mark.usefixtures("profile")
def test_over_ssh_the_address_is_pasted_unseen(backend: CodemieBackend, codemie_home: Path) -> None:
    cookies = {**backend.sign_in(), "large": LONG}
    with Terminal([*COMMAND, "auth", "login", "--no-browser"], environ()) as terminal:
        terminal.wait_for("paste it here")
        terminal.type("http://localhost:1/?x=planted-rubbish\r")
        terminal.wait_for("cannot be used: the address has none of token=")
        assert not terminal.echoes
        pasted = backend.callback_url(1, cookies)
        assert len(pasted) > 10_000
        terminal.type(f"\x1b[200~{pasted}\x1b[201~\r")
        assert terminal.wait() == 0
        assert terminal.echoes
        assert kept(codemie_home, backend.url) == cookies
        assert EMAIL in terminal.screen
        assert_no_secret(backend, terminal.screen)
        assert "planted" not in terminal.screen
        assert LONG[:100] not in terminal.screen


@pytest.mark.usefixtures("profile")
def test_at_a_terminal_the_browser_may_be_first_too(backend: CodemieBackend, codemie_home: Path) -> None:
    with Terminal([*COMMAND, "auth", "login", "--paste"], environ()) as terminal:
        terminal.wait_for("paste it here")
        browse(terminal.wait_for(r"\S+/v1/auth/login/\d+")[0])
        assert terminal.wait() == 0
        assert terminal.echoes
    assert kept(codemie_home, backend.url)


@pytest.mark.usefixtures("profile")
@pytest.mark.parametrize(
    "end, code", [("\x03", {1, 130, -signal.SIGINT}), (signal.SIGTERM, {143})], ids=["ctrl-c", "SIGTERM"]
)
@pytest.mark.parametrize("way", ["--no-browser", "--jwt"])
def test_whoever_gives_up_gets_the_terminal_back(
    way: str, end: str | signal.Signals, code: set[int], codemie_home: Path
) -> None:
    with Terminal([*COMMAND, "auth", "login", way], environ()) as terminal:
        terminal.wait_for("stays hidden")
        wait_until_hidden(terminal)
        if isinstance(end, str):
            terminal.type(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.wait() in code
        assert terminal.echoes
        assert "Traceback" not in terminal.screen
    assert not (codemie_home / "credentials").exists()


@pytest.mark.usefixtures("profile")
def test_one_may_pipe_the_address_in(backend: CodemieBackend, codemie_home: Path) -> None:
    cookies = backend.sign_in()
    piped = subprocess.run(
        [*COMMAND, "auth", "login", "--paste"],
        env=environ(),
        input=backend.callback_url(1, cookies),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert piped.returncode == 0, piped.stderr
    assert kept(codemie_home, backend.url) == cookies
    assert_no_secret(backend, piped.stdout, piped.stderr)


def test_a_jwt_comes_from_the_environment(backend: CodemieBackend, codemie_home: Path) -> None:
    token = backend.sign_in()[ACCESS]
    outcome = auth("login", "--jwt", "--url", backend.url, CODEMIE_JWT_TOKEN=token, CODEMIE_AUTH_METHOD="jwt")
    assert outcome.code == 0, outcome.err
    assert kept(codemie_home, backend.url, "jwt") == {"token": token}
    assert_no_secret(backend, outcome.out, outcome.err)


def test_a_long_jwt_is_typed_unseen(backend: CodemieBackend, codemie_home: Path) -> None:
    token = make_jwt(EMAIL, 9e9, groups=["planted" * 1000])
    assert len(token) > 8192
    backend.sessions[token] = {ACCESS: token, SECOND: "planted-second"}
    with Terminal([*COMMAND, "auth", "login", "--jwt", "--url", backend.url], environ()) as terminal:
        terminal.wait_for("stays hidden")
        wait_until_hidden(terminal)
        terminal.type(f"{token}\r")
        assert terminal.wait() == 0, terminal.screen
        assert_no_secret(backend, terminal.screen)
        assert "set authMethod in it" in terminal.screen
    assert kept(codemie_home, backend.url, "jwt") == {"token": token}


@pytest.mark.parametrize(
    "arguments, env, problem",
    [
        (("login", "--no-browser", "--timeout", "1"), {}, "nobody signed in within 1 seconds"),
        (("login", "--paste"), {}, "standard input ended without the address"),
        (("login", "--jwt"), {}, "standard input ended without a JWT; set CODEMIE_JWT_TOKEN"),
        (("login", "--jwt"), {"CODEMIE_JWT_TOKEN": "planted"}, "no JWT: it must have three parts"),
        (("login", "--jwt"), {"CODEMIE_JWT_TOKEN": make_jwt(EMAIL, 1)}, "was over before it came"),
        (("login", "--jwt"), {"CODEMIE_JWT_TOKEN": make_jwt(EMAIL, 9e9)}, "does not accept this session"),
        (("login", "--jwt", "--profile", "none"), {}, "there is no profile 'none'"),
        (("login", "github"), {}, "there is no provider 'github' to sign in to; there are: codemie"),
        (("login", "--url", "http://codemie.test"), {}, "must begin with https://"),
        (("login", "--url", "https://me:planted@codemie.test"), {}, "without user, password"),
        (("status",), {}, "Run: codemie-proxy auth login"),
        (("refresh",), {}, "nobody is here to sign in. In a terminal run: codemie-proxy auth login"),
        (("refresh",), {"CODEMIE_AUTH_METHOD": "jwt"}, "a JWT cannot be renewed from here. With a new one run: "),
    ],
)
@pytest.mark.usefixtures("profile")
def test_what_fails_is_one_line_and_exit_code_one(
    arguments: tuple[str, ...], env: dict[str, str], problem: str, codemie_home: Path
) -> None:
    outcome = auth(*arguments, **env)
    assert outcome.code == 1
    assert outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith("codemie-proxy: ")
    assert problem in last
    assert "planted" not in outcome.err
    assert "Traceback" not in outcome.err
    assert not (codemie_home / "credentials").exists()


def test_without_a_profile_the_url_is_asked_for() -> None:
    outcome = auth("login")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "codemie-proxy: no CodeMie is known here: name it with --url https://codemie.example.com\n"


@pytest.mark.usefixtures("profile")
def test_a_session_lives_and_ends(backend: CodemieBackend, codemie_home: Path) -> None:
    with waiting("login", "--no-browser") as (process, address):
        browse(address)
        assert ended(process).code == 0
    first = kept(codemie_home, backend.url)

    status = auth("status", "--check")
    assert status.code == 0
    assert EMAIL in status.out
    assert "CodeMie accepts it" in status.out

    untouched = auth("refresh")
    assert untouched.code == 0
    assert "Nothing to do" in untouched.err
    assert kept(codemie_home, backend.url) == first

    with waiting("refresh", "--force", "--browser", BROWSER="true") as (process, address):
        browse(address)
        assert ended(process).code == 0
    assert kept(codemie_home, backend.url) != first

    backend.sessions.clear()
    assert auth("status").code == 0
    refused = auth("status", "--check", "--json")
    assert refused.code == 1
    assert json.loads(refused.out)["checked"] == "expired"
    assert "does not accept the session any more. Run: codemie-proxy auth login\n" in refused.err

    out = auth("logout")
    assert out.code == 0
    assert re.fullmatch(r"Removed \S+/sso-\w+\.enc\n", out.out)
    assert kept(codemie_home, backend.url) == {}
    assert "Nobody was signed in" in auth("logout").out
    assert json.loads(auth("logout", "--json").out) == {"removed": []}
    gone = auth("status", "--json")
    assert gone.code == 1
    assert json.loads(gone.out)["signed_in"] is False
    assert_no_secret(backend, status.out, untouched.err, refused.out, refused.err, out.out)


@pytest.mark.usefixtures("profile")
def test_a_session_about_to_end_is_refreshed(backend: CodemieBackend, codemie_home: Path) -> None:
    backend.lifetime = 1800
    with waiting("login", "--no-browser") as (process, address):
        browse(address)
        assert ended(process).code == 0
    first = kept(codemie_home, backend.url)
    backend.lifetime = 8 * 3600
    refused = auth("refresh")
    assert refused.code == 1
    assert "nobody is here to sign in" in refused.err
    with waiting("refresh", "--browser", "--json", BROWSER="true") as (process, address):
        browse(address)
        outcome = ended(process)
    assert json.loads(outcome.out)["expires_in_seconds"] > 20_000
    assert kept(codemie_home, backend.url) != first
