"""Our own certificate authority: made once, in a folder of its own that nobody else can look into.

It holds for ten years. One that is over is put aside and another is made; mitmproxy would go on with it, and name a
folder that is not ours.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from mitmproxy import certs

from codemie_core.errors import SettingsError
from codemie_core.places import Places

BASENAME = "mitmproxy"
"""mitmproxy looks for files of this name in its confdir."""
KEY_BITS = 2048
KEY_FILE = f"{BASENAME}-ca.pem"
CERTIFICATE_FILE = f"{BASENAME}-ca-cert.pem"
EXPIRED_FILE = f"{BASENAME}-ca.expired.pem"


def make_authority(places: Places, now: datetime | None = None) -> Path:
    """Make it unless it is there. Returns its certificate, PEM, without the key. SettingsError when that fails.

    mitmproxy would make the same at its first start, but whoever starts it wants to hand the certificate to an agent
    before that; and two proxies that start at once would each make one.
    """
    folder = places.ca
    places.ensure_private(folder)
    try:
        with _alone_in(folder):
            _make_unless_good(folder, now or datetime.now(UTC))
            found = _found(folder).public_bytes(Encoding.PEM)
            certificate = folder / CERTIFICATE_FILE
            if not certificate.exists() or found not in certificate.read_bytes():
                places.write_private(certificate, found)
            for secret in (KEY_FILE, f"{BASENAME}-ca.p12"):
                if (folder / secret).exists():
                    (folder / secret).chmod(0o600)
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror or error}); make it writable or set CODEMIE_HOME to another "
            "folder"
        ) from error
    return folder / CERTIFICATE_FILE


def _make_unless_good(folder: Path, now: datetime) -> None:
    if not (folder / KEY_FILE).exists():
        _make(folder)
    elif _found(folder).not_valid_after_utc <= now:
        os.replace(folder / KEY_FILE, folder / EXPIRED_FILE)
        _make(folder)


def _found(folder: Path) -> x509.Certificate:
    """The certificate that mitmproxy signs by: the first beside the key."""
    try:
        return x509.load_pem_x509_certificates((folder / KEY_FILE).read_bytes())[0]
    except ValueError:
        raise SettingsError(
            f"{folder / KEY_FILE} holds no certificate; stop all proxies and move {folder} away: the next start makes "
            "another, and agents have to be started anew"
        ) from None


def _make(folder: Path) -> None:
    making = Path(tempfile.mkdtemp(dir=folder, prefix=".making-"))
    try:
        certs.CertStore.create_store(making, BASENAME, KEY_BITS)
        # The key comes last: where it is, everything is.
        for made in sorted(making.iterdir(), key=lambda path: path.name == KEY_FILE):
            os.replace(made, folder / made.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
