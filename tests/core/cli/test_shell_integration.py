import os
from pathlib import Path

import pytest

from codemie_core.cli.shell_integration import start_file, start_files
from codemie_core.launch.shells import Shell
from support.cli import call

HOME = Path("/h")


@pytest.fixture
def home(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, where claude alone is on the PATH."""
    home = codemie_home.parent
    folder = home / "bin"
    folder.mkdir()
    (folder / "claude").touch(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(home))
    for name in ("ZDOTDIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.mark.parametrize(
    "shell, environ, platform, path",
    [
        (Shell.BASH, {}, "linux", ".bashrc"),
        (Shell.BASH, {}, "darwin", ".bash_profile"),
        (Shell.ZSH, {}, "linux", ".zshrc"),
        (Shell.ZSH, {"ZDOTDIR": "/h/z"}, "linux", "z/.zshrc"),
        (Shell.FISH, {}, "linux", ".config/fish/config.fish"),
        (Shell.FISH, {"XDG_CONFIG_HOME": "/h/x"}, "linux", "x/fish/config.fish"),
    ],
)
def test_the_file_is_the_one_a_new_terminal_reads(
    shell: Shell, environ: dict[str, str], platform: str, path: str
) -> None:
    assert start_file(shell, environ, HOME, platform) == HOME / path


def test_a_login_shell_of_bash_reads_the_first_of_three_files_that_is_there(tmp_path: Path) -> None:
    for name in (".profile", ".bash_login", ".bash_profile"):
        (tmp_path / name).touch()
        assert start_file(Shell.BASH, {}, tmp_path, "darwin") == tmp_path / name


def test_it_is_removed_from_where_it_was_put_though_another_file_is_read_now(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_files, "__defaults__", ("darwin",))
    monkeypatch.setattr(start_file, "__defaults__", ("darwin",))
    (home / ".profile").write_text("mine\n")
    call("shell-integration", "install", "bash")
    assert "function claude" in (home / ".profile").read_text()
    (home / ".bash_profile").touch()
    call("shell-integration", "remove", "bash")
    assert (home / ".profile").read_text() == "mine\n"


@pytest.mark.parametrize("shell, name", [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/config.fish")])
def test_installing_twice_is_installing_once_and_removing_undoes_it(home: Path, shell: str, name: str) -> None:
    file = start_file(Shell(shell), os.environ, home)
    assert file.relative_to(home).name == Path(name).name or shell == "bash"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"mine")
    first = call("shell-integration", "install", shell)
    assert (first.code, str(file) in first.out) == (0, True), first.err
    installed = file.read_bytes()
    assert b"function claude" in installed
    assert b"codex" not in installed
    assert "already" in call("shell-integration", "install", shell).out
    assert file.read_bytes() == installed
    call("shell-integration", "install", shell, "--all")
    assert b"function codex" in file.read_bytes()
    assert "taken out" in call("shell-integration", "remove", shell).out
    assert file.read_bytes() == b"mine"
    assert "nothing of ours" in call("shell-integration", "remove", shell).out


def test_printing_writes_nothing(home: Path) -> None:
    before = sorted(home.rglob("*"))
    found = call("shell-integration", "print", "bash", "--agent", "gemini")
    assert found.out.startswith("function gemini {")
    assert len(found.out.splitlines()) == 1
    assert sorted(home.rglob("*")) == before


def test_where_no_agent_is_found_it_asks_which(home: Path) -> None:
    (home / "bin" / "claude").unlink()
    found = call("shell-integration", "install", "bash")
    assert (found.code, "take --all" in found.err) == (1, True)
    assert "there are: claude, codex" in call("shell-integration", "print", "bash", "--agent", "clod").err
