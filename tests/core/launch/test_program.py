from pathlib import Path

import pytest

from codemie_core.launch.agents import AGENTS, GENERIC
from codemie_core.launch.child import NotRun
from codemie_core.launch.program import find_program


def on_path(folder: Path, name: str, mode: int = 0o755) -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).touch(mode)
    return str(folder / name)


def test_the_program_is_looked_up_on_the_path(tmp_path: Path) -> None:
    found = on_path(tmp_path / "bin", "claude")
    assert find_program("claude", AGENTS["claude"], {"PATH": str(tmp_path / "bin")}) == found
    assert find_program(found, AGENTS["claude"], {"PATH": ""}) == found
    other = on_path(tmp_path / "bin", GENERIC.name)
    assert find_program(GENERIC.name, GENERIC, {"PATH": str(tmp_path / "bin")}) == other


def test_one_that_is_not_there_is_told_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(NotRun, match=r"codex is not on the PATH; install it: npm install -g @openai/codex") as raised:
        find_program("codex", AGENTS["codex"], {"PATH": str(tmp_path)})
    assert raised.value.code == 127
    # The last two are names that we have for no program.
    for name, words in (("mine", "mine"), (GENERIC.name, "any"), ("", "''")):
        with pytest.raises(NotRun, match=rf"^{words} is not on the PATH$"):
            find_program(name, GENERIC, {"PATH": str(tmp_path)})


@pytest.mark.parametrize("mode, code, words", [(0o644, 126, "is no program"), (None, 127, "is not there")])
def test_a_path_is_taken_as_it_is(tmp_path: Path, mode: int | None, code: int, words: str) -> None:
    path = str(tmp_path / "bin" / "mine") if mode is None else on_path(tmp_path / "bin", "mine", mode)
    with pytest.raises(NotRun, match=words) as raised:
        find_program(path, GENERIC, {})
    assert raised.value.code == code
