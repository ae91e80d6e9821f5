"""Calls in which an agent minds its own business with its vendor: sign-in, policy, telemetry, Remote Control.

They carry the agent's own login, which no account of ours can stand in for. In regular mode the bundle leaves them
alone altogether; no account is put on them in any mode. Only at the vendors' own hosts: anywhere else a path of this
name is whatever that host makes of it. Where the model API is small, all that is not of it counts: agents learn new
calls with every version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

from codemie_core.scope import host_matches

CONTROL_PATHS: Mapping[str, re.Pattern[str]] = {
    host: re.compile(paths)
    for host, paths in {
        # Claude Code: policy_limits, settings and grove under /api; Remote Control, reviews, designs under /v1.
        "api.anthropic.com": r"/(?!v1/(messages|complete|chat|models|files|skills)(/|$))",
        # Codex with a ChatGPT login: all but its turns. The other paths are those of ChatGPT itself.
        "chatgpt.com": r"/(?!backend-api/codex/responses(/|$))",
        "api.openai.com": r"/(?!v1/(responses|chat|completions|embeddings|moderations|models|files|batches|uploads|"
        r"images|audio|videos|realtime|vector_stores|fine_tuning|conversations|containers|skills|assistants|threads|evals)(/|$))",
        # Gemini CLI with a Google login: loadCodeAssist, onboardUser, listExperiments, recordCodeAssistMetrics ...
        "cloudcode-pa.googleapis.com": r"/v1internal(/|:(?!(generateContent|streamGenerateContent|countTokens)$))",
        "*.githubcopilot.com": r"/(copilot_internal|telemetry|mcp|_ping)(/|$)",
        # Sites of people, too: pages, logins.
        "openrouter.ai": r"/(?!api/v1/(?!auth(/|$)))",
        "opencode.ai": r"/(?!zen/)",
    }.items()
}
"""By host pattern; a path matches from its beginning."""


_SLASH, _DOT = r"(?:/|\\|%(?:25)*(?:2f|5c))", r"(?:\.|%(?:25)*2e)"
_CLIMBS = re.compile(rf"{_SLASH}{_DOT}{{1,2}}(?:;[^/]*)?(?={_SLASH}|\Z)", re.IGNORECASE)
_SLASHES = re.compile("//+")


def is_control(host: str, path: str) -> bool:
    """Is this such a call? `host` may have a port, `path` a query."""
    bare = path.partition("?")[0]
    if "//" in bare or "%" in bare:  # Some servers pass over a second slash, and all decode letters that need no %.
        return any(_is_listed(host, _SLASHES.sub("/", reading)) for reading in (bare, unquote(bare)))
    return _is_listed(host, bare)


def climbs(path: str) -> bool:
    """Has it a "." or ".." in it, however written? Then a server may find another call there than we do."""
    bare = path.partition("?")[0]
    return ("." in bare or "%" in bare) and _CLIMBS.search(bare) is not None


def _is_listed(host: str, path: str) -> bool:
    paths = _paths_of(host)
    return paths is not None and paths.match(path) is not None


@lru_cache(maxsize=256)  # Each request asks this, and of few hosts.
def _paths_of(host: str) -> re.Pattern[str] | None:
    return next((paths for pattern, paths in CONTROL_PATHS.items() if host_matches(host, (pattern,))), None)
