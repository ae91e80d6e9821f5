"""Our certificate authority: made once, and nobody else's to read."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from codemie_core.errors import SettingsError
from codemie_core.interception.authority import EXPIRED_FILE, KEY_FILE, make_authority
from codemie_core.places import Places


def test_its_folder_and_key_are_the_owners_alone(tmp_path: Path) -> None:
    places = Places(tmp_path / "home")
    certificate = make_authority(places)
    assert stat.S_IMODE(places.ca.stat().st_mode) == 0o700
    for secret in (places.ca / KEY_FILE, places.ca / "mitmproxy-ca.p12"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert b"PRIVATE" not in certificate.read_bytes()
    assert x509.load_pem_x509_certificate(certificate.read_bytes()).subject
    assert not list(places.ca.glob(".making-*"))


def test_a_key_that_others_can_read_is_closed(tmp_path: Path) -> None:
    places = Places(tmp_path)
    make_authority(places)
    (places.ca / KEY_FILE).chmod(0o644)
    places.ca.chmod(0o755)
    make_authority(places)
    assert stat.S_IMODE((places.ca / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(places.ca.stat().st_mode) == 0o700


def test_many_that_ask_at_once_get_the_same(tmp_path: Path) -> None:
    places = Places(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: make_authority(places).read_bytes(), range(4)))
    assert len(set(found)) == 1


def test_what_was_left_half_made_is_made_whole(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.ensure_private(places.ca)
    (places.ca / "mitmproxy-ca-cert.pem").write_text("half")
    assert b"BEGIN CERTIFICATE" in make_authority(places).read_bytes()


@pytest.mark.parametrize("text", [None, "", "another's"])
def test_its_certificate_is_the_one_beside_its_key(tmp_path: Path, text: str | None) -> None:
    """Without it agents would be given a bundle that does not hold us, and nobody would know why they fail."""
    places = Places(tmp_path)
    certificate = make_authority(places)
    before = certificate.read_bytes()
    if text is None:
        certificate.unlink()
    else:
        certificate.write_text(text)
    assert make_authority(places).read_bytes() == before


def test_one_that_is_over_is_put_aside_for_another(tmp_path: Path) -> None:
    places = Places(tmp_path)
    before, key = make_authority(places).read_bytes(), (places.ca / KEY_FILE).read_bytes()
    ends = x509.load_pem_x509_certificate(before).not_valid_after_utc
    assert make_authority(places, ends - timedelta(seconds=1)).read_bytes() == before
    assert make_authority(places, ends).read_bytes() != before
    assert (places.ca / KEY_FILE).read_bytes() != key
    assert (places.ca / EXPIRED_FILE).read_bytes() == key
    assert stat.S_IMODE((places.ca / EXPIRED_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "no key"])
def test_a_key_that_cannot_be_read_is_told_with_its_fix(tmp_path: Path, text: str) -> None:
    places = Places(tmp_path)
    make_authority(places)
    (places.ca / KEY_FILE).write_text(text)
    with pytest.raises(SettingsError, match=r"move .* away"):
        make_authority(places)


def test_a_home_that_is_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="CODEMIE_HOME"):
        make_authority(Places(tmp_path / "file"))
