"""`codemie-proxy auth` for accounts with a sign-in, as a process against a real OAuth server: nothing secret shows."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest
from sqlalchemy import func, select

from codemie_core.accounts.account import Kind
from codemie_core.oauth.tokens import Tokens
from codemie_core.store import tables
from support.auth_process import PATIENCE, ended, wait_until_hidden, waiting
from support.cli import COMMAND, Outcome, environ, run
from support.oauth_server import OAuthServer
from support.stored import StoredHome, new_account
from support.terminal import Terminal

PAGE = "https://shown.test/shown"

# What a browser does, for $BROWSER.
BROWSER = f"""#!{sys.executable}
import sys, httpx
print("noise of a browser")
client = httpx.Client(trust_env=False, timeout=60)
back = client.get(sys.argv[1]).headers["location"]
client.get(back, headers={{"sec-fetch-mode": "navigate"}}).raise_for_status()
"""


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def home(server: OAuthServer, codemie_home: Path) -> StoredHome:
    stored = StoredHome(codemie_home)
    server.configure(stored.places)
    return stored


def agree(address: str) -> str:
    """What the person does at the provider's page; the address that the browser is sent to then."""
    with httpx.Client(trust_env=False) as client:
        return client.get(address).headers["location"]


def come_back(address: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.get(address)


def auth(*arguments: str, **env: str) -> Outcome:
    return run("auth", *arguments, env=environ(**env))


def nothing_secret(server: OAuthServer, *texts: str) -> None:
    """No token, code, device code, verifier, or client's answer in any of the texts."""
    planted = [*server.authority.codes, *server.authority.devices]
    planted += [token for one in server.sign_ins for token in (*one.access, *one.refresh)]
    planted += [one.fields[key] for one in server.asked for key in ("code", "code_verifier") if key in one.fields]
    for text in texts:
        assert not [value for value in planted if value in text]
        assert "Traceback" not in text


def stored_nothing(home: StoredHome) -> bool:
    """No account, no token, no sign-in under way."""
    if not (home.places.proxy / "proxy.db").exists():
        return True
    counts = [select(func.count()).select_from(table) for table in (tables.accounts, tables.account_secrets)]
    return home.read(lambda connection: [connection.execute(count).scalar() for count in counts]) == [0, 0]


def under_way(home: StoredHome) -> int:
    count = select(func.count()).select_from(tables.oauth_sessions)
    return int(home.read(lambda connection: connection.execute(count).scalar()) or 0)


def everything_in(home: StoredHome) -> bytes:
    return b"".join(path.read_bytes() for path in home.places.home.rglob("*") if path.is_file())


def assert_signed_in(home: StoredHome, server: OAuthServer, name: str = "mine") -> None:
    tokens = Tokens.parse(home.secret(name))
    assert server.good(tokens.access.get_secret_value())
    assert tokens.provider == "lab"
    [account] = home.accounts()
    assert (account.name, account.kind, account.base_url) == (name, Kind.OAUTH, server.url)
    assert under_way(home) == 0
    assert tokens.access.get_secret_value().encode() not in everything_in(home)


def test_the_browser_signs_in(home: StoredHome, server: OAuthServer, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o700)
    outcome = auth("login", "lab", "--name", "mine", BROWSER=str(browser))
    assert outcome.code == 0, outcome.err
    assert_signed_in(home, server)
    assert "noise" not in outcome.out + outcome.err
    nothing_secret(server, outcome.out, outcome.err)
    authorized = next(one for one in server.asked if one.path == "/authorize").fields
    exchanged = next(one for one in server.asked if one.path == "/token").fields
    assert authorized["code_challenge_method"] == "S256"
    assert len(authorized["state"]) >= 43
    assert authorized["state"] not in (authorized["code_challenge"], exchanged["code_verifier"])


def test_the_address_is_enough_and_json_is_alone_on_standard_output(home: StoredHome, server: OAuthServer) -> None:
    server.open.clear()
    with waiting("login", "lab", "--name", "mine", "--no-browser", "--json", fresh=True) as (process, address):
        page: list[httpx.Response] = []
        browser = threading.Thread(target=lambda: page.append(come_back(agree(address))))
        browser.start()
        assert server.came.acquire(timeout=PATIENCE)
        assert page == []  # the browser hears how it ended, not that it began
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        nothing_secret(server, *(" ".join(member.cmdline()) for member in family))
        server.open.set()
        outcome = ended(process)
        browser.join()
    assert outcome.code == 0, outcome.err
    assert page[0].status_code == 200
    shown = json.loads(outcome.out)
    assert (shown["name"], shown["kind"], shown["base_url"]) == ("mine", "oauth", server.url)
    nothing_secret(server, outcome.out, outcome.err, page[0].text)
    assert_signed_in(home, server)


def test_a_token_endpoint_that_takes_json_gets_json_with_the_state(home: StoredHome, server: OAuthServer) -> None:
    server.configure(home.places, token_request="json")
    with waiting("login", "lab", "--name", "mine", "--no-browser") as (process, address):
        assert come_back(agree(address)).status_code == 200
        assert ended(process).code == 0
    asked = next(one for one in server.asked if one.path == "/token")
    assert asked.kind == "application/json"
    assert [asked.fields["state"]] == parse_qs(urlsplit(address).query)["state"]
    assert_signed_in(home, server)


def whole(address: str) -> str:
    return address


def code_and_state(address: str) -> str:
    found = parse_qs(urlsplit(address).query)
    return f"{found['code'][0]}#{found['state'][0]}"


@pytest.mark.parametrize("form", [whole, code_and_state])
def test_a_page_that_shows_the_code_is_pasted_from_unseen(
    form: Callable[[str], str], home: StoredHome, server: OAuthServer
) -> None:
    server.configure(home.places, redirect_uri=PAGE)
    with Terminal([*COMMAND, "auth", "login", "lab", "--name", "mine", "--no-browser"], environ()) as terminal:
        address = terminal.wait_for(r"  (http\S+/authorize\?\S+)")[1]
        terminal.wait_for("stays hidden")
        wait_until_hidden(terminal)
        back = agree(address)
        assert back.startswith(PAGE)
        code = parse_qs(urlsplit(back).query)["code"][0]
        terminal.type(f"{code}\r")
        terminal.wait_for("cannot be used: it is not all of it")
        terminal.type(f"\x1b[200~{form(back)}\x1b[201~\r")
        assert terminal.wait() == 0, terminal.screen
        assert terminal.echoes
        assert code not in terminal.screen
        nothing_secret(server, terminal.screen)
    assert_signed_in(home, server)


def test_where_the_browser_is_elsewhere_its_last_address_is_pasted(home: StoredHome, server: OAuthServer) -> None:
    with Terminal([*COMMAND, "auth", "login", "lab", "--name", "mine", "--no-browser"], environ()) as terminal:
        address = terminal.wait_for(r"  (http\S+/authorize\?\S+)")[1]
        terminal.wait_for("stays hidden")
        wait_until_hidden(terminal)
        terminal.type(f"{agree(address)}\r")
        assert terminal.wait() == 0, terminal.screen
        nothing_secret(server, terminal.screen)
    assert_signed_in(home, server)


@pytest.mark.parametrize("redirect_uri", [PAGE, ""])
def test_one_may_pipe_it_in(redirect_uri: str, home: StoredHome, server: OAuthServer) -> None:
    server.configure(home.places, redirect_uri=redirect_uri)
    with waiting("login", "lab", "--name", "mine", "--paste", stdin=subprocess.PIPE) as (process, address):
        outcome = ended(process, agree(address))
    assert outcome.code == 0, outcome.err
    nothing_secret(server, outcome.out, outcome.err)
    assert_signed_in(home, server)


def test_an_answer_with_another_state_is_refused_and_nothing_is_stored(home: StoredHome, server: OAuthServer) -> None:
    server.state = "planted-state-of-somebody-else"
    with waiting("login", "lab", "--name", "mine", "--no-browser") as (process, address):
        refused = come_back(agree(address))
        assert refused.status_code == 400
        assert "belongs to another sign-in" in refused.text
        process.terminate()
        outcome = ended(process)
    assert outcome.code in {-signal.SIGTERM, 143}
    assert server.calls("/token") == 0
    assert stored_nothing(home)
    assert server.state not in outcome.err
    nothing_secret(server, outcome.out, outcome.err, refused.text)


def test_a_piped_answer_with_another_state_ends_it(home: StoredHome, server: OAuthServer) -> None:
    server.state = "planted-state-of-somebody-else"
    with waiting("login", "lab", "--name", "mine", "--paste", stdin=subprocess.PIPE) as (process, address):
        outcome = ended(process, agree(address))
    assert outcome.code == 1
    assert "belongs to another sign-in" in outcome.err
    assert server.calls("/token") == 0
    assert stored_nothing(home)
    nothing_secret(server, outcome.err)


def test_after_a_wrong_answer_the_right_one_still_counts_and_no_second_one(
    home: StoredHome, server: OAuthServer
) -> None:
    with waiting("login", "lab", "--name", "mine", "--no-browser") as (process, address):
        right = agree(address)
        wrong = re.sub(r"state=\w+", "state=planted", right)
        assert come_back(wrong).status_code == 400
        assert come_back(right).status_code == 200
        assert ended(process).code == 0
    with pytest.raises(httpx.HTTPError):
        come_back(right)
    assert server.calls("/token") == 1
    assert_signed_in(home, server)


def test_who_says_no_is_not_signed_in(home: StoredHome, server: OAuthServer) -> None:
    server.denies = True
    with waiting("login", "lab", "--name", "mine", "--no-browser") as (process, address):
        page = come_back(agree(address))
        outcome = ended(process)
    assert (outcome.code, page.status_code) == (1, 400)
    assert "access_denied" in outcome.err
    assert stored_nothing(home)
    assert under_way(home) == 0


@pytest.mark.parametrize("status", [400, 500])
def test_a_code_that_cannot_be_exchanged_stores_nothing_and_the_sign_in_is_used_up(
    status: int, home: StoredHome, server: OAuthServer
) -> None:
    server.failing.append((status, {"error": "invalid_grant", "error_description": "planted-words"}, {}))
    with waiting("login", "lab", "--name", "mine", "--no-browser") as (process, address):
        page = come_back(agree(address))
        outcome = ended(process)
    assert (outcome.code, page.status_code) == (1, 400)
    assert "invalid_grant" in outcome.err
    assert "planted-words" not in outcome.err + page.text
    assert stored_nothing(home)
    assert under_way(home) == 0
    nothing_secret(server, outcome.err, page.text)


@pytest.mark.parametrize("end", ["\x03", signal.SIGTERM], ids=["ctrl-c", "SIGTERM"])
def test_whoever_gives_up_gets_the_terminal_back(
    end: str | signal.Signals, home: StoredHome, server: OAuthServer
) -> None:
    with Terminal([*COMMAND, "auth", "login", "lab", "--name", "mine", "--no-browser"], environ()) as terminal:
        terminal.wait_for("stays hidden")
        wait_until_hidden(terminal)
        if isinstance(end, str):
            terminal.type(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.wait() in {1, 130, -signal.SIGINT, 143}
        assert terminal.echoes
        assert "Traceback" not in terminal.screen
    assert stored_nothing(home)


def test_a_device_is_waited_for_while_the_sign_in_is_pending(home: StoredHome, server: OAuthServer) -> None:
    with waiting("login", "lab", "--name", "mine", "--device") as (process, address):
        assert address.startswith(f"{server.url}/activate")
        [device] = server.authority.devices.values()
        assert process.stderr is not None
        assert any(device["user_code"] in line for line in process.stderr if "code" in line)
        assert server.came.acquire(timeout=PATIENCE)
        server.decide(device["user_code"])
        outcome = ended(process)
    assert outcome.code == 0, outcome.err
    assert_signed_in(home, server)
    nothing_secret(server, outcome.out, outcome.err)


@pytest.mark.parametrize(
    "agrees, words", [(False, "was refused on the other device"), (None, "nobody signed in on the other device")]
)
def test_a_device_that_does_not_sign_in_stores_nothing(
    agrees: bool | None, words: str, home: StoredHome, server: OAuthServer
) -> None:
    with waiting("login", "lab", "--name", "mine", "--device") as (process, _):
        assert server.came.acquire(timeout=PATIENCE)  # once it was told: pending
        [device] = server.authority.devices.values()
        if agrees is None:
            device["expires_at"] = 1
        else:
            server.decide(device["user_code"], agrees)
        outcome = ended(process)
    assert outcome.code == 1
    assert words in outcome.err
    assert stored_nothing(home)
    nothing_secret(server, outcome.out, outcome.err)


def test_signing_in_again_keeps_the_account_and_mends_it(home: StoredHome, server: OAuthServer) -> None:
    former = server.sign_in()
    account = new_account("mine", server.url, "anthropic-compatible", kind=Kind.OAUTH, priority=7, needs_login=True)
    home.add(account, former.dump())
    with waiting("login", "lab", "--name", "mine", "--no-browser") as (process, address):
        come_back(agree(address))
        assert ended(process).code == 0
    [now] = home.accounts()
    assert (now.id, now.priority, now.needs_login) == (account.id, 7, False)
    assert Tokens.parse(home.secret("mine")).access != former.access
    assert "signed in" in [event.event for event in home.events("mine")]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("login", "lab", "--name", "mine", "--no-browser", "--timeout", "1"), "nobody signed in within 1 seconds"),
        (("login", "lab", "--name", "by-key", "--no-browser"), "'by-key' is an account with a key"),
        (("login", "lap", "--name", "mine"), "did you mean 'lab'?"),
        (("login", "anthropic", "--name", "mine"), "CODEMIE_OAUTH_ANTHROPIC_CLIENT_ID"),
        (("status", "lab"), "nobody is signed in to lab"),
        (("refresh", "lab"), "nobody is signed in to lab"),
        (("logout", "lab"), "nobody is signed in to lab"),
    ],
)
def test_what_fails_is_one_line_and_exit_code_one(
    arguments: tuple[str, ...], words: str, home: StoredHome, server: OAuthServer
) -> None:
    home.add(new_account("by-key", server.url), "planted-key")
    outcome = auth(*arguments)
    assert (outcome.code, outcome.out) == (1, "")
    last = outcome.err.splitlines()[-1]
    assert last.startswith("codemie-proxy: ")
    assert words in last
    assert len(server.asked) == 0


def test_a_sign_in_lives_and_ends(home: StoredHome, server: OAuthServer) -> None:
    with waiting("login", "lab", "--name", "mine", "--no-browser") as (process, address):
        come_back(agree(address))
        signed_in = ended(process)
    status = auth("status", "lab")
    assert status.code == 0, status.err
    assert re.search(r"^mine +ready", status.out, re.MULTILINE)

    young = auth("refresh", "lab", "--name", "mine")
    assert young.code == 0, young.err
    assert server.calls("/token") == 1  # what has just been given is not renewed

    listed = auth("providers", "--json")
    assert listed.code == 0
    assert {"lab", "anthropic", "openai"} <= {one["name"] for one in json.loads(listed.out)}

    out = auth("logout", "lab", "--name", "mine")
    assert out.code == 0, out.err
    assert server.sign_ins[-1].over
    assert stored_nothing(home)
    assert auth("status", "lab").code == 1
    for outcome in (signed_in, status, young, listed, out):
        nothing_secret(server, outcome.out, outcome.err)


def test_refresh_renews_now_and_shows_no_token(home: StoredHome, server: OAuthServer) -> None:
    account = new_account("mine", server.url, "anthropic-compatible", kind=Kind.OAUTH)
    home.add(account, server.sign_in(left=1800).dump())
    outcome = auth("refresh", "lab", "--json")
    assert outcome.code == 0, outcome.err
    [shown] = json.loads(outcome.out)
    assert shown["expires_in_seconds"] > 3500
    assert server.calls("/token") == 1
    assert_signed_in(home, server)
    nothing_secret(server, outcome.out, outcome.err)


def test_a_logout_that_the_provider_does_not_hear_ends_with_1(home: StoredHome, server: OAuthServer) -> None:
    account = new_account("mine", server.url, "anthropic-compatible", kind=Kind.OAUTH)
    home.add(account, server.sign_in().dump())
    server.failing.append((500, {}, {}))
    outcome = auth("logout", "lab")
    assert outcome.code == 1
    assert "could not be told" in outcome.err.splitlines()[-1]
    assert stored_nothing(home)
