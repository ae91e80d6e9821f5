import subprocess
import sys

import pytest

from codemie_core import __version__
from codemie_core.cli import app
from codemie_core.errors import SettingsError
from support.cli import call, environ

COMMANDS = (["start"], ["demo"], ["open"], ["status"], ["version"], ["config"])
CONFIG_COMMANDS = (["config", "init"], ["config", "show"], ["config", "validate"], ["config", "schema"])


def imported_by(*arguments: str) -> set[str]:
    """The modules a command line has loaded by its end."""
    code = (
        "import sys\nfrom codemie_core.cli.app import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ(), capture_output=True, text=True, timeout=60)
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize("command", [*COMMANDS, *CONFIG_COMMANDS], ids=" ".join)
def test_help_of_every_command_teaches_with_an_example(command: list[str]) -> None:
    outcome = call(*command, "--help")
    assert outcome.code == 0
    assert "Example" in outcome.out
    assert f"codemie-proxy {' '.join(command)}" in " ".join(outcome.out.split())


def test_without_a_command_it_shows_what_there_is() -> None:
    outcome = call()
    shown = outcome.out + outcome.err
    assert outcome.code == 2
    assert all(command in shown for (command,) in COMMANDS)


def test_version_option_is_one_line() -> None:
    assert call("--version").out == f"codemie-proxy {__version__}\n"


def test_unknown_command_is_refused() -> None:
    assert call("strat").code == 2


def test_a_codemie_error_is_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**kwargs: object) -> None:
        raise SettingsError("codemie_hosts: bad; write good")

    monkeypatch.setattr(app, "app", fail)
    outcome = call("status")
    assert (outcome.code, outcome.err) == (1, "codemie-proxy: codemie_hosts: bad; write good\n")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["start", "--help"]], ids=" ".join)
def test_help_and_version_load_nothing_of_the_proxy(arguments: list[str]) -> None:
    loaded = imported_by(*arguments)
    assert "typer" in loaded
    # Not pydantic, and asyncio with it: recent releases of typer use it themselves.
    assert not {"mitmproxy", "httpx", "uvloop"} & loaded


def test_rich_is_not_loaded_where_nothing_is_drawn() -> None:
    assert "rich" not in imported_by("--version")
