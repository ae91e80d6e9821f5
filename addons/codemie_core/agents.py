"""Which coding agent is speaking, which conversation it is in, and whether it wants a stream.

Everything here is read from what real clients send: Claude Code 2.1, Codex 0.169, Gemini CLI 0.61,
opencode 1.18, the Anthropic and OpenAI SDKs, google-genai and LiteLLM.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

type Header = Callable[[str], str | None]
"""Looks up a request header, whatever its case."""

SESSION_NAMESPACE = uuid.UUID("7b0f5d2e-3c4a-5e86-9d61-2f8c1a9e4b70")
"""Fixed for ever: a conversation keeps its session over restarts and updates."""


@dataclass(frozen=True, slots=True)
class Agent:
    """`client_type` is CodeMie's name for the client, "" for clients it has no name for."""

    name: str
    client_type: str


CLAUDE = Agent("claude", "codemie-claude")
CODEX = Agent("codex", "codemie-codex")
GEMINI = Agent("gemini", "codemie-gemini")
OPENCODE = Agent("opencode", "codemie-opencode")
ANTHROPIC_SDK = Agent("anthropic-sdk", "")
OPENAI_SDK = Agent("openai-sdk", "")
GOOGLE_GENAI = Agent("google-genai", "")
LITELLM = Agent("litellm", "")
UNKNOWN = Agent("unknown", "")

# A product's own name comes before the SDK it is built on. LiteLLM calls OpenAI through OpenAI's SDK, unchanged,
# and is then not to be told from it.
_BY_USER_AGENT: tuple[tuple[re.Pattern[str], Agent], ...] = (
    # claude-cli for model calls, claude-code for its control calls.
    (re.compile(r"claude-(cli|code)/"), CLAUDE),
    # codex_exec, codex_cli_rs, codex-tui ...: each of its faces has its own word.
    (re.compile(r"codex[_-]\w+"), CODEX),
    (re.compile(r"geminicli"), GEMINI),
    (re.compile(r"opencode/"), OPENCODE),
    (re.compile(r"litellm/"), LITELLM),
    (re.compile(r"(async)?anthropic/"), ANTHROPIC_SDK),
    (re.compile(r"(async)?openai/"), OPENAI_SDK),
    (re.compile(r"google-genai-sdk/"), GOOGLE_GENAI),
)
# For clients whose User-Agent was replaced on the way.
_BY_TELLTALE: tuple[tuple[str, Agent], ...] = (
    ("x-claude-code-session-id", CLAUDE),
    ("x-codex-window-id", CODEX),
    ("x-codex-turn-metadata", CODEX),
    ("x-opencode-session", OPENCODE),
)

# session-id before thread-id: Codex 0.169 sends both with one value, and the session is the wider of the two.
_CONVERSATION_HEADERS = (
    "x-claude-code-session-id",
    "session-id",
    "thread-id",
    "x-opencode-session",
    "x-session-affinity",
    "x-session-id",
)
_LEGACY_CLAUDE_USER = re.compile(r"user_.*_session_([0-9a-fA-F-]{36})")
_LONGEST_ID = 200

# Inside a JSON string quotes are escaped: there the word is followed by \" and never by a bare quote, so text
# about streaming cannot match. A nested key of this name can; then a shorter deadline is all that follows.
_STREAM_TRUE = re.compile(rb'"stream"[ \t\r\n]*:[ \t\r\n]*true')


def detect_agent(header: Header) -> Agent:
    """The client, by User-Agent, else by headers that only one agent sends; UNKNOWN when nothing tells."""
    user_agent = (header("user-agent") or "").lower()
    for pattern, agent in _BY_USER_AGENT:
        if pattern.match(user_agent):
            return agent
    for name, agent in _BY_TELLTALE:
        if header(name) is not None:
            return agent
    return UNKNOWN


def conversation_from_headers(header: Header) -> str | None:
    """The agent's own id of the conversation, when a header carries it."""
    for name in _CONVERSATION_HEADERS:
        if found := _usable_id(header(name)):
            return found
    return None


def needs_body_for_conversation(raw: bytes) -> bool:
    """Could `conversation_from_body` find something in this uncompressed JSON? Saves parsing the others."""
    return b'"prompt_cache_key"' in raw or b'"user_id"' in raw


def conversation_from_body(body: Mapping[str, object]) -> str | None:
    """The conversation id in a parsed request: prompt_cache_key, or the session in Claude's metadata.user_id."""
    if found := _usable_id(body.get("prompt_cache_key")):
        return found
    metadata = body.get("metadata")
    return _session_of_user(metadata.get("user_id")) if isinstance(metadata, Mapping) else None


@lru_cache(maxsize=1024)
def session_uuid(agent_name: str, conversation_id: str) -> str:
    """CodeMie's session id of a conversation: the same for the same agent and conversation, always."""
    return str(uuid.uuid5(SESSION_NAMESPACE, f"{agent_name}:{conversation_id}"))


def wants_stream(path: str, header: Header, raw: bytes) -> bool:
    """Does the request ask for an event stream? Scans the raw body once; a compressed one tells nothing."""
    if ":streamGenerateContent" in path.partition("?")[0]:
        return True
    if "text/event-stream" in (header("accept") or "").lower():
        return True
    return _STREAM_TRUE.search(raw) is not None


def _session_of_user(user_id: object) -> str | None:
    if not isinstance(user_id, str):
        return None
    if user_id.startswith("{"):
        try:
            parsed = json.loads(user_id)
        except (ValueError, RecursionError):
            return None
        return _usable_id(parsed.get("session_id")) if isinstance(parsed, dict) else None
    legacy = _LEGACY_CLAUDE_USER.fullmatch(user_id)
    return legacy[1] if legacy else None


def _usable_id(value: object) -> str | None:
    # Ids go into headers, logs and file names: what cannot be one is as good as none.
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if 0 < len(text) <= _LONGEST_ID and text.isascii() and text.isprintable() else None
