"""Secrets that give themselves away: by their prefix, by the word before them or by the frame around them.

A table, one row per shape, each with the reason for its form. A pattern is run only over text that holds one of its
marks, so ordinary text costs a few substring searches. No pattern backtracks over more than a bounded stretch.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

REDACTED = "[redacted]"

type Found = Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Shape:
    """What one kind of secret looks like."""

    name: str
    marks: tuple[str, ...]
    """Lower-case; text that holds none of them (whatever its case) holds no such secret."""
    pattern: re.Pattern[str]
    replace: str | Found = REDACTED

    def taken_out(self, text: str) -> str:
        """The text without it."""
        return self.pattern.sub(self.replace, text)


# Not in the middle of a word ("risk-free"); but escapes, percent-encoding and terminal colors end in letters too.
_START = (
    r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=\\x[0-9A-Fa-f]{2})"
    r"|(?<=\d[mK]))"
)
# A word of a person is lower case; random characters of this length never are.
_OPAQUE = r"(?=[\w-]{0,64}?[A-Z0-9])"
# A character of base64, also percent-encoded or escaped in JSON, or what an earlier rule left in the midst of it.
_BASE64 = r"(?:[\w+/=-]|\[redacted\]|%(?:2[BFbf]|3[Dd])|\\/|\\u00(?:2[BbFf]|3[Dd]))"
_DASHES = r"-----"
_PRIVATE_KEY = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?"


def _is_basic(credentials: str) -> bool:
    """Whether it is base64 of user:password; "Basic Authentication" is not."""
    data = re.split("[=%]", credentials)[0].translate(str.maketrans("-_", "+/"))
    try:
        decoded = base64.b64decode(data[: len(data) // 4 * 4], validate=True)
    except binascii.Error:
        return False
    if b":" in decoded and decoded.split(b":")[0].isascii():
        return True
    return len(data) >= 16 and all(re.search(kind, data) for kind in ("[a-z]", "[A-Z]", "[0-9]"))


def _basic(match: re.Match[str]) -> str:
    return f"{match[1]}{REDACTED}" if _is_basic(match[2]) else match[0]


def _shape(name: str, marks: str, pattern: str, replace: str | Found = REDACTED, flags: int = 0) -> Shape:
    return Shape(name, tuple(marks.split("|")), re.compile(pattern, flags), replace)


FRAMES: tuple[Shape, ...] = (
    # A body cut short has no end line, the tail of one no first line.
    _shape(
        "private key block",
        "private key",
        rf"{_DASHES}BEGIN {_PRIVATE_KEY}{_DASHES}.*?(?:{_DASHES}END {_PRIVATE_KEY}{_DASHES}|\Z)"
        rf"|\A(?:(?!{_DASHES}BEGIN).)*?{_DASHES}END {_PRIVATE_KEY}{_DASHES}",
        flags=re.DOTALL,
    ),
    # A quote, a space or a path ends the authority of a URL, so this reads each character once.
    _shape("user information", "@", r"//[^/?#\s\"<>]*@", f"//{REDACTED}@"),
    # People paste passwords unencoded. A port is no user's password, a bound keeps "//a://a:" linear.
    _shape(
        "raw user information",
        "@",
        r"//[^/?#\s:@\"<>]{1,64}:(?!\d{1,5}[/?#])[^\s\"<>]{1,200}@(?=[\w.\[-])",
        f"//{REDACTED}@",
    ),
    _shape(
        "encoded user information",
        "%40",
        r"(%2f%2f)(?:(?!%2f|%3f|%23)[^\s&\"<>]){1,200}?%40",
        rf"\1{REDACTED}%40",
        flags=re.IGNORECASE,
    ),
    # The plain words after it ("Bearer tokens") and its parameters (`Bearer realm="x"`) are no token.
    _shape(
        "bearer",
        "bearer",
        r"\b((?:[Bb]earer|BEARER)(?:\s*[:=]\s*|\s+|%20|\+))(?![A-Za-z]?[a-z_]{0,18}(?:[\s\"',;.:!?)=]|\Z))[^\s\"',;\\&<]{6,}",
        rf"\1{REDACTED}",
    ),
    _shape("basic", "basic", r"\b([Bb]asic(?:\s+|%20|\+))([A-Za-z0-9+/=_%-]{6,})", _basic),
    # Passwords that no name of theirs introduces.
    _shape(
        "curl user",
        "-u |-u=|--user|--proxy-user",
        r"((?<=\s)-u|--(?:proxy-)?user)([ =])(?!\d+:\d+\b)[^\s:]{1,64}:[^\s\"']+",
        rf"\1\2{REDACTED}",
    ),
    _shape("netrc", "login", r"(\blogin\s{1,9}\S{1,64}\s{1,9}password\s{1,9})\S+", rf"\1{REDACTED}"),
)

PREFIXES: tuple[Shape, ...] = (
    _shape("anthropic, openai, openrouter", "sk-", r"sk-(?:ant|proj|or|svcacct|admin|lf)-[\w-]{6,}"),
    _shape("openai legacy and alike", "sk-", rf"{_START}sk-{_OPAQUE}[\w-]{{6,}}"),
    _shape("google api key", "aiza", r"AIza[\w-]{10,}"),
    _shape("google access token", "ya29.", r"ya29\.[\w.-]{6,}"),
    # The slashes come percent-encoded in forms, escaped in some JSON.
    _shape("google refresh token", "1//0|1%2f%2f0|1\\/\\/0", r"1(?://|%2[Ff]%2[Ff]|\\/\\/)0[\w-]{10,}"),
    _shape("google client secret", "gocspx-", r"GOCSPX-[\w-]{6,}"),
    _shape("aws access key id", "akia|asia", rf"{_START}(?:AKIA|ASIA)[A-Z0-9]{{12,}}"),
    _shape("aws bedrock key", "absk|bedrock-api-key-", rf"(?:{_START}ABSK|bedrock-api-key-){_BASE64}{{16,}}"),
    _shape("github", "gho_|ghp_|ghs_|ghu_|ghr_|github_pat_", rf"{_START}gh[opsur]_\w{{10,}}|github_pat_\w{{6,}}"),
    _shape("gitlab", "gl", r"gl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|oas|soat)-[\w.-]{10,}"),
    _shape("slack", "xox|xapp-", r"xox[a-z]-[\w-]{6,}|xapp-\d-[\w-]{6,}"),
    _shape("slack webhook", "hooks.slack.com", r"(hooks\.slack\.com/\w{1,20}/)[\w/]{6,}", rf"\1{REDACTED}"),
    _shape("hugging face", "hf_", rf"{_START}hf_{_OPAQUE}\w{{10,}}"),
    _shape("groq", "gsk_", rf"{_START}gsk_{_OPAQUE}\w{{10,}}"),
    _shape("xai", "xai-", rf"{_START}xai-{_OPAQUE}[\w-]{{10,}}"),
    _shape("perplexity", "pplx-", rf"{_START}pplx-{_OPAQUE}[\w-]{{16,}}"),
    _shape("nvidia", "nvapi-", r"nvapi-[\w-]{10,}"),
    _shape("replicate, together, cerebras", "r8_|tgp_v1_|csk-", rf"{_START}(?:r8_|tgp_v1_|csk-)[\w-]{{16,}}"),
    _shape("this proxy's client keys", "cmk_", r"cmk_\w{6,}[\w-]*"),
    _shape("npm", "npm_", rf"{_START}npm_{_OPAQUE}[A-Za-z0-9]{{20,}}"),
    _shape("stripe", "k_live_|k_test_|whsec_", rf"{_START}(?:[srp]k_(?:live|test)|whsec)_\w{{10,}}"),
    _shape("sendgrid", "sg.", rf"{_START}SG\.[\w-]{{10,}}(?:\.[\w-]*)?"),
    # In a URL the word "bot" stands before it.
    _shape("telegram bot", ":a|%3aa", r"\d{8,10}(?::|%3[Aa])A[\w-]{30,}"),
    _shape("databricks", "dapi", rf"{_START}dapi[0-9a-f]{{24,}}"),
    _shape("hashicorp vault", "hvs.", rf"{_START}hvs\.[\w-]{{16,}}"),
    # Last: any of the others may end in it. CodeMie's callback is base64 of JSON.
    _shape("jwt or base64 of json", "eyj|w3si", rf"(?:eyJ|W3si){_BASE64}{{8,}}(?:\.{_BASE64}*)*"),
)

_MARKS = tuple({mark: None for shape in (*FRAMES, *PREFIXES) for mark in shape.marks})


def may_hold(lowered: str) -> bool:
    """Whether text, in lower case, holds a mark of any shape. False for nearly all of it, and quick to say."""
    for mark in _MARKS:  # noqa: SIM110 - a generator for any() would take twice as long
        if mark in lowered:
            return True
    return False


def without(shapes: tuple[Shape, ...], text: str, lowered: str) -> str:
    """The text with each of these shapes taken out. `lowered` is the text in lower case, for the marks."""
    for shape in shapes:
        for mark in shape.marks:
            if mark in lowered:
                text = shape.taken_out(text)
                break
    return text
