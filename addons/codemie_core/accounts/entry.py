"""What somebody says about a new account, checked: an error names the field, as they write it, and the fix."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from codemie_core.accounts.account import NAME, Account, Kind, SecretRef, Source
from codemie_core.accounts.providers import PROVIDERS, Provider
from codemie_core.credential import is_loopback
from codemie_core.egress import OutboundProxy, parse_proxy
from codemie_core.errors import SettingsError
from codemie_core.settings import nearest
from codemie_core.target import Target, parse_target, without_version
from codemie_core.urls import is_plain_url, origin_of

LONGEST_PATTERN = 200

type Spelling = Callable[[str], str]
"""How whoever asks writes a field of `Asked`: `base_url` is --base-url on a command line."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]+")


def as_option(field: str) -> str:
    """As the command line has it; words of a list are given one by one there."""
    return "--" + {"tags": "tag"}.get(field, field).replace("_", "-")


@dataclass(frozen=True, slots=True)
class Asked:
    """An account as it was asked for, as it was typed."""

    name: str
    provider: str
    base_url: str = ""
    priority: int = 0
    weight: int = 1
    tags: Sequence[str] = ()
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    serves: Sequence[str] = ()
    fallback_model: str = ""
    outbound_proxy: str = ""
    env: str = ""
    command: str = ""
    keyring: str = ""


def account_of(
    asked: Asked, notes: Callable[[str], None], now: Callable[[], float] = time.time, spell: Spelling = as_option
) -> Account:
    """The account, with an id of its own and no secret yet. `notes` hears what was understood differently."""
    provider = provider_of(asked.provider, spell)
    account = Account(
        id=str(uuid.uuid4()),
        name=checked_name(asked.name),
        provider=provider.name,
        kind=Kind.API_KEY,
        base_url=base_url_of(provider, asked.base_url, notes, spell),
        secret=secret_place(asked.env, asked.command, asked.keyring, spell),
        priority=asked.priority,
        weight=asked.weight,
        tags=_words(asked.tags, "tags", spell),
        serves=tuple(dict.fromkeys(served_origin(text, spell) for text in asked.serves)),
        outbound_proxy=outbound_proxy_of(asked.outbound_proxy, spell),
        created_at=round(now() * 1000),
    )
    return with_models(account, asked.allow, asked.deny, asked.fallback_model, spell)


def with_models(
    account: Account, allow: Sequence[str], deny: Sequence[str], fallback_model: str, spell: Spelling = as_option
) -> Account:
    """The account with other rules for models. SettingsError when they contradict each other."""
    changed = replace(
        account,
        allow=_words(allow, "allow", spell),
        deny=_words(deny, "deny", spell),
        fallback_model=_printable(fallback_model, spell("fallback_model")) if fallback_model else "",
    )
    if changed.fallback_model and not changed.allows(changed.fallback_model):
        rules = f"{spell('allow')} and {spell('deny')}"
        raise SettingsError(f"{spell('fallback_model')} {fallback_model}: {rules} keep it from this account")
    return changed


def checked_name(name: str) -> str:
    """A name that fits into logs, tables and command lines."""
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{name[:64]!r} is no name for an account: begin with a letter or digit, then up to 63 more of those "
            "and . _ @ + -, as in work-1"
        )
    return name


def provider_of(name: str, spell: Spelling = as_option) -> Provider:
    """The provider of this name."""
    if name not in PROVIDERS:
        close = nearest(name, PROVIDERS)
        meant = f"did you mean {close!r}? " if close else ""
        raise SettingsError(
            f"{spell('provider')} {name}: there is no such provider; {meant}There are: {', '.join(PROVIDERS)}"
        )
    return PROVIDERS[name]


def base_url_of(provider: Provider, text: str, notes: Callable[[str], None], spell: Spelling = as_option) -> str:
    """Where the account's API is, in the one form we compare; the only place its secret will go."""
    option = spell("base_url")
    if not text and not provider.base_url:
        raise SettingsError(f"{option} is missing: {provider.label} is somewhere else for everybody; name its URL")
    url = text.strip() or provider.base_url
    target = _target(url, option, "https://host[:port][/path]")
    if target.scheme != "https" and not is_loopback(target.host):
        raise SettingsError(
            f"{option} {url}: over http the secret would go through the network in clear; "
            f"write https://{url.partition('://')[2]} (http is for this machine alone)"
        )
    path = without_version(target.path)
    if path != target.path:
        notes(f"Its base URL is kept without {target.path.removeprefix(path)}: the client's own path brings it.")
    return origin_of(url if "://" in url else f"https://{url}") + path


def served_origin(text: str, spell: Spelling = as_option) -> str:
    """An origin whose requests the account may take over; a provider's name stands for the provider's own."""
    option = spell("serves")
    if text in PROVIDERS and PROVIDERS[text].base_url:
        text = PROVIDERS[text].base_url
    elif text.isalnum() and text != "localhost":
        close = nearest(text, [name for name, one in PROVIDERS.items() if one.base_url])
        meant = f"did you mean {close!r}? " if close else ""
        raise SettingsError(f"{option} {text}: there is no such provider; {meant}A host is written https://{text}")
    target = _target(text, option, "an origin, as in https://api.anthropic.com")
    if target.path:
        raise SettingsError(f"{option} {text}: leave out the path: it is about all requests to {target.origin}")
    return target.origin


def outbound_proxy_of(text: str, spell: Spelling = as_option) -> OutboundProxy | None:
    """The proxy on the way to the provider, without its password: that one is asked for."""
    if not text:
        return None
    option = spell("outbound_proxy")
    proxy = parse_proxy(text, option)
    if proxy_user(text) is None and proxy.authorization is not None:
        raise SettingsError(
            f"{option}: leave the password out of it; write http://<user>@host:port, the password is given by itself"
        )
    return OutboundProxy(proxy.scheme, proxy.host, proxy.port)


def proxy_user(text: str) -> str | None:
    """The user named in the proxy's URL; None when there is none, or a password too."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(text if "://" in text else f"http://{text}")
    return unquote(parts.username) if parts.username and parts.password is None else None


def secret_place(env: str, command: str, keyring: str, spell: Spelling = as_option) -> SecretRef:
    """Where the secret is to be had from; the vault unless one of these says otherwise."""
    named = [
        SecretRef(source, place)
        for source, place in ((Source.ENV, env), (Source.COMMAND, command), (Source.KEYRING, keyring))
        if place
    ]
    if len(named) > 1:
        one, two, three = map(spell, ("env", "command", "keyring"))
        raise SettingsError(f"an account has one secret: give only one of {one}, {two} and {three}")
    if env and not _VARIABLE.fullmatch(env):
        # Most likely it is the secret itself, so it is not repeated.
        raise SettingsError(f"{spell('env')} takes the name of a variable, like ANTHROPIC_API_KEY, not its value")
    if command:
        _check_command(command, spell("command"))
    return named[0] if named else SecretRef()


def _check_command(command: str, option: str) -> None:
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise SettingsError(f"{option}: {problem}; it is split as a shell would, but no shell runs it") from None
    if not words:
        raise SettingsError(f'{option} is empty; write for instance {option} "pass show anthropic"')


def _target(text: str, option: str, form: str) -> Target:
    target = parse_target(text.strip(), f"{option} {text}" if "@" not in text else option)
    if not _HOST.fullmatch(target.host) or not is_plain_url(text if "://" in text else f"https://{text}"):
        raise SettingsError(f"{option} {text}: this is no plain URL; write {form}")
    return target


def _words(texts: Sequence[str], field: str, spell: Spelling) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_printable(text, spell(field)) for text in texts))


def _printable(text: str, option: str) -> str:
    if not text or not text.isprintable() or " " in text or len(text) > LONGEST_PATTERN:
        raise SettingsError(f"{option} {text[:40]!r}: write up to {LONGEST_PATTERN} characters without spaces")
    return text
