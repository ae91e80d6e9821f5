"""Agents: told apart by what the real clients send. The header lines are captured ones, values shortened."""

import json
import uuid
from collections.abc import Callable

import pytest

from codemie_core.agents import (
    conversation_from_body,
    conversation_from_headers,
    detect_agent,
    needs_body_for_conversation,
    session_uuid,
    wants_stream,
)
from support.yardstick import microseconds

ID = "01a1f883-7692-7743-b86e-e5a325ae7aa8"
SES = "ses_e077c5e93ffe09e8rw7jzgXH1I"

CLAUDE = {"User-Agent": "claude-cli/2.1.197 (external, sdk-cli)", "X-Claude-Code-Session-Id": ID, "x-app": "cli"}
CLAUDE_CONTROL = {"User-Agent": "claude-code/2.1.197", "Accept": "application/json, text/plain, */*"}
CODEX = {
    "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) dumb (codex_exec; 0.169.0)",
    "originator": "codex_exec",
    "session-id": ID,
    "thread-id": ID,
    "x-codex-window-id": f"{ID}:0",
    "accept": "text/event-stream",
}
CODEX_WEBSOCKET = {**CODEX, "Upgrade": "websocket", "openai-beta": "responses_websockets=2026-02-06"}
GEMINI = {
    "User-Agent": "GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)",
    "x-goog-api-client": "google-genai-sdk/1.30.0 gl-node/v20.20.2",
    "accept": "*/*",
}
OPENCODE = {
    "User-Agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14",
    "x-session-affinity": SES,
    "x-session-id": SES,
}


def lookup(headers: dict[str, str]) -> Callable[[str], str | None]:
    return {name.lower(): value for name, value in headers.items()}.get


@pytest.mark.parametrize(
    "headers,name,client_type",
    [
        (CLAUDE, "claude", "codemie-claude"),
        (CLAUDE_CONTROL, "claude", "codemie-claude"),
        ({"User-Agent": "renamed/1", "X-Claude-Code-Session-Id": ID}, "claude", "codemie-claude"),
        (CODEX, "codex", "codemie-codex"),
        (CODEX_WEBSOCKET, "codex", "codemie-codex"),
        ({"user-agent": "codex_cli_rs/0.100.0 (Mac OS 15)"}, "codex", "codemie-codex"),
        ({"x-codex-window-id": f"{ID}:0"}, "codex", "codemie-codex"),
        (GEMINI, "gemini", "codemie-gemini"),
        (OPENCODE, "opencode", "codemie-opencode"),
        ({"User-Agent": "litellm/1.106.2", "anthropic-version": "2023-06-01"}, "litellm", ""),
        ({"User-Agent": "Anthropic/Python 2.10.0", "anthropic-version": "2026-10-21"}, "anthropic-sdk", ""),
        ({"User-Agent": "AsyncAnthropic/Python 2.10.0"}, "anthropic-sdk", ""),
        ({"user-agent": "OpenAI/Python 3.51.0"}, "openai-sdk", ""),
        ({"User-Agent": "AsyncOpenAI/Python 3.51.0"}, "openai-sdk", ""),
        ({"user-agent": "google-genai-sdk/3.3.0 gl-python/3.13.0"}, "google-genai", ""),
        ({"User-Agent": "Bun/1.4.0"}, "unknown", ""),
        ({"User-Agent": "curl/7.88.1"}, "unknown", ""),
        ({"user-agent": "python-httpx/0.28.1"}, "unknown", ""),
        ({"User-Agent": "not claude-cli/1"}, "unknown", ""),
        ({}, "unknown", ""),
    ],
)
def test_each_client_is_known_by_its_headers(headers: dict[str, str], name: str, client_type: str) -> None:
    agent = detect_agent(lookup(headers))
    assert (agent.name, agent.client_type) == (name, client_type)


@pytest.mark.parametrize(
    "headers,expected",
    [
        (CLAUDE, ID),
        (CODEX, ID),
        (CODEX_WEBSOCKET, ID),
        ({"thread-id": ID}, ID),
        ({"session-id": "the-session", "thread-id": "a-thread"}, "the-session"),
        (OPENCODE, SES),
        ({"x-session-affinity": SES}, SES),
        ({"x-opencode-session": SES}, SES),
        (GEMINI, None),
        (CLAUDE_CONTROL, None),
        ({"session-id": "  "}, None),
        ({"session-id": "a\nb"}, None),
        ({"session-id": "é"}, None),
        ({"session-id": "x" * 201, "thread-id": ID}, ID),
    ],
)
def test_the_conversation_is_found_in_headers(headers: dict[str, str], expected: str | None) -> None:
    assert conversation_from_headers(lookup(headers)) == expected


@pytest.mark.parametrize(
    "body,expected",
    [
        ({"prompt_cache_key": ID, "input": []}, ID),
        ({"metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": ID})}}, ID),
        ({"metadata": {"user_id": f"user_{'0' * 64}_account__session_{ID}"}}, ID),
        ({"metadata": {"user_id": f"user_{'0' * 64}_account_{ID}_session_{ID}"}}, ID),
        ({"metadata": {"user_id": "customer-17"}}, None),
        ({"metadata": {"user_id": "{broken"}}, None),
        ({"metadata": {"user_id": "{" * 90_000}}, None),
        ({"metadata": {"user_id": '{"session_id": 5}'}}, None),
        ({"metadata": {"user_id": 5}}, None),
        ({"metadata": "text"}, None),
        ({"prompt_cache_key": None}, None),
        ({"prompt_cache_key": ["x"]}, None),
        ({}, None),
    ],
)
def test_the_conversation_is_found_in_bodies_and_the_gate_lets_them_through(
    body: dict[str, object], expected: str | None
) -> None:
    assert conversation_from_body(body) == expected
    if expected is not None:
        assert needs_body_for_conversation(json.dumps(body).encode())


def test_a_body_without_an_id_need_not_be_parsed() -> None:
    assert not needs_body_for_conversation(b'{"model": "m", "messages": []}')
    assert not needs_body_for_conversation(b"")


def test_a_session_is_the_same_for_ever_for_one_agent_and_conversation() -> None:
    # Written down, because sessions in files and dashboards carry it: it must not change with our code.
    assert session_uuid("claude", ID) == "4c1c1685-eec7-53ab-8c71-d5ea7879a9d6"
    assert uuid.UUID(session_uuid("claude", ID)).version == 5
    assert session_uuid("codex", ID) != session_uuid("claude", ID) != session_uuid("claude", SES)


@pytest.mark.parametrize(
    "path,headers,raw,expected",
    [
        ("/v1/messages?beta=true", CLAUDE, b'{"max_tokens":1,"stream":true}', True),
        ("/v1/messages", {}, b'{"stream" :\n true, "max_tokens": 1}', True),
        ("/v1/messages", {}, b'{"a":"' + b"x" * 9000 + b'","stream": true,"b":"' + b"x" * 9000 + b'"}', True),
        ("/v1/messages", {}, b'{"stream": false}', False),
        ("/v1/messages", {}, b'{"messages": []}', False),
        ("/v1/messages", {}, b"", False),
        ("/v1/messages", {}, json.dumps({"text": 'say "stream": true'}).encode(), False),
        ("/v1/messages", {}, json.dumps({"text": json.dumps({"t": '"stream": true'})}).encode(), False),
        ("/v1/responses", CODEX, b"\x28\xb5\x2f\xfd compressed", True),
        ("/v1/responses", {"accept": "application/json, Text/Event-Stream"}, b"", True),
        ("/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse", GEMINI, b"{}", True),
        ("/v1beta/models/gemini-3.5-flash-lite:generateContent", GEMINI, b"{}", False),
        ("/v1/x?next=:streamGenerateContent", {}, b"{}", False),
    ],
)
def test_a_wish_for_a_stream_is_seen_in_path_header_or_body(
    path: str, headers: dict[str, str], raw: bytes, expected: bool
) -> None:
    assert wants_stream(path, lookup(headers), raw) is expected


def test_a_hostile_body_cannot_make_the_search_slow() -> None:
    raw = b'"stream"' * 200_000 + b'"stream":' + b" " * 2_000_000
    found: list[bool] = []
    took = microseconds(lambda: found.append(wants_stream("/v1/messages", lookup({}), raw)), 1, rounds=1)
    # Some milliseconds when linear, hours when not.
    assert (found, took < 5e6) == ([False], True)
