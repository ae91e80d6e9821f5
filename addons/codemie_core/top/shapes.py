"""What the admin API tells, as far as a terminal shows it.

Everything has a default: a proxy of another version may know less or more, and its operator shall see the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


def _seconds(value: object) -> object:
    """ISO 8601 or milliseconds since the epoch -> seconds since the epoch."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    return value / 1000 if isinstance(value, int | float) else value


def _text(value: object) -> object:
    return "" if value is None else value


Moment = Annotated[float | None, BeforeValidator(_seconds)]
Text = Annotated[str, BeforeValidator(_text)]


class Shape(BaseModel):
    """camelCase on the wire; what is not known here is left out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class Account(Shape):
    """An account of the pool and how it is."""

    id: str
    name: str
    provider: Text = ""
    state: Text = ""
    state_in_words: Text = ""
    reason: Text = ""
    until: Moment = None
    remedy: Text = ""
    """The command that mends it; "" when waiting is all there is to do."""
    paused: bool = False
    priority: int = 0
    usage_utilization: float | None = None
    request_count: int = 0
    last_used: Moment = None


class Request(Shape):
    """One model turn, finished or still open."""

    id: str
    timestamp: Moment = None
    method: Text = ""
    path: Text = ""
    session_id: Text = ""
    agent_used: Text = ""
    account_used: Text = ""
    model: Text = ""
    status_code: int | None = None
    success: bool | None = None
    error_message: Text = ""
    response_time_ms: float | None = None
    failover_attempts: int | None = None
    total_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


class Session(Shape):
    """What an agent's user would call one piece of work."""

    id: str
    agent: Text = ""
    project: Text = ""
    model: Text = ""
    account: Text = ""
    requests: int = 0
    total_tokens: int | None = None
    cost_usd: float | None = None
    last_used: Moment = None


class Totals(Shape):
    """A span of time in figures."""

    requests: int = 0
    success_rate: float | None = None
    total_tokens: int | None = None
    total_cost_usd: float | None = None


class Provider(Shape):
    """Where accounts can be."""

    name: str
    label: Text = ""
    base_url: Text = ""
    needs_base_url: bool = False
    sign_in: str = ""
    """With whom somebody can sign in for it; "" when there is no such way."""
    missing: str = ""
    """What is to be done before that."""


class SignInProvider(Shape):
    """With whom somebody can sign in. `provider` is whose API its accounts are for."""

    name: str
    provider: Text = ""
    missing: Text = ""


class SignIn(Shape):
    """A sign-in that has begun."""

    session_id: str
    auth_url: str
    comes_back: bool = False
    """The browser's answer arrives by itself when the browser is on the machine of the proxy."""
    how_to_end: Text = ""


def several[T: Shape](shape: type[T], found: Iterable[Any]) -> list[T]:
    """Those that can be understood."""
    read = (one(shape, each) for each in found)
    return [each for each in read if each is not None]


def one[T: Shape](shape: type[T], found: object) -> T | None:
    """None when it cannot be understood."""
    try:
        return shape.model_validate(found)
    except ValidationError:
        return None
