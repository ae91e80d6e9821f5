"""An account and how it is, in words and as JSON; never its secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from codemie_core.accounts.account import Account, Kind, Source
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.accounts.reasons import clock
from codemie_core.accounts.state import Cooldown, Status
from codemie_core.accounts.verdicts import REFUSED
from codemie_core.redact import redact_text
from codemie_core.scope import address_of

NO_SECRET = "its secret cannot be had"
"""The reason of an account whose secret its source does not give."""

_STYLES: Mapping[str, str] = {
    "ready": "green",
    "in use": "green",
    "paused": "dim",
    "limited": "yellow",
    "guessed": "yellow",
    "recovering": "yellow",
    "probing": "yellow",
    "sign in again": "red",
}
_SIGN_INS = ("anthropic", "openai")
_TROUBLES = {REFUSED: "key refused", NO_SECRET: "secret missing"}
_TRYING = {"recovering": "the next request tries it", "probing": "one request is trying it"}
_LAST_DAY = datetime(9999, 12, 30, tzinfo=UTC).timestamp()


def state_words(account: Account, status: Status, now: float) -> str:
    """Like `ready`, `limited until 12:03 (upstream said so)` or `paused: holidays`."""
    match status.state:
        case "paused":
            return f"paused: {account.paused}" if account.paused else "paused"
        case "limited" | "guessed" if status.until is not None:
            if trouble := trouble_of(status):
                return f"{trouble}, tried again at {clock(status.until, now)}"
            source = "upstream said so" if status.verified else "a guess"
            return f"limited until {clock(status.until, now)} ({source})"
        case "recovering" | "probing":
            return f"recovering: {_TRYING[status.state]}"
    return status.state


def trouble_of(status: Status) -> str:
    """`key refused` or `secret missing`: what only its owner can mend; "" for all else."""
    return _TROUBLES.get(status.reason, "") if status.state in ("guessed", "recovering", "probing") else ""


def style(status: Status) -> str:
    """The color of its state."""
    return "red" if trouble_of(status) else _STYLES.get(status.state, "")


def model_words(cooldown: Cooldown, now: float) -> str:
    """A model that is out: `claude-opus-4-1 until 12:03: out of credits`."""
    return f"{cooldown.model} until {clock(cooldown.until, now)}: {cooldown.reason}"


def remedy(account: Account, status: Status) -> str:
    """What its owner can run to have it back; "" when waiting is all there is to do."""
    if status.state == "paused":
        return f"codemie-proxy accounts resume {account.name}"
    if status.state == "sign in again":
        return sign_in_command(account)
    trouble = trouble_of(status)
    if trouble == "key refused" and account.kind is Kind.API_KEY and account.secret.source is Source.VAULT:
        return f"codemie-proxy accounts key {account.name}"
    return f"codemie-proxy accounts test {account.name}" if trouble else ""


def sign_in_command(account: Account) -> str:
    """How its owner signs in again. With whom a provider of one's own is, only the sealed tokens know."""
    provider = account.provider if account.provider in _SIGN_INS else "PROVIDER"
    return f"codemie-proxy auth login {provider} --name {account.name}"


def used(status: Status) -> str:
    """How much of its limits is used, as the provider last said."""
    return "-" if status.utilization is None else f"{status.utilization:.0%}"


def secret_words(account: Account) -> str:
    """Where the secret is; never what it is."""
    place = redact_text(account.secret.place)
    match account.secret.source:
        case Source.ENV:
            return f"the environment variable {place} of the proxy"
        case Source.COMMAND:
            return f"what this command prints: {place}"
        case Source.KEYRING:
            return f"the keyring, under {place}"
    return "the vault, from a sign-in" if account.kind is Kind.OAUTH else "the vault"


def as_json(account: Account, status: Status, now: float) -> dict[str, Any]:
    """For programs. Times are ISO 8601 in UTC, utilization is a fraction."""
    proxy = account.outbound_proxy
    return {
        "id": account.id,
        "name": account.name,
        "provider": account.provider,
        "kind": account.kind.value,
        "base_url": account.base_url,
        "priority": account.priority,
        "weight": account.weight,
        "state": status.state,
        "state_in_words": state_words(account, status, now),
        "reason": account.paused if status.state == "paused" else status.reason or None,
        "until": moment(status.until),
        "verified": status.verified,
        "utilization": status.utilization,
        "conversations": status.conversations,
        "models_out": [
            {"model": out.model, "until": moment(out.until), "verified": out.verified, "reason": out.reason}
            for out in status.models
        ],
        "paused": account.paused,
        "needs_login": account.needs_login,
        "secret": {"source": account.secret.source.value, "place": redact_text(account.secret.place)},
        "serves": list(account.serves),
        "allow": list(account.allow),
        "deny": list(account.deny),
        "fallback_model": account.fallback_model or None,
        "outbound_proxy": f"{proxy.scheme}://{address_of(proxy.host, proxy.port)}" if proxy else None,
        "tags": list(account.tags),
        "created_at": moment(account.created_at / 1000),
    }


def line(account: Account, status: Status, now: float) -> str:
    """All that matters in one line: `main (anthropic), priority 0: ready, 42% used`."""
    parts = [state_words(account, status, now)]
    if status.reason and status.state != "paused":
        parts.append(status.reason)
    if status.utilization is not None:
        parts.append(f"{used(status)} used")
    if status.models:
        parts.append(f"without {', '.join(out.model for out in status.models)}")
    return f"{account.name} ({account.provider}), priority {account.priority}: {', '.join(parts)}"


def lines(account: Account, status: Status, now: float) -> list[tuple[str, str]]:
    """For people: names and texts, without what is not set."""
    shown = as_json(account, status, now)
    rows = [
        ("Account", f"{account.name} ({account.id})"),
        ("Provider", f"{PROVIDERS[account.provider].label}, {_kind(account)}"),
        ("API", account.base_url),
        ("State", shown["state_in_words"]),
        ("Why", "" if status.state == "paused" else status.reason),
        ("Models out", "\n".join(model_words(out, now) for out in status.models)),
        ("Used", "" if status.utilization is None else f"{used(status)} of its limits"),
        ("In use by", conversations(status.conversations) if status.conversations else ""),
        ("Priority", f"{account.priority} (lower goes first), weight {account.weight} among equals"),
        ("Secret", secret_words(account)),
        ("Serves too", ", ".join(account.serves)),
        ("Models", _models(account)),
        ("Fallback", account.fallback_model),
        ("Goes out by", shown["outbound_proxy"] or ""),
        ("Tags", ", ".join(account.tags)),
        ("Since", local(account.created_at / 1000)),
        ("To mend it", remedy(account, status)),
    ]
    return [(name, text) for name, text in rows if text]


def conversations(count: int) -> str:
    """1 conversation, 3 conversations."""
    return f"{count} conversation{'' if count == 1 else 's'}"


def local(moment: float) -> str:
    """The whole of it: 2026-08-21 17:05."""
    return f"{_local(moment):%Y-%m-%d %H:%M}"


def moment(seconds: float | None) -> str | None:
    """For programs."""
    return None if seconds is None else _utc(seconds).isoformat(timespec="seconds")


def _utc(seconds: float) -> datetime:
    # A reset that a provider named may be one that no calendar has.
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST_DAY), UTC)


def _local(seconds: float) -> datetime:
    return _utc(seconds).astimezone()


def _kind(account: Account) -> str:
    return "signed in by OAuth" if account.kind is Kind.OAUTH else "API key"


def _models(account: Account) -> str:
    allowed = ", ".join(account.allow) or "all"
    return f"{allowed}, but not {', '.join(account.deny)}" if account.deny else ", ".join(account.allow)
