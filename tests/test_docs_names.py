"""What the documents name exists, and what exists is named: commands to copy, ways in, hooks, addons, files."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from codemie_core.addon import Addon
from codemie_core.cli import app
from codemie_core.launch.agents import AGENTS
from codemie_core.seams import dispatch, install, socket_layer, tunnel
from support.proxy import ADDONS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
AGENT_PAGES = ("claude", "codex", "gemini", "opencode")
# Of run.sh alone, with arguments of other programs.
NOT_OURS = ("bench", "check", "dump", "soak", "test", "test-agents", "web")
# Methods without an underscore that mitmproxy and the bundle call by themselves, or other code of ours.
NO_HOOKS = {
    *("load", "configure", "settled", "running", "start", "drain", "stop", "done", "health"),
    *("listen", "model_of", "sync_now"),
}


def typed(text: str) -> Iterator[list[str]]:
    """The words of each command line of ours, in code blocks and in running text."""
    for found in re.findall(r"(?<![\w/-])(?:\./run\.sh|codemie-proxy) ([^`|;\n)\"]*)", re.sub(r"\\\n\s*", " ", text)):
        words = found.partition(" #")[0].partition("    ")[0].split()
        words = words[: words.index("--")] if "--" in words else words
        if words and words[0] not in NOT_OURS:
            yield words


@functools.cache
def whole_command() -> Any:
    """All subcommands; putting them together takes it long."""
    return typer.main.get_command(app.app)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """What they call, and what is left of them."""
    command = whole_command()
    while words and (found := getattr(command, "commands", {}).get(words[0])):
        command, words = found, words[1:]
    return command, words


def unknown(words: list[str]) -> Iterator[str]:
    """Those that the command does not know."""
    command, rest = command_of(words)
    known = {"--help", *(name for one in command.params for name in (*one.opts, *one.secondary_opts))}
    takes = {name for one in command.params if not getattr(one, "is_flag", False) for name in one.opts}
    if hasattr(command, "commands") and rest and re.fullmatch(r"[a-z][a-z-]+", rest[0]):
        yield rest[0]
    for before, word in zip(("", *rest), rest, strict=False):
        if command.name == "run" and not word.startswith("-") and before not in takes:
            return  # The agent; what follows is its own.
        name = word.partition("=")[0].rstrip(".,:")
        if name.startswith("-") and name not in known:
            yield name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_subcommand_and_flag_in_a_line_to_copy_exists(page: Path) -> None:
    lost = [(" ".join(words), name) for words in typed(page.read_text("utf-8")) for name in unknown(words)]
    assert lost == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("daemon begin", "begin"),
        ("run --by base-url claude", "--by"),
        ("start --regular --ports 1", "--ports"),
        ("accounts list --jason", "--jason"),
    ],
)
def test_what_does_not_exist_is_found(line: str, named: str) -> None:
    [words] = typed(f"    codemie-proxy {line}")
    assert list(unknown(words)) == [named]


@pytest.mark.parametrize("name", AGENT_PAGES)
def test_the_page_of_an_agent_has_lines_for_both_ways_in_by_run_and_by_hand(name: str) -> None:
    page, agent = (DOCS / "agents" / f"{name}.md").read_text("utf-8"), AGENTS[name]
    for line in (
        f"    codemie-proxy run {name}\n",
        f"    codemie-proxy run --via https-proxy {name}\n",
        f"    codemie-proxy start {agent.default_target}\n",
        "    codemie-proxy start --regular\n",
        f'    eval "$(codemie-proxy env {name} --via https-proxy)"\n    {name}\n',
    ):
        assert line in page
    headings = re.findall("^## (.+)$", page, re.MULTILINE)
    wanted = ["By base URL", "By HTTPS_PROXY", "Credentials", "What overrules the environment", "How it takes faults"]
    assert [heading for heading in headings if heading in wanted] == wanted


def test_the_pages_on_agents_name_every_agent_that_run_knows() -> None:
    pages = "".join(page.read_text("utf-8") for page in (DOCS / "agents").glob("*.md"))
    assert [name for name in AGENTS if f"`{name}`" not in pages and f"run {name}\n" not in pages] == []


def test_the_addons_page_names_every_hook_of_every_addon() -> None:
    page = (DOCS / "addons.md").read_text("utf-8")
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        if found := re.match(r"(\w+) \(\d+, ", section):
            told = re.search(r"- Hooks: (.*?)(?:\n\n|\Z)", section, re.DOTALL)
            assert told is not None
            assert set(re.findall(r"`(\w+)`", told[1])) == hooks_of(found[1]), found[1]


def hooks_of(stem: str) -> set[str]:
    """The handlers that the addon of this file declares."""
    [addon] = [
        cls
        for _, cls in inspect.getmembers(importlib.import_module(stem), inspect.isclass)
        if issubclass(cls, Addon) and cls.__module__ == stem
    ]
    return {name for name, value in vars(addon).items() if inspect.isfunction(value) and name[0] != "_"} - NO_HOOKS


def test_the_architecture_page_shows_every_addon_and_every_seam() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    assert [path.name for path in ADDONS.glob("*.py") if f"      {path.name}" not in page] == []
    folders = {path.parent.name for path in (ADDONS / "codemie_core").glob("*/__init__.py")}
    assert [name for name in sorted(folders) if f"{name}/ " not in page and f"{name}/\n" not in page] == []
    seams = {shape.SHAPE.name for shape in (install, socket_layer, tunnel, dispatch)}
    assert re.search(rf"used in {('', 'one', 'two', 'three', 'four', 'five')[len(seams)]} places", page)


def test_the_runbook_lists_every_file_of_ours() -> None:
    code = "".join(path.read_text("utf-8") for path in (ADDONS / "codemie_core").rglob("*.py"))
    page = (DOCS / "runbook.md").read_text("utf-8").partition("## Where files are")[2]
    names = {name for name in re.findall(r'\.proxy / "([^"]+)"', code) if not name.endswith(".lock")}
    assert "proxy.db" in names
    assert [name for name in sorted(names) if f"`proxy/{name}`" not in page and f"`proxy/{name}/`" not in page] == []
