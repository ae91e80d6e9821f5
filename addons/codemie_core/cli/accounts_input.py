"""What `accounts add` is told about an account, checked: an error names the option and the way to mend it."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codemie_core.accounts.account import NAME, Account, Kind, SecretRef, Source
from codemie_core.accounts.providers import PROVIDERS, Provider
from codemie_core.credential import is_loopback
from codemie_core.egress import OutboundProxy, parse_proxy
from codemie_core.errors import SettingsError
from codemie_core.settings import nearest
from codemie_core.target import Target, parse_target, without_version
from codemie_core.urls import is_plain_url, origin_of

LONGEST_PATTERN = 200
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of `accounts add`, as they were typed."""

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


def account_of(asked: Asked, notes: Callable[[str], None], now: Callable[[], float] = time.time) -> Account:
    """The account, with an id of its own and no secret yet. `notes` hears what was understood differently."""
    provider = provider_of(asked.provider)
    account = Account(
        id=str(uuid.uuid4()),
        name=checked_name(asked.name),
        provider=provider.name,
        kind=Kind.API_KEY,
        base_url=base_url_of(provider, asked.base_url, notes),
        secret=secret_place(asked.env, asked.command, asked.keyring),
        priority=asked.priority,
        weight=asked.weight,
        tags=tuple(dict.fromkeys(_printable(tag, "--tag") for tag in asked.tags)),
        allow=tuple(dict.fromkeys(_printable(pattern, "--allow") for pattern in asked.allow)),
        deny=tuple(dict.fromkeys(_printable(pattern, "--deny") for pattern in asked.deny)),
        serves=tuple(dict.fromkeys(map(served_origin, asked.serves))),
        outbound_proxy=outbound_proxy_of(asked.outbound_proxy),
        fallback_model=_printable(asked.fallback_model, "--fallback-model") if asked.fallback_model else "",
        created_at=round(now() * 1000),
    )
    if account.fallback_model and not account.allows(account.fallback_model):
        raise SettingsError(f"--fallback-model {account.fallback_model}: --allow and --deny keep it from this account")
    return account


def checked_name(name: str) -> str:
    """A name that fits into logs, tables and command lines."""
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{name[:64]!r} is no name for an account: begin with a letter or digit, then up to 63 more of those "
            "and . _ @ + -, as in work-1"
        )
    return name


def provider_of(name: str) -> Provider:
    """The provider of this name."""
    if name not in PROVIDERS:
        close = nearest(name, PROVIDERS)
        meant = f"did you mean {close!r}? " if close else ""
        raise SettingsError(f"--provider {name}: there is no such provider; {meant}There are: {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def base_url_of(provider: Provider, text: str, notes: Callable[[str], None]) -> str:
    """Where the account's API is, in the one form we compare; the only place its secret will go."""
    if not text and not provider.base_url:
        raise SettingsError(f"--base-url is missing: {provider.label} is somewhere else for everybody; name its URL")
    url = text.strip() or provider.base_url
    target = _target(url, "--base-url", "https://host[:port][/path]")
    if target.scheme != "https" and not is_loopback(target.host):
        raise SettingsError(
            f"--base-url {url}: over http the secret would go through the network in clear; "
            f"write https://{url.partition('://')[2]} (http is for this machine alone)"
        )
    path = without_version(target.path)
    if path != target.path:
        notes(f"Its base URL is kept without {target.path.removeprefix(path)}: the client's own path brings it.")
    return origin_of(url if "://" in url else f"https://{url}") + path


def served_origin(text: str) -> str:
    """An origin whose requests the account may take over; a provider's name stands for the provider's own."""
    if text in PROVIDERS and PROVIDERS[text].base_url:
        text = PROVIDERS[text].base_url
    elif text.isalnum() and text != "localhost":
        close = nearest(text, [name for name, one in PROVIDERS.items() if one.base_url])
        meant = f"did you mean {close!r}? " if close else ""
        raise SettingsError(f"--serves {text}: there is no such provider; {meant}A host is written https://{text}")
    target = _target(text, "--serves", "an origin, as in https://api.anthropic.com")
    if target.path:
        raise SettingsError(f"--serves {text}: leave out the path: it is about all requests to {target.origin}")
    return target.origin


def outbound_proxy_of(text: str) -> OutboundProxy | None:
    """The proxy on the way to the provider, without its password: that one is asked for."""
    if not text:
        return None
    proxy = parse_proxy(text, "--outbound-proxy")
    if proxy_user(text) is None and proxy.authorization is not None:
        raise SettingsError(
            "--outbound-proxy: leave the password out of the command line, where everybody on this machine can read "
            "it; write http://USER@host:port and it is asked for"
        )
    return OutboundProxy(proxy.scheme, proxy.host, proxy.port)


def proxy_user(text: str) -> str | None:
    """The user named in the proxy's URL; None when there is none, or a password too."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(text if "://" in text else f"http://{text}")
    return unquote(parts.username) if parts.username and parts.password is None else None


def secret_place(env: str, command: str, keyring: str) -> SecretRef:
    """Where the secret is to be had from; the vault unless one of these says otherwise."""
    named = [
        SecretRef(source, place)
        for source, place in ((Source.ENV, env), (Source.COMMAND, command), (Source.KEYRING, keyring))
        if place
    ]
    if len(named) > 1:
        raise SettingsError("an account has one secret: give only one of --env, --command and --keyring")
    if env and not _VARIABLE.fullmatch(env):
        # Most likely it is the secret itself, so it is not repeated.
        raise SettingsError("--env takes the name of a variable, as in --env ANTHROPIC_API_KEY, not its value")
    if command:
        _check_command(command)
    return named[0] if named else SecretRef()


def _check_command(command: str) -> None:
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise SettingsError(f"--command: {problem}; it is split as a shell would, but no shell runs it") from None
    if not words:
        raise SettingsError('--command is empty; write for instance --command "pass show anthropic"')


def _target(text: str, option: str, form: str) -> Target:
    target = parse_target(text.strip(), f"{option} {text}" if "@" not in text else option)
    if not _HOST.fullmatch(target.host) or not is_plain_url(text if "://" in text else f"https://{text}"):
        raise SettingsError(f"{option} {text}: this is no plain URL; write {form}")
    return target


def _printable(text: str, option: str) -> str:
    if not text or not text.isprintable() or " " in text or len(text) > LONGEST_PATTERN:
        raise SettingsError(f"{option} {text[:40]!r}: write up to {LONGEST_PATTERN} characters without spaces")
    return text
