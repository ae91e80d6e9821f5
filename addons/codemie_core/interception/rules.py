"""Rules that send the model calls of one host to another: `api.anthropic.com=https://codemie.example.com/path`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codemie_core.errors import SettingsError
from codemie_core.scope import address_of, host_matches, validate_hosts
from codemie_core.target import Target, parse_target

EXAMPLE = "write HOST=URL, like api.anthropic.com=https://codemie.example.com/code-assistant-api"


@dataclass(frozen=True, slots=True)
class Rule:
    """One of them."""

    host: str
    """A host pattern."""
    target: Target


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """The rules, in order. ValueError names the first that cannot be used and says what to write."""
    return tuple(map(_parse, texts))


def rule_for(rules: Sequence[Rule], host: str, port: int) -> Rule | None:
    """The first rule for this host."""
    address = address_of(host, port)
    return next((rule for rule in rules if host_matches(address, (rule.host,))), None)


def _parse(text: str) -> Rule:
    host, equals, url = (part.strip() for part in text.partition("="))
    if not (host and equals and url):
        raise ValueError(f"{text!r} is no rule: {EXAMPLE}")
    validate_hosts((host,))
    if "://" not in url:
        raise ValueError(f"{url!r} has no scheme: {EXAMPLE}")
    try:
        return Rule(host, parse_target(url, host))
    except SettingsError as problem:
        raise ValueError(str(problem)) from None
