"""Formats and languages of files, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LONGEST = 20
_SLASHES = re.compile(r"[/\\]")

# The words of CodeMie's command line, which knows js to yml of these and nothing else.
_LANGUAGES: Mapping[str, str] = {
    "js": "javascript",
    "jsx": "javascript",
    "ts": "typescript",
    "tsx": "typescript",
    "py": "python",
    "java": "java",
    "kt": "kotlin",
    "go": "go",
    "rs": "rust",
    "c": "c",
    "cpp": "cpp",
    "rb": "ruby",
    "php": "php",
    "swift": "swift",
    "md": "markdown",
    "json": "json",
    "yaml": "yaml",
    "yml": "yaml",
    "mjs": "javascript",
    "cjs": "javascript",
    "mts": "typescript",
    "cts": "typescript",
    "pyi": "python",
    "kts": "kotlin",
    "h": "c",
    "cc": "cpp",
    "cxx": "cpp",
    "hpp": "cpp",
    "cs": "csharp",
    "scala": "scala",
    "groovy": "groovy",
    "sh": "shell",
    "bash": "shell",
    "zsh": "shell",
    "ps1": "powershell",
    "sql": "sql",
    "html": "html",
    "css": "css",
    "scss": "scss",
    "vue": "vue",
    "svelte": "svelte",
    "xml": "xml",
    "toml": "toml",
    "tf": "terraform",
    "proto": "protobuf",
    "graphql": "graphql",
    "lua": "lua",
    "dart": "dart",
    "ex": "elixir",
    "exs": "elixir",
    "ipynb": "jupyter",
}


def format_of(path: str) -> str:
    """The extension without its dot, as it is written; "" where there is none."""
    name = _SLASHES.split(path)[-1]
    extension = name.rpartition(".")[2] if "." in name else ""
    return extension if len(extension) <= _LONGEST and extension.isprintable() else ""


def language_of(path: str) -> str:
    """In CodeMie's words; "" for unknown."""
    return _LANGUAGES.get(format_of(path).lower(), "")
