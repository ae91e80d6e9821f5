"""Why an account was chosen, or could not be: short phrases for people."""

from __future__ import annotations

import time

from codemie_core.accounts.empty import PROBING
from codemie_core.accounts.member import Member
from codemie_core.accounts.state import Cooldown, Status

KEPT = "kept: this conversation's account"
SESSION = "kept: the account of all conversations"
NEW_SESSION = "the first that is free, for all conversations"
BACK = "; a guess is over, this request finds out"
FAILED = "failed this request"
DAY = 86400.0


def clock(at: float, now: float) -> str:
    """A time of day, with the date when that is not today's."""
    return time.strftime("%H:%M" if at - now < DAY / 2 else "%Y-%m-%d %H:%M", time.localtime(at))


def limited(cooldown: Cooldown, now: float) -> str:
    """Until when, and who said so."""
    what = f"out of {cooldown.model}" if cooldown.model else "limited"
    source = "upstream said so" if cooldown.verified else "a guess"
    return f"{what} until {clock(cooldown.until, now)} ({source})"


def out(member: Member, model: str, now: float) -> str:
    """Why it cannot serve this model now; "" when it can."""
    if member.account.paused is not None:
        return f"paused: {member.account.paused}" if member.account.paused else "paused"
    if member.account.needs_login:
        return "sign in again"
    cooldown = member.health.blocking(model, now)
    if cooldown is not None:
        return f"{cooldown.model}: {cooldown.reason}" if cooldown.model else cooldown.reason
    return PROBING if member.health.free_at(model, now) else ""


def moved(home: Member | None, model: str, now: float) -> str:
    """Why a conversation leaves its account."""
    if home is None:
        return "moved: its account is gone"
    cooldown = home.health.blocking(model, now)
    if home.stopped or cooldown is None:
        return f"moved: {home.account.name} is {out(home, model, now) or 'free'}"
    return f"moved: {home.account.name} is {limited(cooldown, now)}"


def for_once(home: Member, model: str, now: float) -> str:
    """Why one request leaves it."""
    if home.health.free_at(model, now):
        return f"this request only: {home.account.name} is being tried by another one"
    return f"this request only: {home.account.name} failed it"


def fresh(member: Member, conversation: str) -> str:
    """A conversation that had no account."""
    return f"{'new' if conversation else 'no'} conversation, priority {member.account.priority}"


def instead(asked: str, model: str) -> str:
    """A fallback model."""
    return f"{model} instead of {asked}: no account has any left; "


def status(member: Member, conversations: int, now: float) -> Status:
    """How it is."""
    health = member.health
    cooldown = health.blocking("", now)
    recovering = health.recovering("")
    state, reason, until = "in use" if conversations else "ready", "", None
    if member.account.paused is not None:
        state, reason = "paused", member.account.paused
    elif member.stopped:
        state = "sign in again"
    elif cooldown is not None:
        state, reason, until = "limited" if cooldown.verified else "guessed", cooldown.reason, cooldown.until
    elif recovering is not None:
        probing = health.lease_until > now
        state, reason = "probing" if probing else "recovering", recovering.reason
        until = health.lease_until if probing else None
    models = tuple(one for one in health.models.values() if one.until > now)
    verified = cooldown is not None and cooldown.verified and not member.stopped
    return Status(state, reason, until, verified, health.fullest(now), conversations, models)
