"""Our certificate authority: made once, and nobody else's to read."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from codemie_core.errors import SettingsError
from codemie_core.interception.authority import KEY_FILE, make_authority
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


def test_a_home_that_is_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="CODEMIE_HOME"):
        make_authority(Places(tmp_path / "file"))
