"""An account as the API and the pages show it: ccflare's names and what this pool knows beyond; never its secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from codemie_core.accounts import words
from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.providers import PROVIDERS
from codemie_core.accounts.state import Cooldown, Status, Usage
from codemie_core.admin.wire import Wire, iso
from codemie_core.oauth.held import Held
from codemie_core.redact import redact_text
from codemie_core.scope import address_of
from codemie_core.store.account_use import Use

LIMITED = ("limited", "guessed")


class WindowInfo(Wire):
    """One of the windows in which the provider counts, as it was last heard of."""

    name: str
    utilization: float = Field(description="A fraction; above 1 where the provider lets it.")
    resets_at: str | None
    seen_at: str | None


class ModelOut(Wire):
    """A model that this account is not asked for now."""

    model: str
    until: str | None
    verified: bool = Field(description="The provider named the time.")
    reason: str


class SecretInfo(Wire):
    """Where the secret is; never what it is."""

    source: str = Field(description="vault, env, command or keyring.")
    place: str = Field(description="The variable, the command or the keyring's entry; redacted.")


class AccountInfo(Wire):
    """One account of the pool."""

    id: str
    name: str
    provider: str
    provider_label: str
    kind: Literal["api_key", "oauth"]
    base_url: str
    custom_endpoint: str | None = Field(description="The base URL where it is not the provider's own.")
    created: str | None
    priority: int = Field(description="Lower goes first.")
    weight: int = Field(description="Its share among accounts of one priority.")
    tags: list[str]
    serves: list[str] = Field(description="Other origins whose requests it may serve.")
    allow: list[str] = Field(description="Patterns of models it serves; none: all.")
    deny: list[str]
    fallback_model: str | None
    outbound_proxy: str | None
    secret: SecretInfo
    state: str = Field(
        description="ready, in use, paused, sign in again, limited, guessed (how long is a guess), recovering (the "
        "next request tries it), probing (one is trying it)."
    )
    state_in_words: str
    reason: str | None
    until: str | None
    verified: bool = Field(description="The provider named `until`.")
    remedy: str | None = Field(description="A command that mends what its owner has to mend.")
    paused: bool
    pause_reason: str | None
    requires_reauth: bool
    token_status: Literal["valid", "expired"]
    token_expires_at: str | None = Field(description="Of a sign-in: when its access token ends.")
    has_refresh_token: bool = Field(description="Is the sign-in renewed by itself?")
    rate_limit_status: str = Field(description='"OK", or the state and the minutes that are left.')
    rate_limit_reset: str | None = Field(description="When a limit in force ends, else the next window's reset.")
    rate_limit_remaining: int | None = Field(description="Always null: providers tell fractions.")
    rate_limited_until: str | None
    rate_limited_reason: str | None
    rate_limited_at: str | None
    usage_utilization: float | None = Field(description="A fraction: of the fullest window.")
    usage_window: str | None = Field(description="The fullest window.")
    windows: list[WindowInfo]
    models_out: list[ModelOut]
    conversations: int = Field(description="Conversations that this account serves now.")
    request_count: int = Field(description="Turns of the last five hours.")
    total_requests: int = Field(description="Turns in the history, under this name.")
    last_used: str | None
    session_info: str


class Known:
    """What there is to say about one account; `as_info` says it."""

    def __init__(
        self, account: Account, status: Status, windows: Sequence[Usage], rest: Cooldown | None, now: float
    ) -> None:
        self.account, self.status, self.windows, self.rest, self.now = account, status, windows, rest, now
        self.held: Held | None = None
        self.use = Use(0, 0, 0)

    def as_info(self) -> AccountInfo:
        """For the API."""
        account, status, rest = self.account, self.status, self.rest
        limited = status.state in LIMITED and not words.trouble_of(status)
        fullest = self._fullest()
        tokens = self.held.tokens if self.held else None
        return AccountInfo(
            id=account.id,
            name=account.name,
            provider=account.provider,
            provider_label=PROVIDERS[account.provider].label,
            kind=account.kind.value,
            base_url=account.base_url,
            custom_endpoint=account.base_url if account.base_url != PROVIDERS[account.provider].base_url else None,
            created=iso(account.created_at),
            priority=account.priority,
            weight=account.weight,
            tags=list(account.tags),
            serves=list(account.serves),
            allow=list(account.allow),
            deny=list(account.deny),
            fallback_model=account.fallback_model or None,
            outbound_proxy=_way(account),
            secret=SecretInfo(source=account.secret.source.value, place=redact_text(account.secret.place)),
            state=status.state,
            state_in_words=words.state_words(account, status, self.now),
            reason=account.paused if status.state == "paused" else status.reason or None,
            until=words.moment(status.until),
            verified=status.verified,
            remedy=words.remedy(account, status) or None,
            paused=account.paused is not None,
            pause_reason=account.paused,
            requires_reauth=account.needs_login,
            token_status="expired" if self._expired() else "valid",
            token_expires_at=words.moment(tokens.expires_at) if tokens else None,
            has_refresh_token=bool(tokens and tokens.refresh),
            rate_limit_status=self._limit_words() if limited else "OK",
            rate_limit_reset=words.moment(status.until if limited else self._next_reset()),
            rate_limit_remaining=None,
            rate_limited_until=words.moment(status.until) if limited else None,
            rate_limited_reason=status.reason if limited else None,
            rate_limited_at=words.moment(rest.since) if limited and rest else None,
            usage_utilization=status.utilization,
            usage_window=fullest.window if fullest else None,
            windows=[
                WindowInfo(
                    name=usage.window,
                    utilization=usage.utilization,
                    resets_at=words.moment(usage.resets_at),
                    seen_at=words.moment(usage.seen),
                )
                for usage in sorted(self.windows, key=lambda usage: usage.window)
            ],
            models_out=[
                ModelOut(model=out.model, until=words.moment(out.until), verified=out.verified, reason=out.reason)
                for out in status.models
            ],
            conversations=status.conversations,
            request_count=self.use.recent,
            total_requests=self.use.turns,
            last_used=iso(self.use.last_ms or None),
            session_info=f"Active: {self.use.recent} reqs" if self.use.recent else "-",
        )

    def _expired(self) -> bool:
        if self.account.kind is not Kind.OAUTH:
            return False
        tokens = self.held.tokens if self.held else None
        if self.account.needs_login or tokens is None:
            return True
        return tokens.expires_at is not None and tokens.left(self.now) <= 0

    def _limit_words(self) -> str:
        minutes = max(0, round(((self.status.until or self.now) - self.now) / 60))
        return f"{'limited' if self.status.verified else 'limited, a guess'} ({minutes}m)"

    def _ahead(self) -> list[Usage]:
        return [usage for usage in self.windows if usage.resets_at is None or usage.resets_at > self.now]

    def _fullest(self) -> Usage | None:
        return max(self._ahead(), key=lambda usage: usage.utilization, default=None)

    def _next_reset(self) -> float | None:
        return min((usage.resets_at for usage in self._ahead() if usage.resets_at is not None), default=None)


def _way(account: Account) -> str | None:
    proxy = account.outbound_proxy
    return f"{proxy.scheme}://{address_of(proxy.host, proxy.port)}" if proxy else None
