import json

import pytest

from codemie_core.redact import redact_text
from codemie_core.redact_names import STEM_MARKS, STEMS, is_secret_name, without_assigned
from support.yardstick import microseconds

PLANTED = "pLanted0123456789"
SIZE = 300_000


@pytest.mark.parametrize(
    "name",
    [
        *("promptTokenCount", "candidatesTokenCount", "token_type", "tokenizer", "tokenization", "input_tokens"),
        *("token_limit", "token_usage", "max-tokens", "max_output_tokens", "input-tokens", "total-tokens", "tokens"),
        *("completion_tokens_details", "token_endpoint", "tokensPerSecond", "secretary", "bypass", "compass"),
        *("key", "cache_key", "prompt_cache_key", "idempotency-key", "primary_key", "public_key", "keyboard"),
        *("sec-websocket-key", "x-request-id", "session_id", "author", "client_key", "oldpwd", "auth_method"),
    ],
)
def test_names_of_counts_and_of_other_keys_are_no_names_of_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        '{"model": "claude-sonnet-4-5", "max_tokens": 4096, "stream": true, "stop": ["key", "token"]}',
        '{"usage": {"input_tokens": 12, "output_tokens": 7, "cache_read_input_tokens": 0, "service_tier": "standard"}}',
        '{"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 9, "tokenCount": 3}}',
        '{"completion_tokens_details": {"reasoning_tokens": 64}, "token_type": "none"}',
        "anthropic-ratelimit-tokens-remaining: 39000\r\nx-ratelimit-reset-tokens: 12ms\r\nretry-after: 2",
        "The token budget and the key idea: a secret handshake needs no password at all.",
        "Which key should I press? Any key. My token of thanks, a cookie recipe with authorization from the chef.",
        "key = value\nmonkey=banana; keyboard = 'qwerty'",
        "{'key': 'name', 'value': [1, 2], 'primary_key': 'id', 'cache_key': 'abc:1'}",
        'const key = items.map((item) => item.key); cache["key"] = name;',
        "for key, value in pairs.items():\n    print(key, value)",
        "x-codemie-session-id: 0b1c2d3e-1111-4222-8333-944455566677",
        "request 0f8fad5b-d9cb-469f-a165-70867728950e done",
        "commit 9665aec33ebbb50ca5039c18caa845969463de38b cherry-picked from 4596945",
        "models/gemini-2.5-pro, gpt-5.1-codex-max, us.anthropic.claude-3-7-sonnet-20250219-v1:0",
        "/srv/project/token_parser.py:14 and C:\\src\\keys\\public.txt",
        "https://api.anthropic.com/v1/messages?beta=true&limit=20 took 1.2s, keyed by page=2",
        "GET /search?q=how+to+rotate+a+token&lang=en#results HTTP/1.1",
        "POST /v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse HTTP/1.1",
        "exit code=1, state=closed, author: me, auth_method: sso, assertion failed at line 3",
        "Unexpected token '<', \"<!DOCTYPE \"... is not valid JSON",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "std::token::new() and Secret::default()",
        "idempotency-key: 7f1c, sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        '{"apiKey": null, "password": false, "token": "", "cookies": none}',
        "--max-tokens 4096 --token-limit 5 --key-file name.pem",
        "<p>Our token policy</p> <secret/>",
        'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"the secret of tokens"}}',
        "export PATH=/usr/bin:/bin PWD=/srv/app OLDPWD=/srv",
        "2026-03-01 10:00:00 INFO 200 complete, 1 attempt, first byte 0.2 s, 1.4 s, 4096 bytes",
    ],
)  # fmt: skip
def test_ordinary_text_with_such_words_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "text, shown",
    [
        ('{"token": "§", "n": 1}', '{"token": "[redacted]", "n": 1}'),
        ('{"token":"a\\"§","n":1}', '{"token":"[redacted]","n":1}'),
        ('{"token":"§\\\\","n":1}', '{"token":"[redacted]","n":1}'),
        ('{\\"token\\": \\"§\\", \\"n\\": 1}', '{\\"token\\": \\"[redacted]\\", \\"n\\": 1}'),
        ('{\\"token\\": \\"a\\\\\\"§\\", \\"n\\": 1}', '{\\"token\\": \\"[redacted]\\", \\"n\\": 1}'),
        ('{"password": 12345678}', '{"password": "[redacted]"}'),
        ('{"cookies": {"a": "§", "b": ["}"]}, "n": 1}', '{"cookies": "[redacted]", "n": 1}'),
        ("{'token': '§', 'n': 1}", "{'token': '[redacted]', 'n': 1}"),
        ("token=b'§', n=1", "token=b'[redacted]', n=1"),
        ("token='''§''', n=1", "token='''[redacted]''', n=1"),
        ("(b'x-api-key', b'§')", "(b'x-api-key', b'[redacted]')"),
        ("cookies={'a': '§'}, n=1", "cookies='[redacted]', n=1"),
        ("password: § and more", "password: [redacted] and more"),
        ("X_TOKEN=a,b;§)& next", "X_TOKEN=[redacted] next"),
        ("Cookie: a=§; b=§\r\nHost: h", "Cookie: [redacted]\r\nHost: h"),
        ("Cookie: a=§;\r\n b=§\r\nHost: h", "Cookie: [redacted]\r\nHost: h"),
        ('{"log": "Cookie: a=§; b=§\\r\\nHost: h"}', '{"log": "Cookie: [redacted]\\r\\nHost: h"}'),
        ('{"log": "Cookie: a=§; b=§"}', '{"log": "Cookie: [redacted]"}'),
        ("tool --api-key § --verbose", "tool --api-key [redacted] --verbose"),
        ("<Token>§</Token><n>1</n>", "<Token>[redacted]</Token><n>1</n>"),
        ("Incorrect API key provided: §. Try again", "Incorrect API key provided: [redacted] Try again"),
        ("POST \x1b[1mhttp://h/?key=§\x1b[0m", "POST \x1b[1mhttp://h/?key=[redacted]\x1b[0m"),
        ("\x1b[34mcookie\x1b[0m: \x1b[33ma=§; b=§\x1b[0m", "\x1b[34mcookie\x1b[0m: \x1b[33m[redacted]\x1b[0m"),
        ("\x1b[34mx-api-key\x1b[0m: \x1b[33m§\x1b[0m", "\x1b[34mx-api-key\x1b[0m: \x1b[33m[redacted]\x1b[0m"),
        ("\u0130 token=§ \u0130", "\u0130 token=[redacted] \u0130"),
    ],
)
def test_the_value_goes_and_what_stands_around_it_stays(text: str, shown: str) -> None:
    assert redact_text(text.replace("§", PLANTED)) == shown


@pytest.mark.parametrize("depth", range(4))
def test_json_in_json_stays_json_at_any_depth(depth: int) -> None:
    value: object = {"api_key": f'with " and \\ {PLANTED}\\', "then": "kept"}
    for _ in range(depth):
        value = {"inner": json.dumps(value), "token": PLANTED, "n": 1}
    shown = redact_text(json.dumps(value))
    assert PLANTED not in shown
    for _ in range(depth):
        shown = json.loads(shown)["inner"]
    assert json.loads(shown) == {"api_key": "[redacted]", "then": "kept"}


def test_every_stem_begins_with_one_of_the_marks_that_call_for_the_search() -> None:
    # "api[-_ ]?key" has its mark at the end.
    assert not [stem for stem in STEMS if not any(mark in stem for mark in STEM_MARKS)]


TEASING = [
    *("token", "token=", "token ", "token='", 'token="', 'token=\\"', "token=[", "token={'", "cookie:", "cookie: ;\n "),
    *("cookie=\\", "--token ", "<token>", "token\\", "'token', ", "api key ", "rate-limit-token:", "secret" + "a" * 99),
    *('token="\\', "token='''", "\u0130token=", "-tokens", "_pass", "authorization=;\r\n "),
]


@pytest.mark.parametrize("piece", TEASING, ids=ascii)
def test_text_made_to_tease_the_search_takes_no_more_than_linear_time(piece: str) -> None:
    text = (piece * SIZE)[:SIZE]
    assert microseconds(lambda: without_assigned(text), 1, rounds=1) < 1e6
