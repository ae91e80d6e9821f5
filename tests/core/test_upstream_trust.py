"""The bundle of certificate authorities for upstreams."""

import os
import ssl
from pathlib import Path

import certifi
import pytest
import trustme

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.upstream_trust import trust_bundle


def test_the_bundle_holds_the_usual_authorities_and_the_operator_s_own(tmp_path: Path) -> None:
    places, extra = Places(tmp_path / "own"), tmp_path / "own.pem"
    trustme.CA().cert_pem.write_to_path(str(extra))
    bundle = trust_bundle(places, extra, "codemie_upstream_attempts_ca_file")
    usual, both = (ssl.create_default_context(cafile=file) for file in (certifi.where(), str(bundle)))
    assert len(both.get_ca_certs()) == len(usual.get_ca_certs()) + 1
    assert bundle.parent == places.ca
    assert bundle.stat().st_mode & 0o777 == 0o600 or os.name == "nt"


def test_a_file_below_the_home_may_be_named_with_a_tilde(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(Path.home() / "own.pem"))
    assert trust_bundle(Places(tmp_path / "x"), Path("~/own.pem"), "ca_file").is_file()


@pytest.mark.parametrize(
    "content, says",
    [
        (None, "cannot be read (No such file or directory); name a readable PEM file"),
        (b"", "holds no certificate"),
        (b"not PEM", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n", "holds no certificate"),
    ],
)
def test_a_file_without_a_certificate_is_refused(content: bytes | None, says: str, tmp_path: Path) -> None:
    extra = tmp_path / "own.pem"
    if content is not None:
        extra.write_bytes(content)
    with pytest.raises(SettingsError) as problem:
        trust_bundle(Places(tmp_path / "own"), extra, "codemie_upstream_attempts_ca_file")
    assert str(problem.value).startswith(f"codemie_upstream_attempts_ca_file: {extra} ")
    assert says in str(problem.value)
    assert not (tmp_path / "own").exists()
