"""Formats and languages by the name of a file."""

import pytest

from codemie_core.usage.languages import format_of, language_of


@pytest.mark.parametrize(
    "path, format_, language",
    [
        ("/p/a.ts", "ts", "typescript"),
        ("/p/a.test.tsx", "tsx", "typescript"),
        ("C:\\p\\A.PY", "PY", "python"),
        ("docs/README.md", "md", "markdown"),
        ("config.yml", "yml", "yaml"),
        ("/p.d/Makefile", "", ""),
        ("C:\\p.d\\Makefile", "", ""),
        ("/p/.gitignore", "gitignore", ""),
        ("/p/a.", "", ""),
        ("/p/a.unknown", "unknown", ""),
        ("/p/one. And then a sentence that goes on", "", ""),
        ("", "", ""),
    ],
)
def test_the_extension_tells(path: str, format_: str, language: str) -> None:
    assert (format_of(path), language_of(path)) == (format_, language)


# What CodeMie's command line makes of extensions, all of it.
CODEMIE = {
    "ts": "typescript",
    "tsx": "typescript",
    "js": "javascript",
    "jsx": "javascript",
    "py": "python",
    "java": "java",
    "go": "go",
    "rs": "rust",
    "cpp": "cpp",
    "c": "c",
    "rb": "ruby",
    "php": "php",
    "swift": "swift",
    "kt": "kotlin",
    "md": "markdown",
    "json": "json",
    "yaml": "yaml",
    "yml": "yaml",
}


def test_the_languages_that_codemie_knows_have_its_words() -> None:
    assert {extension: language_of(f"a.{extension}") for extension in CODEMIE} == CODEMIE
