"""Prompts that the model writes itself, for an agent it sends out: they come back as requests and are nobody's."""

from __future__ import annotations

from codemie_core.json_text import loads
from codemie_core.usage.answer import ToolCall
from codemie_core.usage.injected import persons_words
from codemie_core.usage.json_values import table, text

# Claude Code: Agent (once Task) and SendMessage. opencode: task. Codex: spawn_agent and send_input.
_SENDING_OUT = frozenset({"Agent", "Task", "SendMessage", "task", "spawn_agent", "send_input"})


def delegated_prompt(call: ToolCall) -> str:
    """What the called agent will be asked, as a request would bring it; "" for any other tool."""
    if call.name not in _SENDING_OUT or call.cut:
        return ""
    arguments = table(loads(call.arguments))
    return persons_words(text(arguments.get("prompt")) or text(arguments.get("message")))
