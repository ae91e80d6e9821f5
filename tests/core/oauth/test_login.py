"""What a sign-in keeps and gives out once, whose answer it takes, and what becomes of its tokens."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Kind, Source
from codemie_core.accounts.state import Cooldown
from codemie_core.errors import SettingsError
from codemie_core.oauth.grants import Way
from codemie_core.oauth.login import (
    Answer,
    Begun,
    Held,
    LoginFailed,
    begin,
    callback_port,
    checked,
    exchanged,
    how_to_paste,
    keep,
    read_address,
    read_pasted,
    redirect_uri_of,
    take,
)
from codemie_core.oauth.providers import OAuthProvider
from codemie_core.oauth.tokens import Tokens
from codemie_core.store.oauth import LIFETIME_MS
from codemie_core.store.pool import save_changes
from support.stored import StoredHome, new_account

NOW = 1_790_000_000.0
REDIRECT = "http://127.0.0.1:7777/callback"
LAB = OAuthProvider(
    name="lab",
    provider="anthropic-compatible",
    base_url="https://api.lab.test",
    authorize_url="https://login.lab.test/authorize?tenant=1",
    client_id="a-client",
    scopes=("one", "two"),
    serves=("https://api.anthropic.com",),
)
TOKENS = Tokens(SecretStr("planted-access"), SecretStr("planted-refresh"), NOW + 3600, NOW, "one", "lab")
STATE = "s" * 43


@pytest.fixture
def home(codemie_home: Path) -> StoredHome:
    return StoredHome(codemie_home)


def begun(home: StoredHome, now: float = NOW) -> Begun:
    return home.write(lambda connection: begin(connection, home.vault(connection), LAB, "work", REDIRECT, now))


def taken(home: StoredHome, session: str, state: str, now: float = NOW) -> Held:
    return checked(home.write(lambda connection: take(connection, home.vault(connection), session, now)), state)


def test_the_address_carries_a_challenge_and_a_state_and_not_the_verifier(home: StoredHome) -> None:
    sign_in = begun(home)
    parts = urlsplit(sign_in.url)
    asked = dict(parse_qsl(parts.query))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://login.lab.test/authorize"
    assert {
        "tenant": "1",
        "response_type": "code",
        "client_id": "a-client",
        "scope": "one two",
    }.items() <= asked.items()
    assert (asked["state"], asked["code_challenge_method"]) == (sign_in.state, "S256")
    held = taken(home, sign_in.id, sign_in.state)
    verifier = held.verifier.get_secret_value()
    assert verifier not in sign_in.url
    assert verifier != sign_in.state
    assert len(verifier) >= 43
    assert (held.provider, held.account_name, held.redirect_uri) == ("lab", "work", REDIRECT)


def test_two_sign_ins_have_nothing_in_common(home: StoredHome) -> None:
    one, other = begun(home), begun(home)
    assert one.id != other.id
    assert one.state != other.state


def test_a_sign_in_ends_once(home: StoredHome) -> None:
    sign_in = begun(home)
    taken(home, sign_in.id, sign_in.state)
    with pytest.raises(LoginFailed, match="ends once"):
        taken(home, sign_in.id, sign_in.state)


def test_a_sign_in_is_over_after_ten_minutes(home: StoredHome) -> None:
    sign_in = begun(home)
    with pytest.raises(LoginFailed, match="lasts ten minutes"):
        taken(home, sign_in.id, sign_in.state, NOW + LIFETIME_MS / 1000)


def test_another_state_gets_nothing_and_uses_the_sign_in_up(home: StoredHome) -> None:
    sign_in = begun(home)
    with pytest.raises(LoginFailed, match="another sign-in"):
        taken(home, sign_in.id, begun(home).state)
    with pytest.raises(LoginFailed, match="ends once"):
        taken(home, sign_in.id, sign_in.state)


def test_what_is_kept_for_it_is_sealed(home: StoredHome) -> None:
    sign_in = begun(home)
    assert not any(sign_in.state.encode() in path.read_bytes() for path in home.places.proxy.glob("proxy.db*"))


@pytest.mark.parametrize(
    "target",
    [f"/callback?code=planted&state={STATE}", f"/callback?state={STATE}&code=planted&scope=one"],
)
def test_the_callback_takes_the_code(target: str) -> None:
    answer = read_address(target, "/callback", STATE)
    assert answer is not None
    assert (answer.code.get_secret_value(), answer.error) == ("planted", "")


def test_the_callback_takes_a_refusal() -> None:
    answer = read_address(f"/callback?error=access_denied&state={STATE}", "/callback", STATE)
    assert answer is not None
    assert answer.error == "access_denied"


@pytest.mark.parametrize("target", ["/", "/favicon.ico", f"/other?code=planted&state={STATE}"])
def test_another_path_brings_nothing(target: str) -> None:
    assert read_address(target, "/callback", STATE) is None


@pytest.mark.parametrize(
    "target, why",
    [
        ("/callback?code=planted&state=wrong", "another sign-in"),
        ("/callback?code=planted", "another sign-in"),
        ("/callback?error=access_denied&state=wrong", "another sign-in"),
        (f"/callback?state={STATE}", "no code"),
        ("/callback?code=planted&state=\u00e9", "another sign-in"),
    ],
)
def test_the_callback_refuses_what_is_not_ours(target: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_address(target, "/callback", STATE)


@pytest.mark.parametrize(
    "text",
    [
        f"planted#{STATE}",
        f"  planted#{STATE}\n",
        f"http://127.0.0.1:7777/callback?code=planted&state={STATE}",
        f"code=planted&state={STATE}",
        f"?code=planted&state={STATE}",
    ],
)
def test_a_pasted_code_may_come_in_any_form_that_has_the_state(text: str) -> None:
    assert read_pasted(text, STATE).code.get_secret_value() == "planted"


@pytest.mark.parametrize(
    "text, why",
    [
        ("planted", "not all of it"),
        ("", "not all of it"),
        ("planted#wrong", "another sign-in"),
        (f"#{STATE}", "no code"),
        ("https://login.test/callback?code=planted&state=wrong", "another sign-in"),
    ],
)
def test_a_pasted_line_without_its_state_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        read_pasted(text, STATE)
    assert "planted" not in str(raised.value)


def kept(home: StoredHome, tokens: Tokens = TOKENS, provider: OAuthProvider = LAB, name: str = "work") -> bool:
    """Was it a new account?"""
    return home.write(
        lambda connection: keep(connection, home.vault(connection), provider, name, tokens, "a test", NOW)
    )[1]


def test_a_new_sign_in_becomes_an_account(home: StoredHome) -> None:
    assert kept(home)
    (account,) = home.accounts()
    assert (account.name, account.kind, account.provider) == ("work", Kind.OAUTH, "anthropic-compatible")
    assert (account.base_url, account.serves) == ("https://api.lab.test", ("https://api.anthropic.com:443",))
    assert account.secret.source is Source.VAULT
    assert Tokens.parse(home.secret("work")) == TOKENS


def test_signing_in_again_keeps_the_account_and_ends_its_rests(home: StoredHome) -> None:
    kept(home)
    home.change("work", priority=7, needs_login=True)
    (before,) = home.accounts()
    guess = Cooldown(before.id, "", NOW + 900, "401", False, 2, NOW - 1)
    limit = Cooldown(before.id, "opus", NOW + 900, "429", True, 0, NOW - 1)
    home.write(lambda connection: save_changes(connection, [guess, limit]))
    again = replace(TOKENS, access=SecretStr("planted-other"))
    assert not kept(home, again)
    (after,) = home.accounts()
    assert after == replace(before, needs_login=False)
    assert Tokens.parse(home.secret("work")) == again
    assert {rest.model: rest.over for rest in home.state(NOW).cooldowns} == {"": True, "opus": False}
    assert "signed in" in [event.event for event in home.events("work")]


@pytest.mark.parametrize(
    "name, fields, why",
    [
        ("a key", {"kind": Kind.API_KEY, "base_url": "https://api.lab.test"}, "no name"),
        ("key", {"kind": Kind.API_KEY, "base_url": "https://api.lab.test"}, "an account with a key"),
        ("far", {"kind": Kind.OAUTH, "base_url": "https://elsewhere.test"}, "an account at https://elsewhere.test"),
    ],
)
def test_a_sign_in_never_takes_the_place_of_another_kind_of_account(
    home: StoredHome, name: str, fields: dict[str, object], why: str
) -> None:
    home.add(new_account(name, provider="anthropic-compatible", **fields), "planted-former")  # type: ignore[arg-type] # base_url is in fields
    with pytest.raises(SettingsError, match=why):
        kept(home, name=name)
    assert home.secret(name) == "planted-former"


@pytest.mark.parametrize(
    "error, shown",
    [("access_denied", "access_denied"), ("<script>", "it gave no reason"), ("e" * 99, "it gave no reason")],
)
async def test_of_a_refusal_only_a_plain_word_is_repeated(error: str, shown: str, home: StoredHome) -> None:
    held = Held("lab", "work", SecretStr("planted"), SecretStr(STATE), REDIRECT)
    with pytest.raises(LoginFailed, match=f"^lab did not sign you in: {shown}$"):
        await exchanged(LAB, Way(home.places, {}), held, Answer(SecretStr(""), error), NOW)


@pytest.mark.parametrize(
    "registered, port, uri",
    [
        ("", 0, "http://127.0.0.1:4711/callback"),
        ("http://localhost:1455/auth", 1455, "http://localhost:1455/auth"),
        ("http://127.0.0.1/auth", 0, "http://127.0.0.1/auth"),
        ("https://login.lab.test/shown", None, "https://login.lab.test/shown"),
    ],
)
def test_the_browser_comes_back_here_unless_the_provider_shows_a_code(
    registered: str, port: int | None, uri: str
) -> None:
    provider = LAB.model_copy(update={"redirect_uri": registered})
    assert callback_port(provider) == port
    assert redirect_uri_of(provider, 4711) == uri
    assert (uri in how_to_paste(uri, port is not None)) is (port is not None)
