"""The secret of an account as somebody typed or pasted it: what came along goes, what can be none is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import SecretStr

from codemie_core.accounts.providers import PROVIDERS
from codemie_core.errors import SettingsError

LONGEST = 16 * 1024
"""Bytes. A key has some hundred, a JWT some thousand."""

_ANY = ("anthropic", "openai", "gemini", "codemie")
# What a secret looks like -> whose it is. The first that matches counts.
_SHAPES: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"sk-ant-"), "anthropic"),
    (re.compile(r"AIza[\w-]{30,}"), "gemini"),
    (re.compile(r"sk-or-"), "openai-compatible"),
    (re.compile(r"sk-(?:proj|svcacct|admin|None)-|sk-[A-Za-z0-9]{40,}\Z"), "openai"),
)
_ENV_LINE = re.compile(r"(?:export\s+)?[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET)=")


def checked(text: str, what: str) -> SecretStr:
    """The secret without what came along with it. SettingsError, which never repeats it, when it can be none."""
    bare = text.strip().strip("\"'").removeprefix("Bearer ").strip()
    if not bare:
        raise SettingsError(f"{what} is empty; nothing was stored")
    if _ENV_LINE.match(bare):
        raise SettingsError(f"{what} begins like a line of an .env file; give only what stands behind the =")
    if re.fullmatch(r"\$\{?\w+\}?", bare):
        raise SettingsError(
            f"{what} is the name of a variable; give its value, or its name to codemie-proxy accounts add --env"
        )
    if len(bare) > LONGEST or not re.fullmatch(r"[!-~]+", bare):
        raise SettingsError(f"{what} cannot be sent in a header: it must be one word of ASCII characters, up to 16 KiB")
    return SecretStr(bare)


def hints(provider: str, secret: SecretStr) -> list[str]:
    """What is odd about the secret for this provider: it is kept all the same, as shapes change."""
    text = secret.get_secret_value()
    if text.startswith("cmk_"):
        return ["This is a client key of this proxy, which lets agents in here; no provider knows it."]
    if text.startswith("sk-ant-oat"):
        return [
            "This is the token of a sign-in, not an API key; for one of your own: codemie-proxy auth login anthropic"
        ]
    owner = next((name for shape, name in _SHAPES if shape.match(text)), None)
    if owner is None and text.count(".") == 2 and text.startswith("eyJ"):
        owner = "codemie"
    if owner is None or owner == provider or provider not in _ANY:
        return []
    return [
        f"This looks like a key of {PROVIDERS[owner].label}, and the account is one of {PROVIDERS[provider].label}. "
        f"If that is wrong: remove it, and add it with --provider {owner}."
    ]
