"""Settings, profile and sign-in: what a start would read, and whether it could use it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codemie_core.doctor.finding import Finding, note, ok, problem, warning
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.errors import SettingsError

if TYPE_CHECKING:
    from codemie_core.profile import Profile

SOON = 15 * 60
"""Seconds before its end at which a session is told about."""
SIGN_IN = "codemie-proxy auth login"


def settings(around: Surroundings) -> Iterator[Finding]:
    """codemie.yaml, the environment and what the admin API changed."""
    # They are the addons' own, so the addons are loaded.
    from codemie_core.cli.declared import Declarations

    told = dict.fromkeys(Declarations.of_bundle().problems(around.layers))
    # That of the profile is told by its own check.
    trouble = _profile(around)[1]
    found = [line for line in told if not (trouble and line.endswith(trouble))]
    for line in found:
        yield problem("settings", line, "mend it; codemie-proxy config validate looks again")
    if not found:
        there = Path(around.layers.file_name).is_file()
        yield ok("settings", f"{around.layers.file_name} {'is fine' if there else 'does not exist: defaults'}")


def profile(around: Surroundings) -> Iterator[Finding]:
    """The profile of CodeMie's own tools."""
    found, trouble = _profile(around)
    if found is None:
        yield problem("profile", trouble, "mend the profile, or choose another: export CODEMIE_PROFILE=NAME")
        return
    where = found.base_url or found.codemie_url
    if not (found.provider or where):
        yield note("profile", "no CodeMie profile: give `start` a TARGET, or make one with CodeMie's command line")
        return
    yield ok("profile", f"profile {found.name!r}: provider {found.provider or 'not given'}, {where or 'no URL'}")
    if found.url_from_project:
        yield warning(
            "profile",
            f"{found.project_file} says where requests go, and a folder's file may come from anyone",
            "if it may, give the same URL in your own profile or in CODEMIE_BASE_URL",
        )


def _gateway(target: str, rules: Sequence[str], around: Surroundings) -> str:
    """CodeMie's gateway, when a start with this target or these rules would sign in to one."""
    from codemie_core.cli.plan import make

    if not (target or rules):
        return ""
    try:
        return make(target or None, bool(rules), (), around.environ, rules=rules).sign_in_url
    except SettingsError:
        return ""  # Told where targets are looked at.


def _profile(around: Surroundings) -> tuple[Profile | None, str]:
    """The profile of a start, or why there is none."""
    from codemie_core.profile import load_profile

    name = around.environ.get("CODEMIE_PROFILE") or around.layers.file.get("profile")
    try:
        named = name if isinstance(name, str) else None
        return load_profile(around.places, around.environ, named, around.folder), ""
    except SettingsError as trouble:
        return None, str(trouble)


def sign_in(around: Surroundings) -> Iterator[Finding]:
    """Is there a session for the gateway, and how long?"""
    from codemie_core.sso.sources import gateway_session
    from codemie_core.sso.store import CredentialStore

    known = around.layers.profile
    configured = around.setting("sso_auth", "url") or known.gateway_url
    url = _gateway(around.target, (), around) or configured
    if not url and around.daemon is not None:
        order = around.daemon.order
        url = _gateway(order.target, order.retarget, around)
    login = SIGN_IN if url == configured else shlex.join([*SIGN_IN.split(), "--url", url])
    if not url:
        yield ok("sign_in", "no CodeMie gateway is configured, so nobody has to sign in")
        return
    store = CredentialStore(around.places)
    try:
        session = gateway_session(known, url, around.environ, store)
    except SettingsError as trouble:
        yield problem("sign_in", str(trouble), "give it another token, or sign in in the browser: " + login)
        return
    for line in store.problems:
        yield warning("sign_in", line, login)
    if session is None:
        yield problem("sign_in", f"nobody is signed in to {url}", login)
        return
    again = login if session.kind == "sso" else "get a new token, and start the proxy anew with it"
    now = around.now()
    if session.expired(now):
        yield problem("sign_in", f"the session for {url} has expired ({session.source})", again)
    elif session.expires_at is not None and session.expires_at - now < SOON:
        yield warning("sign_in", f"the session for {url} ends in {(session.expires_at - now) / 60:.0f} min", again)
    else:
        until = "" if session.expires_at is None else f" for another {(session.expires_at - now) / 3600:.1f} h"
        yield ok("sign_in", f"signed in to {url}{until} ({session.source})")
