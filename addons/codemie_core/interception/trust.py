"""What an agent must trust to be served in HTTPS_PROXY mode: our certificate, and everything it trusted before.

Nothing is installed into the system: a file is named in the variables of that one process. Most of those variables
replace the usual authorities, so the file holds both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi

from codemie_core.interception.authority import make_authority
from codemie_core.places import Places

TRUST_VARIABLES = (
    "NODE_EXTRA_CA_CERTS",  # Node and Bun: Claude Code, Gemini CLI, opencode
    "SSL_CERT_FILE",  # Python SDKs, Codex, OpenSSL, Claude Code, opencode
    "CODEX_CA_CERTIFICATE",  # Codex, which otherwise reads SSL_CERT_FILE
    "REQUESTS_CA_BUNDLE",  # Python programs with requests
    "CURL_CA_BUNDLE",  # curl, and requests after the one above
)
"""Variables that name a file of authorities.

GIT_SSL_CAINFO is not among them: it would overrule an authority in git's own configuration, and git asks no model API.
"""

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, Alpine, BSD
)
BUNDLE = "trust"
"""What the names of bundles begin with."""
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_LARGEST = 16 * 1024 * 1024
"""Bytes of one file of authorities; the usual ones have some 200 KB."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Two PEM files."""

    certificate: Path
    """Our authority alone."""
    bundle: Path
    """The authorities of the user's environment and ours."""


def confdir(places: Places) -> Path:
    """Where our authority lives, as mitmproxy's `confdir` names it."""
    return places.ca


def make_trust(places: Places, environ: Mapping[str, str], system: Sequence[str] = SYSTEM_BUNDLES) -> Trust:
    """Make the authority if there is none and bring the bundle up to date. SettingsError when that fails.

    The bundle has what `environ` names (SSL_CERT_FILE or SSL_CERT_DIR, else the system's authorities, else certifi's;
    NODE_EXTRA_CA_CERTS and its like on top).
    """
    certificate, bundle = make_authority(places), bundle_path(places, environ)
    own = certificates_of(certificate)
    if _inherited(places, environ) and set(own) <= set(certificates_of(bundle)):
        return Trust(certificate, bundle)
    named = [Path(environ[name]).expanduser() for name in TRUST_VARIABLES if environ.get(name)]
    roots = _unique(_chain(_base(environ, system, own), *map(certificates_of, named), own))
    text = b"".join(_pem(der) for der in roots)
    if not bundle.exists() or bundle.read_bytes() != text:
        places.write_private(bundle, text)
    return Trust(certificate, bundle)


def bundle_path(places: Places, environ: Mapping[str, str]) -> Path:
    """Where `make_trust` puts the bundle. Environments that name other authorities do not write over each other's."""
    if _inherited(places, environ):
        return Path(environ["SSL_CERT_FILE"])
    named = [f"{name}={_absolute(environ[name])}" for name in ("SSL_CERT_DIR", *TRUST_VARIABLES) if environ.get(name)]
    if not named:
        return places.ca / f"{BUNDLE}.pem"
    return places.ca / f"{BUNDLE}-{hashlib.sha256(chr(0).join(named).encode()).hexdigest()[:12]}.pem"


def trust_variables(trust: Trust, environ: Mapping[str, str]) -> Mapping[str, str]:
    """What to set for a child whose other variables are `environ`."""
    return dict.fromkeys(TRUST_VARIABLES, str(trust.bundle))


def _inherited(places: Places, environ: Mapping[str, str]) -> bool:
    """Does this environment name a bundle of ours already? Then we were started by what we had started."""
    named = Path(environ.get("SSL_CERT_FILE", ""))
    # Not our certificate alone, or with its key, which lie there, too.
    return named.parent == places.ca and named.name.startswith(BUNDLE)


def _absolute(path: str) -> str:
    """The same name means another file in another folder."""
    return ":".join(str(Path(part).expanduser().absolute()) for part in path.split(":"))


def _base(environ: Mapping[str, str], system: Sequence[str], own: Sequence[bytes]) -> list[bytes]:
    """What replaces the usual authorities where it is named, else those. To name ours alone replaces nothing."""
    named = [Path(environ[name]).expanduser() for name in ("SSL_CERT_FILE",) if environ.get(name)]
    if folder := environ.get("SSL_CERT_DIR"):
        for part in folder.split(":"):
            try:
                named += sorted(path for path in Path(part).iterdir() if path.is_file())
            except OSError:
                continue  # OpenSSL passes over it, too.
    paths = ssl.get_default_verify_paths()
    usual = [Path(path) for path in (paths.cafile, *system, certifi.where()) if path]
    found = [der for der in _chain(*map(certificates_of, named)) if der not in own]
    return found or next(filter(None, map(certificates_of, usual)), [])


def certificates_of(path: Path) -> list[bytes]:
    """The certificates in a PEM file, DER; [] when it cannot be read or holds none."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST)
    except OSError:
        return []
    found = []
    for match in _CERTIFICATE.finditer(text):
        try:
            found.append(base64.b64decode(b"".join(match[1].split()), validate=True))
        except binascii.Error:
            continue
    return found


def _chain(*parts: Iterable[bytes]) -> list[bytes]:
    return [der for part in parts for der in part]


def _unique(ders: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(ders))


def _pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()
