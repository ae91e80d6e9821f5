import pytest

from codemie_core.demo import story
from support.cli import call


@pytest.mark.parametrize("code", [0, 1, 130])
def test_the_exit_code_is_the_storys(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "tell", lambda: code)
    assert call("demo").code == code
