import pytest

from support.cli import call


@pytest.mark.parametrize("command", [["sessions"], ["sessions", "show"]], ids=" ".join)
def test_help_teaches_with_an_example(command: list[str]) -> None:
    shown = " ".join(call(*command, "--help").out.split())
    assert "Example" in shown
    assert "codemie-proxy sessions show last" in shown
