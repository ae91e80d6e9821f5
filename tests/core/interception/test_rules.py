"""Rules of retargeting: what they may say, and which one counts."""

import pytest

from codemie_core.interception.rules import parse_rules, rule_for
from codemie_core.target import Target


def test_a_rule_has_a_host_and_a_url_with_a_path() -> None:
    [rule] = parse_rules([" api.anthropic.com = https://codemie.example.com/code-assistant-api/ "])
    assert (rule.host, rule.target) == (
        "api.anthropic.com",
        Target("https", "codemie.example.com", 443, "/code-assistant-api"),
    )


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "no rule"),
        ("api.example.com", "no rule"),
        ("=https://a.example.com", "no rule"),
        ("api.example.com=", "no rule"),
        ("https://api.example.com=https://b.example.com", "host pattern"),
        ("api.example.com=b.example.com", "scheme"),
        ("api.example.com=ftp://b.example.com", "ftp"),
        ("api.example.com=https://user:pass@b.example.com", "credentials do not belong"),
        ("api.example.com=https://b.example.com?x=1", r"\?"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named_with_its_fix(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as found:
        parse_rules(["ok.example.com=http://127.0.0.1:1", text])
    assert "user:pass" not in str(found.value)


@pytest.mark.parametrize(
    "host, port, target",
    [
        ("api.example.com", 443, "one"),
        ("API.example.com.", 443, "one"),
        ("deep.api.example.com", 443, "two"),
        ("api.example.com", 8443, "one"),
        ("local.test", 8080, "three"),
        ("local.test", 443, None),
        ("evil-api.example.com.test", 443, None),
    ],
)
def test_the_first_rule_that_fits_counts(host: str, port: int, target: str | None) -> None:
    texts = ["api.example.com=https://one", "*.example.com=https://two", "local.test:8080=https://three"]
    rule = rule_for(parse_rules(texts), host, port)
    assert (rule.target.host if rule else None) == target
