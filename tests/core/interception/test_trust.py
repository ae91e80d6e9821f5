"""The file an agent trusts in HTTPS_PROXY mode: whatever it trusted before, and our certificate."""

import ssl
import stat
from pathlib import Path

import certifi
import pytest
import trustme

from codemie_core.interception.trust import TRUST_VARIABLES, bundle_path, confdir, make_trust, trust_variables
from codemie_core.places import Places


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority that only somebody's environment names."""
    path = tmp_path_factory.mktemp("company") / "company.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the machine trusts."""
    path = tmp_path_factory.mktemp("system") / "roots.crt"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(autouse=True)
def no_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this Python was built with."""
    empty = ssl.DefaultVerifyPaths("", "", "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: empty)


def certificates(path: Path) -> set[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return set(context.get_ca_certs(binary_form=True))


def test_the_systems_authorities_stay_and_ours_is_added(tmp_path: Path, system: Path) -> None:
    places = Places(tmp_path)
    trust = make_trust(places, {}, (str(tmp_path / "missing"), str(system)))
    assert certificates(trust.bundle) == certificates(system) | certificates(trust.certificate)
    assert trust.bundle.parent == trust.certificate.parent == confdir(places) == tmp_path / "proxy" / "ca"
    assert stat.S_IMODE(trust.bundle.stat().st_mode) == 0o600
    assert b"PRIVATE" not in trust.bundle.read_bytes()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trust.bundle)
    assert context.cert_store_stats()["x509_ca"] == 2


def test_without_any_of_them_certifis_are_taken(tmp_path: Path) -> None:
    trust = make_trust(Places(tmp_path), {}, ())
    assert certificates(Path(certifi.where())) < certificates(trust.bundle)


@pytest.mark.parametrize("variable", TRUST_VARIABLES)
def test_what_the_environment_names_is_trusted_as_before(
    tmp_path: Path, company: Path, system: Path, variable: str
) -> None:
    trust = make_trust(Places(tmp_path), {variable: str(company)}, (str(system),))
    usual = set() if variable == "SSL_CERT_FILE" else certificates(system)
    assert certificates(trust.bundle) == certificates(company) | usual | certificates(trust.certificate)


def test_a_folder_of_authorities_counts_too(tmp_path: Path, company: Path, system: Path) -> None:
    environ = {"SSL_CERT_DIR": f"{tmp_path / 'missing'}:{company.parent}"}
    trust = make_trust(Places(tmp_path / "home"), environ, (str(system),))
    assert certificates(trust.bundle) == certificates(company) | certificates(trust.certificate)


@pytest.mark.parametrize(
    "text", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----"]
)
def test_a_named_file_that_holds_nothing_leaves_the_systems(tmp_path: Path, system: Path, text: str | None) -> None:
    named = tmp_path / "named.pem"
    if text is not None:
        named.write_text(text)
    trust = make_trust(Places(tmp_path / "home"), {"SSL_CERT_FILE": str(named)}, (str(system),))
    assert certificates(trust.bundle) == certificates(system) | certificates(trust.certificate)


def test_it_is_written_again_only_when_authorities_change(tmp_path: Path, company: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(company.read_bytes())
    places = Places(tmp_path / "home")
    first = make_trust(places, {}, (str(roots),))
    before = first.bundle.stat().st_ino
    assert make_trust(places, {}, (str(roots),)) == first
    assert first.bundle.stat().st_ino == before
    roots.write_text("")
    trustme.CA().cert_pem.write_to_path(str(roots))
    assert certificates(make_trust(places, {}, (str(roots),)).bundle) >= certificates(roots)


def test_two_environments_do_not_write_over_each_other(tmp_path: Path, company: Path, system: Path) -> None:
    places = Places(tmp_path)
    one = make_trust(places, {}, (str(system),))
    other = make_trust(places, {"SSL_CERT_FILE": str(company)}, (str(system),))
    assert one.bundle != other.bundle
    assert certificates(one.bundle) >= certificates(system)


def test_inside_what_we_started_the_bundle_is_the_same(tmp_path: Path, company: Path) -> None:
    places = Places(tmp_path)
    outer = make_trust(places, {"SSL_CERT_FILE": str(company)}, ())
    inner = {"SSL_CERT_FILE": str(company), **trust_variables(outer, {})}
    assert make_trust(places, inner, ()) == outer
    assert bundle_path(places, inner) == outer.bundle
    assert certificates(outer.bundle) >= certificates(company)


@pytest.mark.parametrize("name", ["mitmproxy-ca-cert.pem", "mitmproxy-ca.pem"])
def test_an_environment_that_names_us_alone_gets_the_systems_authorities_and_no_key(
    tmp_path: Path, system: Path, name: str
) -> None:
    places = Places(tmp_path)
    make_trust(places, {}, (str(system),))
    trust = make_trust(places, {"SSL_CERT_FILE": str(places.ca / name)}, (str(system),))
    assert trust.bundle.name.startswith("trust-")
    assert certificates(trust.bundle) == certificates(system) | certificates(trust.certificate)
    assert b"PRIVATE" not in trust.bundle.read_bytes()


def test_the_same_name_in_another_folder_is_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        found.add(bundle_path(Places(tmp_path), {"NODE_EXTRA_CA_CERTS": "company.pem"}))
    assert len(found) == 2


def test_every_variable_that_agents_read_names_the_bundle(tmp_path: Path) -> None:
    trust = make_trust(Places(tmp_path), {}, ())
    told = trust_variables(trust, {})
    assert {"NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "CODEX_CA_CERTIFICATE", "REQUESTS_CA_BUNDLE"} <= set(told)
    assert set(told.values()) == {str(trust.bundle)}
