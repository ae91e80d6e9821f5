"""All checks, in the order of the report."""

from __future__ import annotations

from codemie_core.doctor import (
    agents,
    certificates,
    codemie,
    home,
    installation,
    network,
    proxies,
    storage,
    upstream,
)
from codemie_core.doctor.examine import Check

CHECKS = (
    Check("python", "Installation", installation.python),
    Check("mitmproxy", "Installation", installation.mitmproxy, seconds=30),
    Check("extras", "Installation", installation.extras),
    Check("mitmproxy_settings", "Installation", installation.mitmproxy_settings),
    Check("home", "Home", home.ownership),
    Check("permissions", "Home", home.permissions),
    Check("files", "Home", home.files),
    Check("disk", "Home", home.disk),
    Check("settings", "CodeMie", codemie.settings, seconds=30),
    Check("profile", "CodeMie", codemie.profile),
    Check("sign_in", "CodeMie", codemie.sign_in),
    Check("database", "Accounts", storage.database),
    Check("vault", "Accounts", storage.vault),
    Check("accounts", "Accounts", storage.accounts),
    Check("register", "Proxies", proxies.register),
    Check("daemon", "Proxies", proxies.daemon),
    Check("port", "Proxies", proxies.port),
    Check("admin_port", "Proxies", proxies.admin_port),
    Check("outbound_proxy", "Network", network.outbound),
    Check("base_urls", "Network", network.base_urls),
    Check("upstream", "Network", upstream.reach, seconds=20, far=True),
    Check("authority", "Certificates", certificates.authority),
    Check("trust", "Certificates", certificates.trust),
    Check("agents", "Agents", agents.installed),
    Check("overriding", "Agents", agents.overriding),
)
