import pytest

from support.cli import call


@pytest.mark.parametrize("command", [["requests"], ["requests", "show"]], ids=" ".join)
def test_help_teaches_with_an_example(command: list[str]) -> None:
    shown = " ".join(call(*command, "--help").out.split())
    assert "Example" in shown
    assert "codemie-proxy requests show last" in shown
