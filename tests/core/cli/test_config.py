import json
import stat
from pathlib import Path

import pytest

from codemie_core.cli.declared import Declarations
from codemie_core.cli.template import template
from support.cli import call

PLANTED = "sk-ant-api03-planted-not-a-real-key-000000000000"


def write_config(home: Path, text: str) -> Path:
    path = home / "proxy" / "codemie.yaml"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_text(text)
    return path


def test_init_writes_a_private_file_into_the_home(codemie_home: Path) -> None:
    outcome = call("config", "init")
    path = codemie_home / "proxy" / "codemie.yaml"
    assert (outcome.code, outcome.out) == (0, f"Wrote {path}\n")
    assert path.read_text() == template(Declarations.of_bundle().sections)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_init_refuses_to_overwrite_unless_forced(codemie_home: Path) -> None:
    path = write_config(codemie_home, "kept_flows: 1\n")
    outcome = call("config", "init")
    assert outcome.code == 1
    assert outcome.err == f"codemie-proxy: {path} exists: --force replaces it, --path writes another file\n"
    assert path.read_text() == "kept_flows: 1\n"
    assert call("config", "init", "--force").code == 0
    assert path.read_text() != "kept_flows: 1\n"


def test_init_elsewhere_says_how_to_use_it(tmp_path: Path, codemie_home: Path) -> None:
    path = tmp_path / "other.yaml"
    assert f"To use it: CODEMIE_CONFIG={path}" in call("config", "init", "--path", str(path)).out
    assert path.is_file()
    assert not codemie_home.exists()


def test_what_init_wrote_is_valid(codemie_home: Path) -> None:
    call("config", "init")
    outcome = call("config", "validate")
    assert (outcome.code, outcome.out) == (0, f"{codemie_home / 'proxy' / 'codemie.yaml'} is fine\n")


def test_validate_without_a_file_says_so(codemie_home: Path) -> None:
    outcome = call("config", "validate")
    assert outcome.code == 0
    assert "does not exist, the defaults are in force" in outcome.out


def test_validate_tells_all_problems_one_line_each(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(codemie_home, "kept_flow: 1\nupstream_attempts: {max_attempts: none, backoff: soon}\n")
    monkeypatch.setenv("CODEMIE_ALLOW_REMOTE_PEERS", "perhaps")
    outcome = call("config", "validate")
    lines = outcome.err.splitlines()
    assert outcome.code == 1
    assert len(lines) == 4
    for words in (
        "kept_flow",
        "upstream_attempts.max_attempts",
        "upstream_attempts.backoff",
        "CODEMIE_ALLOW_REMOTE_PEERS",
    ):
        assert sum(words in line for line in lines) == 1


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "upstream_attempts: {ca_file: /nowhere/ca}\n",
            "codemie_upstream_attempts_ca_file: /nowhere/ca cannot be read",
        ),
        ("telemetry: {otlp: true, endpoint: nowhere}\n", "codemie_telemetry_"),
        ("disabled: [nothing]\n", "codemie_disabled: there is no addon 'nothing'; there are: upstream_attempts, "),
        ("hosts: api.example.com\n", "hosts: this must be a list, like [a, b]"),
    ],
)
def test_validate_tells_what_an_addon_would_refuse_at_the_start(text: str, words: str, codemie_home: Path) -> None:
    write_config(codemie_home, text)
    outcome = call("config", "validate")
    assert (outcome.code, outcome.out) == (1, "")
    [line] = outcome.err.splitlines()
    assert words in line


def test_validate_takes_another_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("hosts: [\n")
    outcome = call("config", "validate", str(path))
    assert outcome.code == 1
    assert str(path) in outcome.err


def test_validate_of_a_missing_file_names_it(tmp_path: Path) -> None:
    outcome = call("config", "validate", str(tmp_path / "nowhere.yaml"))
    assert outcome.code == 1
    assert "there is no such file" in outcome.err


def rows(text: str) -> dict[str, str]:
    """What `config show` prints, by setting."""
    return {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines() if line[:1].strip()}


def test_show_tells_every_value_and_where_it_comes_from(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_config(codemie_home, "kept_flows: 7\n")
    (codemie_home / "codemie-cli.config.json").write_text(json.dumps({"codeMieProject": "acme"}))
    monkeypatch.setenv("CODEMIE_UPSTREAM_ATTEMPTS_BACKOFF", "2s")
    shown = rows(call("config", "show").out)
    assert shown["kept_flows"].startswith("7 ")
    assert str(path)[:20] in shown["kept_flows"]
    assert shown["upstream_attempts.backoff"] == "2s environment: CODEMIE_UPSTREAM_ATTEMPTS_BACKOFF"
    assert shown["header_injection.project"] == "acme CodeMie profile default"
    assert shown["allow_remote_peers"] == "no default"
    assert {setting.key for setting in Declarations.of_bundle().settings()} <= shown.keys()


def test_show_changed_leaves_the_defaults_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_KEPT_FLOWS", "7")
    assert rows(call("config", "show", "--changed").out).keys() == {"Setting", "kept_flows"}


def test_show_points_to_validate_when_something_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_KEPT_FLOWS", "many")
    outcome = call("config", "show")
    assert outcome.code == 0
    assert outcome.err == "1 cannot be used: codemie-proxy config validate\n"


def test_show_never_shows_a_key_somebody_pasted_into_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_SESSION_ID", PLANTED)
    assert PLANTED not in call("config", "show").out


@pytest.mark.parametrize(
    "variable", ["CODEMIE_SSO_AUTH_URL", "CODEMIE_HOSTS", "CODEMIE_UPSTREAM_ATTEMPTS_BUDGET", "CODEMIE_DISABLED"]
)
def test_validate_repeats_no_password_that_somebody_has_put_into_a_url(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "https://ann:planted-password@host.example/x")
    outcome = call("config", "validate")
    assert outcome.code == 1
    assert "planted" not in outcome.out + outcome.err


def test_schema_is_json() -> None:
    assert json.loads(call("config", "schema").out)["title"] == "codemie.yaml"
