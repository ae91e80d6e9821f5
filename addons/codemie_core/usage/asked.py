"""What a request says about the turn it asks for, without its words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a tool call of an earlier answer went, as the client tells the model."""

    id: str
    """The call's id; "" where the API gives none."""
    name: str
    """The tool's name, where the API repeats it, else ""."""
    ok: bool | None
    """None where the client does not say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a model turn."""

    model: str = ""
    stream: bool = False
    prompts: int = 0
    """What people wrote since the model last spoke: 1 for a prompt, 0 when the turn only brings results of tools."""
    prompt_mark: str = ""
    """Tells a prompt from itself sent again: digests of its place and its words, no text. "" without a prompt."""
    results: tuple[ToolResult, ...] = ()
    """Of the tools called in the last answer, in order."""
    folder: str = ""
    """Where the agent says it works; "" where it does not say."""
    branch: str = ""
    """The git branch that the agent says it started on."""
