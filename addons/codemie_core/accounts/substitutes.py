"""Rules like "claude-opus-*=claude-sonnet-4-5": which model to ask for when every account is out of the asked one."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from codemie_core.errors import SettingsError


def parse_substitutes(rules: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pattern and model of each rule, in order. SettingsError for a rule that is none."""
    parsed = []
    for rule in rules:
        pattern, _, model = (part.strip() for part in rule.partition("="))
        if not pattern or not model or "*" in model:
            raise SettingsError(
                f"codemie_account_rotation_fallback_models: {rule!r} is no rule; "
                "write PATTERN=MODEL, like claude-opus-*=claude-x"
            )
        parsed.append((pattern, model))
    return tuple(parsed)


def substitutes_for(model: str, rules: Sequence[tuple[str, str]]) -> list[str]:
    """The models to ask for instead of this one, in the order of the rules."""
    if not model:
        return []
    found = dict.fromkeys(instead for pattern, instead in rules if fnmatchcase(model, pattern) and instead != model)
    return list(found)
