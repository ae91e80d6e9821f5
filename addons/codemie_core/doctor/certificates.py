"""HTTPS_PROXY mode: our own authority, and which agents of this shell trust it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from codemie_core.credential import is_loopback
from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.proxies import ports
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.egress import egress_from_env
from codemie_core.errors import SettingsError
from codemie_core.interception.trust import certificates_of
from codemie_core.launch.agents import AGENTS, LaunchAgent

SOON = timedelta(days=30)
READS: Mapping[str, tuple[str, ...]] = {
    "claude": ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
    "codex": ("CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"),
    "gemini": ("NODE_EXTRA_CA_CERTS",),
    "opencode": ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
}
"""Agent -> the variables it takes authorities from, as tried with the versions of docs/agents.md."""
_CERTIFICATE, _KEY = "mitmproxy-ca-cert.pem", "mitmproxy-ca.pem"


def authority(around: Surroundings) -> Iterator[Finding]:
    """Is it there, for how long, and does its key fit?"""
    folder = around.places.ca
    path = folder / _CERTIFICATE
    away = shlex.join(["mv", str(folder), f"{folder}.old"])
    anew = f"{away}    (the next start makes another; agents have to be started anew)"
    if not (folder / _KEY).exists() and not path.exists():
        yield ok("authority", "no authority of ours yet: the first start in HTTPS_PROXY mode makes it")
        return
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        both = (folder / _KEY).read_bytes()
        key = serialization.load_pem_private_key(both, None)
        fits = key.public_key() == certificate.public_key() and certificate in x509.load_pem_x509_certificates(both)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as trouble:
        yield problem("authority", f"{folder} holds no usable authority ({type(trouble).__name__})", anew)
        return
    left = certificate.not_valid_after_utc - datetime.fromtimestamp(around.now(), UTC)
    if not fits:
        yield problem("authority", f"{path} does not belong to the key beside it", anew)
    elif left <= timedelta():
        again = "start the proxy again, which makes another, and then the agents"
        yield problem("authority", f"{path} has expired", again)
    elif left < SOON:
        yield warning("authority", f"{path} expires in {left.days} days", anew)
    else:
        yield ok("authority", f"{path}, until {certificate.not_valid_after_utc:%Y-%m-%d}")


def trust(around: Surroundings) -> Iterator[Finding]:
    """Each agent on PATH: would it trust us in this shell?"""
    installed = [agent for agent in AGENTS.values() if program_of(agent, around.environ) and agent.name in READS]
    if not installed:
        yield ok("trust", "nobody has to trust it: no agent known here is on PATH")
    ours = certificates_of(around.places.ca / _CERTIFICATE)
    needed = _leads_to_us(around)
    for agent in installed:
        yield _trusts(agent, around.environ, ours, needed)


def _trusts(agent: LaunchAgent, environ: Mapping[str, str], ours: Sequence[bytes], needed: bool) -> Finding:
    names = READS[agent.name]
    reads = " or ".join(names)
    # The first that is set is the one that counts.
    name = next((name for name in names if environ.get(name)), "")
    run = f"codemie-proxy run --via https-proxy {agent.name}"
    sets = f'eval "$(codemie-proxy env --via https-proxy {agent.name})"    (or start it by {run})'
    if not name:
        words = f"{agent.title} reads {reads}, and this shell sets neither"
        if len(names) == 1:
            words = f"{agent.title} reads {reads}, which this shell does not set"
        if needed:
            return problem("trust", f"{words}, though HTTPS_PROXY leads to a proxy of ours", sets)
        return ok("trust", f"{words}: `run` does")
    path = Path(environ[name])
    found = certificates_of(path)
    if not found:
        words = f"{agent.title}: {name} names {path}, which holds no certificate that can be read"
        return problem("trust", words, f"unset {name}, or name a PEM file")
    if ours and ours[0] in found:
        return ok("trust", f"{agent.title} trusts our authority through {name}")
    words = f"{agent.title}: {name} names {path}, which does not hold our authority"
    return problem("trust", words, sets) if needed else note("trust", f"{words}; `run` makes a bundle of both")


def _leads_to_us(around: Surroundings) -> bool:
    try:
        proxy = egress_from_env(around.environ).proxies.get("https")
    except SettingsError:
        return False
    # A company's proxy may have the same port.
    if proxy is None or not is_loopback(proxy.host):
        return False
    return any(proxy.port in ports(one) for one in around.running)


def program_of(agent: LaunchAgent, environ: Mapping[str, str]) -> str:
    """Where on PATH it is; "" when it is not."""
    found = (shutil.which(name, path=environ.get("PATH", "")) for name in agent.programs)
    return next((path for path in found if path), "")
