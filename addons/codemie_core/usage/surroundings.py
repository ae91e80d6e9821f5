"""Which folder an agent says it works in, and on which git branch it says it started."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST = 1024
_READ = 256 * 1024
"""Characters of each text: agents' own are short, what people paste need not be."""
_LINE = rf"(?P<found>[^\n<]{{1,{_LONGEST}}})"
# Claude Code ("Primary" since 2.1) and opencode; Codex; Gemini CLI, of yesterday and of today.
# Each with words that it cannot do without: to look for those first is a hundred times faster.
_FOLDERS = (
    ("orking directory: ", re.compile(rf"(?:^|\n)[ \t*-]*(?:Primary w|W)orking directory: {_LINE}")),
    ("<cwd>", re.compile(rf"<cwd>{_LINE}</cwd>")),
    ("I'm currently working in", re.compile(rf"(?:^|\n)I'm currently working in the directory: {_LINE}")),
    ("- **Workspace Dir", re.compile(rf"(?:^|\n)- \*\*Workspace Directories:\*\*\s{{1,8}}- {_LINE}")),
)
_BRANCH = ("Current branch: ", re.compile(rf"(?:^|\n)Current branch: {_LINE}"))
# People write such lines too, and what they go on with is theirs: only what can be nothing else is taken.
_IS_FOLDER = re.compile(r"(?:[/~]|[A-Za-z]:[\\/]|\\\\).*")
_IS_BRANCH = re.compile(r"[^\s~^:?*\[\\]{1,255}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Empty for what was not said."""

    folder: str = ""
    branch: str = ""


def surroundings(texts: Iterable[str]) -> Surroundings:
    """What these texts tell first; give them the system prompt and what the agent put before the conversation."""
    folder = branch = ""
    for text in texts:
        folder = folder or next((found for each in _FOLDERS if (found := _first(*each, _IS_FOLDER, text))), "")
        branch = branch or _first(*_BRANCH, _IS_BRANCH, text)
        if folder and branch:
            break
    return Surroundings(folder, branch)


def _first(words: str, pattern: re.Pattern[str], valid: re.Pattern[str], text: str) -> str:
    at = text.find(words, 0, _READ)
    # From the end of the line before them.
    match = pattern.search(text, max(0, text.rfind("\n", 0, at)), _READ) if at >= 0 else None
    found = match["found"].strip() if match else ""
    return found if found.isprintable() and valid.fullmatch(found) else ""
