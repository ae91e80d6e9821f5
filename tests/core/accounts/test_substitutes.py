"""Rules for models to ask for instead."""

import pytest

from codemie_core.accounts.substitutes import parse_substitutes, substitutes_for
from codemie_core.errors import SettingsError

RULES = parse_substitutes(["claude-opus-*=claude-sonnet-4-5", "claude-*= claude-haiku-4-5 ", "gpt-5=gpt-5"])


@pytest.mark.parametrize(
    "model, instead",
    [
        ("claude-opus-4-5", ["claude-sonnet-4-5", "claude-haiku-4-5"]),
        ("claude-haiku-4-5", []),
        ("gpt-5", []),
        ("gemini", []),
        ("", []),
    ],
)
def test_rules_are_tried_in_order_and_never_give_the_asked_model_again(model: str, instead: list[str]) -> None:
    assert substitutes_for(model, RULES) == instead


@pytest.mark.parametrize("rule", ["", "claude-opus-*", "=claude-x", "claude-*=", "claude-*=claude-x-*"])
def test_a_rule_that_is_none_is_named(rule: str) -> None:
    with pytest.raises(SettingsError, match=r"fallback_models: .*PATTERN=MODEL"):
        parse_substitutes([rule])
