from support.cli import call


def test_help_teaches_with_examples() -> None:
    shown = call("export", "--help").out
    assert "codemie-proxy export --har --session last --out session.har" in shown
