import pytest
from pydantic import ValidationError

from codemie_core.admin.account_adding import NewKey
from codemie_core.admin.pages.account_acts import listed, wrong


def test_what_cannot_be_is_said_without_what_was_written() -> None:
    with pytest.raises(ValidationError) as caught:
        NewKey.model_validate({"apiKey": "k" * 100_000})
    said = wrong(caught.value)
    assert "apiKey" in said
    assert "kkk" not in said


def test_patterns_are_written_with_commas() -> None:
    assert listed(" claude-*, gpt-5 ,") == ["claude-*", "gpt-5"]
    assert listed("") == []
