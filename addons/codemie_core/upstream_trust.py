"""Which certificate authorities upstreams are checked against: the usual ones plus a file of the operator's own.

mitmproxy's `ssl_verify_upstream_trusted_ca` replaces the usual ones, so a further authority needs a bundle of both.
"""

from __future__ import annotations

from pathlib import Path

import certifi
from cryptography import x509

from codemie_core.errors import SettingsError
from codemie_core.places import Places


def trust_bundle(places: Places, extra: Path, source: str) -> Path:
    """Write the bundle to ca/upstream-trust.pem and return its path. SettingsError says what is wrong with `extra`."""
    pem = authorities(extra, source)
    bundle = places.ca / "upstream-trust.pem"
    places.ensure_private(places.ca)
    places.write_private(bundle, Path(certifi.where()).read_bytes().rstrip() + b"\n" + pem)
    return bundle


def authorities(file: Path, source: str) -> bytes:
    """The operator's own, in PEM form. SettingsError when there are none in this file."""
    try:
        pem = file.expanduser().read_bytes()
    except OSError as problem:
        raise SettingsError(f"{source}: {file} cannot be read ({problem.strerror}); name a readable PEM file") from None
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise SettingsError(f"{source}: {file} holds no certificate in PEM form") from None
    return pem
