"""The documents say what the code does: links, commands, names, tables, and an example that runs."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from codemie_core import __version__
from codemie_core.addon import Addon
from codemie_core.cli import app
from codemie_core.cli.declared import Declarations
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.exchange import Terminal
from codemie_core.policy import AttemptPlan, Failure, Reason, problem_of, retried_by_default
from support.proxy import ADDONS, BUNDLE, reverse

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))

# Names that look like options and are none.
OTHER_NAMES = {
    *("codemie_core", "codemie_attempt", "codemie_slow_answers_after"),
    # CodeMie's own names for its metrics and for who sends them.
    *("codemie_cli_tool_usage_total", "codemie_client", "codemie_coding_agent_usage"),
}
# Variables that are read before there are options, by run.sh or by CodeMie's own tools.
OTHER_VARIABLES = {
    *("CODEMIE_DATABASE_URL", "CODEMIE_HOME", "CODEMIE_KEYRING", "CODEMIE_PYTHON", "CODEMIE_VENV"),
    *("CODEMIE_CLIENT_KEY", "CODEMIE_OAUTH_ANTHROPIC_CLIENT_ID"),
    "CODEMIE_METRICS_DISABLED",
    *("CODEMIE_AUTH_METHOD", "CODEMIE_BASE_URL", "CODEMIE_JWT_TOKEN", "CODEMIE_PROFILE_NAME", "CODEMIE_URL"),
}


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def slug(heading: str) -> str:
    """The anchor that a forge gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)}


def links(text: str) -> list[str]:
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not target.startswith("https://")]


def commands(text: str, program: str) -> list[str]:
    """What follows the program's name, in code blocks and in running text."""
    return re.findall(rf"(?<![\w/-]){re.escape(program)} ([a-z]+(?:-[a-z]+)*)", text)


def subcommands_of_run_sh() -> set[str]:
    usage = text_of(ROOT / "run.sh").partition("<<'USAGE'\n")[2].partition("\nUSAGE")[0]
    listed = re.findall(r"^  ([a-z-]+(?:, [a-z-]+)*)(?= |$)", usage, re.MULTILINE)
    return {name for names in listed for name in names.split(", ")}


def subcommands_of_codemie_proxy() -> set[str]:
    single = {command.name or command.callback.__name__ for command in app.app.registered_commands if command.callback}
    return single | {group.name for group in app.app.registered_groups if group.name}


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def row_of(text: str, name: str) -> list[str]:
    [found] = [cells for cells in rows(text) if cells[0] == f"`{name}`"]
    return found


def declared() -> dict[str, tuple[int, str]]:
    """{stem: (priority, open or closed)} of every addon file."""
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(ADDONS.glob("*.py")):
        for _, cls in inspect.getmembers(importlib.import_module(path.stem), inspect.isclass):
            if issubclass(cls, Addon) and cls.__module__ == path.stem:
                found[path.stem] = (cls.priority, cls.fail)
    return found


def example() -> str:
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", text_of(DOCS / "addons.md"), re.MULTILINE | re.DOTALL)
    [block] = blocks
    return block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(text_of(page)):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_and_picture_can_be_reached_from_the_readme() -> None:
    reached, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        for link in links(text_of(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target not in reached and target.is_file():
                reached.add(target)
                waiting += [target] if target.suffix == ".md" else []
    assert {*PAGES, *PICTURES} <= reached


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_are_drawn_for_light_and_dark_pages(picture: Path) -> None:
    text = text_of(picture)
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "prefers-color-scheme: dark" in text


def test_the_first_two_commands_of_the_readme_are_demo_and_test() -> None:
    assert commands(text_of(README), "./run.sh")[:2] == ["demo", "test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_exists(page: Path) -> None:
    text = text_of(page)
    assert set(commands(text, "./run.sh")) <= subcommands_of_run_sh()
    assert set(commands(text, "codemie-proxy")) <= subcommands_of_codemie_proxy()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_and_variable_named_exists(page: Path) -> None:
    settings = list(Declarations.of_bundle().settings())
    options = {setting.option for setting in settings} | OTHER_NAMES
    variables = {variable for setting in settings for variable in setting.variables} | OTHER_VARIABLES
    text = text_of(page)
    assert set(re.findall(r"\bcodemie_[a-z_]+[a-z]\b", text)) <= options
    assert set(re.findall(r"\bCODEMIE_[A-Z_]+[A-Z]\b", text)) <= variables


def test_the_readme_lists_every_addon_in_order_with_its_priority_and_what_happens_when_it_fails() -> None:
    table = [cells for cells in rows(text_of(README)) if cells[0].isdigit()]
    listed = [(int(priority), re.findall(r"`(\w+)`", name)[0], fail) for priority, name, _, fail in table]
    assert listed == sorted((priority, stem, fail) for stem, (priority, fail) in declared().items())


def test_the_addons_page_has_a_section_for_every_addon_in_order() -> None:
    headings = re.findall(r"^## (\w+) \((\d+), (open|closed)\)$", text_of(DOCS / "addons.md"), re.MULTILINE)
    listed = [(int(priority), stem, fail) for stem, priority, fail in headings]
    assert listed == sorted((priority, stem, fail) for stem, (priority, fail) in declared().items())


def test_the_changelog_knows_this_version() -> None:
    assert re.search(rf"^## \[{re.escape(__version__)}\]", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)


@pytest.mark.parametrize("reason", Reason)
def test_the_policy_table_says_what_the_policy_does(reason: Reason) -> None:
    _, _, again, outcome = row_of(text_of(DOCS / "architecture.md"), reason)
    failure = Failure(reason, status=529 if reason is Reason.STATUS else None)
    assert again.startswith("yes") == retried_by_default(AttemptPlan(), failure)
    if outcome.isdigit():
        assert int(outcome) == problem_of(failure).status


@pytest.mark.parametrize("terminal", Terminal)
def test_every_ending_is_explained(terminal: Terminal) -> None:
    assert row_of(text_of(DOCS / "architecture.md"), terminal)[1]


def test_the_runbook_quotes_what_agents_are_told() -> None:
    page = text_of(DOCS / "runbook.md")
    told = [problem_of(Failure(reason)).message.partition(".")[0] for reason in Reason]
    unheard = {"The model API stopped sending", "The answer of the model API was rejected"}
    assert [words for words in told if words not in page and words not in unheard] == []


def test_the_example_addon_runs_beside_the_bundle_and_the_runbook_explains_its_health(tmp_path: Path) -> None:
    script = tmp_path / "slow_answers.py"
    script.write_text(example())
    with UpstreamThread() as upstream:
        options = {"codemie_slow_answers_after": "0s"}
        with reverse(upstream.url, scripts=(BUNDLE, script), options=options) as proxy:
            body = {"model": "m", "stream": True, "messages": []}
            with httpx.Client(trust_env=False, timeout=20) as client:
                assert client.post(f"{proxy.url}/v1/messages", json=body).status_code == 200
            proxy.wait_for_log(r"waited \d+\.\d s: 1 attempts, complete")
            health = proxy.health()
    [own] = [addon for addon in health["addons"] if addon["name"] == "slow_answers"]
    assert (own["state"], own["priority"], own["fail"]) == ("active", 60, "open")
    explained = {name for cells in rows(text_of(DOCS / "runbook.md")) for name in re.findall(r"`(\w+)`", cells[0])}
    assert health.keys() | own.keys() <= explained
