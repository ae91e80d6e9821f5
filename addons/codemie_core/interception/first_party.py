"""Calls in which an agent minds its own business with its vendor: sign-in, policy, telemetry, Remote Control.

They carry the agent's own login, which no account of ours can stand in for. In regular mode the bundle leaves them
alone altogether; no account is put on them in any mode. Only at the vendors' own hosts: anywhere else a path of this
name is whatever that host makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from codemie_core.scope import host_matches

CONTROL_PATHS: Mapping[str, re.Pattern[str]] = {
    host: re.compile(paths)
    for host, paths in {
        # Claude Code: policy_limits, settings and grove under /api; Remote Control and the web sessions under /v1.
        "api.anthropic.com": r"/(api|oauth)(/|$)"
        r"|/v1/(code|oauth|sessions|session_ingress|environments|environment_providers|mcp_servers|mcp|toolbox)(/|$)",
        # Codex with a ChatGPT login: all but its turns. The other paths are those of ChatGPT itself.
        "chatgpt.com": r"/(?!backend-api/codex/responses(/|$))",
        "api.openai.com": r"/(oauth|dashboard|auth)(/|$)"
        r"|/v1/(oauth|organization|dashboard|me|connectors|telemetry)(/|$)",
        # Gemini CLI with a Google login: loadCodeAssist, onboardUser, listExperiments, recordCodeAssistMetrics ...
        "cloudcode-pa.googleapis.com": r"/v1internal(/|:(?!(generateContent|streamGenerateContent|countTokens)$))",
        "*.githubcopilot.com": r"/(copilot_internal|telemetry|mcp|_ping)(/|$)",
    }.items()
}
"""By host pattern; a path matches from its beginning."""


def is_control(host: str, path: str) -> bool:
    """Is this such a call? `host` may have a port, `path` a query."""
    bare = path.partition("?")[0]
    return any(paths.match(bare) and host_matches(host, (pattern,)) for pattern, paths in CONTROL_PATHS.items())
