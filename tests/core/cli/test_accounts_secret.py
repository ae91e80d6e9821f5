import io

import pytest

from codemie_core.cli.accounts_secret import Prompts
from codemie_core.errors import SettingsError

WHAT = "the key of main"


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_each_secret_is_a_line_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"planted-one\r\nplanted-two")
    prompts = Prompts()
    assert prompts.secret(WHAT, "as in ...").get_secret_value() == "planted-one"
    assert prompts.secret(WHAT, "as in ...").get_secret_value() == "planted-two"


def test_an_empty_pipe_says_how_to_fill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"")
    with pytest.raises(SettingsError, match=r"the key of main is missing: .* Pipe it in, as in x"):
        Prompts().secret(WHAT, "as in x")
