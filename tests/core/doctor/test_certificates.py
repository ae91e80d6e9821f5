import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from codemie_core.doctor import certificates
from codemie_core.doctor.certificates import READS
from codemie_core.interception.trust import TRUST_VARIABLES, make_trust
from codemie_core.launch.agents import AGENTS
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from support.patient import levels, program, surroundings, told

DAY = 86400.0


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_agents_and_variables_of_the_table_are_those_that_exist() -> None:
    assert READS.keys() <= AGENTS.keys()
    assert {name for names in READS.values() for name in names} <= set(TRUST_VARIABLES)


def test_an_authority_that_is_not_made_yet_is_no_problem(codemie_home: Path) -> None:
    assert levels(certificates.authority(surroundings(codemie_home))) == ["ok"]
    assert not codemie_home.exists()


@pytest.mark.parametrize("before, level", [(400 * DAY, "ok"), (20 * DAY, "warning"), (-DAY, "problem")])
def test_an_authority_is_told_by_its_end(before: float, level: str, codemie_home: Path) -> None:
    trust = make_trust(Places(codemie_home), {})
    ends = x509.load_pem_x509_certificate(trust.certificate.read_bytes()).not_valid_after_utc
    around = replace(surroundings(codemie_home), now=lambda: ends.timestamp() - before)
    (found,) = certificates.authority(around)
    assert found.level == level
    assert datetime.now(UTC) < ends


def test_a_certificate_without_its_key_or_with_another_is_a_problem(codemie_home: Path, tmp_path: Path) -> None:
    trust = make_trust(Places(codemie_home), {})
    other = make_trust(Places(tmp_path / "other"), {})
    trust.certificate.write_bytes(other.certificate.read_bytes())
    assert levels(certificates.authority(surroundings(codemie_home))) == ["problem"]
    (trust.certificate.parent / "mitmproxy-ca.pem").unlink()
    (found,) = certificates.authority(surroundings(codemie_home))
    assert found.level == "problem"
    # The fix, as it stands there, and the next start.
    subprocess.run(["sh", "-c", found.fix.partition("    (")[0]], check=True)
    make_trust(Places(codemie_home), {})
    assert levels(certificates.authority(surroundings(codemie_home))) == ["ok"]


def test_a_key_that_is_another_than_the_certificates_is_a_problem(codemie_home: Path, tmp_path: Path) -> None:
    """The file holds both, and the certificate in it may be right."""
    both = make_trust(Places(codemie_home), {}).certificate.parent / "mitmproxy-ca.pem"
    other = make_trust(Places(tmp_path / "other"), {}).certificate.parent / "mitmproxy-ca.pem"
    begin = "-----BEGIN CERTIFICATE"
    both.write_text(other.read_text().partition(begin)[0] + begin + both.read_text().partition(begin)[2])
    assert levels(certificates.authority(surroundings(codemie_home))) == ["problem"]


def test_where_no_agent_is_installed_nobody_has_to_trust_us(codemie_home: Path) -> None:
    assert told(certificates.trust(surroundings(codemie_home))) == [
        ("ok", "nobody has to trust it: no agent known here is on PATH")
    ]


@pytest.mark.parametrize("agent", READS)
def test_an_agent_that_reads_a_bundle_with_our_authority_trusts_us(
    agent: str, codemie_home: Path, tmp_path: Path
) -> None:
    trust = make_trust(Places(codemie_home), {})
    path = program(tmp_path / "bin", agent)
    name = READS[agent][0]
    (found,) = certificates.trust(surroundings(codemie_home, PATH=path, **{name: str(trust.bundle)}))
    assert (found.level, found.what) == ("ok", f"{AGENTS[agent].title} trusts our authority through {name}")
    (found,) = certificates.trust(surroundings(codemie_home, PATH=path))
    assert found.level == "ok"


def test_an_agent_that_is_sent_here_and_does_not_trust_us_is_a_problem(
    codemie_home: Path, tmp_path: Path, listening: int
) -> None:
    trust = make_trust(Places(codemie_home), {})
    pid, started = this_process()
    entry = RunningProxy("one", pid, started, 1.0, (f"127.0.0.1:{listening}",), ("regular",), "1")
    write_entry(Places(codemie_home), entry)
    environ = {"PATH": program(tmp_path / "bin", "gemini", "codex"), "HTTPS_PROXY": f"http://127.0.0.1:{listening}"}
    # Gemini CLI does not read this one.
    found = list(certificates.trust(surroundings(codemie_home, SSL_CERT_FILE=str(trust.bundle), **environ)))
    assert levels(found) == ["ok", "problem"]
    assert "Gemini CLI reads NODE_EXTRA_CA_CERTS, which this shell does not set" in found[1].what
    assert found[1].fix.startswith('eval "$(codemie-proxy env --via https-proxy gemini)"')
    # A company's proxy with the very same port is none of ours.
    environ["HTTPS_PROXY"] = f"http://proxy.example.com:{listening}"
    assert levels(certificates.trust(surroundings(codemie_home, **environ))) == ["ok", "ok"]


def test_a_variable_that_names_no_certificate_is_a_problem_in_any_mode(codemie_home: Path, tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "claude")
    gone = str(tmp_path / "gone.pem")
    (found,) = certificates.trust(surroundings(codemie_home, PATH=path, NODE_EXTRA_CA_CERTS=gone))
    assert (found.level, found.fix) == ("problem", "unset NODE_EXTRA_CA_CERTS, or name a PEM file")


def test_a_path_that_only_a_shell_would_understand_names_nothing(
    codemie_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_trust(Places(codemie_home), {}).bundle
    monkeypatch.setenv("HOME", str(bundle.parent))
    path = program(tmp_path / "bin", "claude")
    (found,) = certificates.trust(surroundings(codemie_home, PATH=path, NODE_EXTRA_CA_CERTS=f"~/{bundle.name}"))
    assert found.level == "problem"


def test_the_first_variable_that_is_set_is_the_one_that_counts(codemie_home: Path, tmp_path: Path) -> None:
    trust = make_trust(Places(codemie_home), {})
    other = make_trust(Places(tmp_path / "other"), {})
    path = program(tmp_path / "bin", "codex")
    environ = {"CODEX_CA_CERTIFICATE": str(other.certificate), "SSL_CERT_FILE": str(trust.bundle)}
    (found,) = certificates.trust(surroundings(codemie_home, PATH=path, **environ))
    assert (found.level, "CODEX_CA_CERTIFICATE names" in found.what) == ("note", True)
