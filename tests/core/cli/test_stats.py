from support.cli import call
from support.history_cli import refused


def test_it_teaches_by_examples() -> None:
    shown = call("stats", "--help").out
    assert "codemie-proxy stats --last-session" in shown


def test_what_it_cannot_show_is_refused_before_it_looks() -> None:
    assert refused("stats", "--by", "modle").startswith("--by modle: did you mean model? There are model, account")
    assert refused("stats", "--bucket", "2h") == "--bucket 2h: did you mean 24h? There are 1h, 6h, 24h, 1d, 7d, 30d"
    assert refused("stats", "--by", "model", "--last-session").endswith("do not go together: choose one")
    assert call("stats", "--limit", "0").code == 2
