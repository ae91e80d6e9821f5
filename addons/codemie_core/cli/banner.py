"""What `start` prints once it serves: where it is and how to send an agent there."""

from __future__ import annotations

import os
from pathlib import Path

from mitmproxy.master import Master
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from codemie_core import __version__
from codemie_core.cli.plan import RULES
from codemie_core.errors import Api, api_of
from codemie_core.interception import trust
from codemie_core.interception.authority import CERTIFICATE_FILE
from codemie_core.places import Places
from codemie_core.target import parse_target

_ASK_INSTEAD = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def text(master: Master, loop: str) -> str:
    """The lines, for a master that runs."""
    addresses = master.addons.get("proxyserver").listen_addrs()
    url = url_of(*addresses[0][:2]) if addresses else "(not listening)"
    modes = [ProxyMode.parse(spec) for spec in master.options.mode]
    reverse = [mode for mode in modes if isinstance(mode, ReverseMode)]
    path = str(getattr(master.options, "codemie_upstream_attempts_target_path", ""))
    core = master.addons.get("codemie_core")
    base_url = core.layers.profile.base_url if core else ""
    targets = [
        target_of(mode, path, base_url) if isinstance(mode, ReverseMode) else f"any host ({mode.type_name})"
        for mode in modes
    ]
    if len(reverse) == len(modes):
        apis = {api_of("", host=mode.address[0]) for mode in reverse}
        ways = by_base_url(url, apis)
    else:
        ways = by_proxy(url, Path(master.options.confdir).expanduser())
    lines = [
        "",
        f"  codemie-proxy {__version__}  {url}  ->  {', '.join(targets)}",
        "",
        *ways,
        "",
        *(f"  sent on  {rule.replace('=', '  ->  ', 1)}" for rule in rules_of(master)),
        *(["  watch    codemie-proxy open"] if core and core.admin_port else []),
        f"  health   curl {url}/health",
        f"  loop     {loop}",
        "  stop     Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def rules_of(master: Master) -> tuple[str, ...]:
    """The rules by which model calls go elsewhere."""
    return tuple(getattr(master.options, RULES, ()))


def url_of(host: str, port: int) -> str:
    """Where a client on this machine finds a proxy that listens there."""
    host = _ASK_INSTEAD.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def target_of(mode: ReverseMode, path: str, profile_url: str) -> str:
    """Where requests go, with the path that is put before theirs."""
    host, port = mode.address[:2]
    if not path and profile_url:
        base = parse_target(profile_url, "CodeMie profile: baseUrl")
        path = base.path if (base.host, base.port) == (host, port) else ""
    usual = (mode.scheme, port) in (("https", 443), ("http", 80))
    return f"{mode.scheme}://{host}{'' if usual else f':{port}'}{path}"


def by_base_url(url: str, apis: set[Api]) -> list[str]:
    """For agents that have a setting for it; of an unknown gateway any of them may be meant."""
    lines = []
    every = Api.CODEMIE in apis
    if every or Api.ANTHROPIC in apis:
        lines += ["  Claude Code, Anthropic SDK", f"    export ANTHROPIC_BASE_URL={url}"]
    if every or Api.OPENAI in apis:
        provider = "-c model_providers.codemie"
        lines += [
            "  OpenAI SDK",
            f"    export OPENAI_BASE_URL={url}/v1",
            "  Codex",
            f"    codex -c model_provider=codemie {provider}.name=codemie {provider}.base_url={url}/v1 \\",
            f"      {provider}.wire_api=responses {provider}.env_key=OPENAI_API_KEY",
        ]
    if every or Api.GEMINI in apis:
        lines += ["  Gemini CLI", f"    export GOOGLE_GEMINI_BASE_URL={url}"]
    return lines


def by_proxy(url: str, confdir: Path) -> list[str]:
    """For agents that only know HTTPS_PROXY: they must trust the proxy's certificate too."""
    places = Places.from_env(os.environ)
    bundle = trust.bundle_path(places, os.environ)
    own = confdir == trust.confdir(places) and bundle.exists()
    trusted = bundle if own else confdir / CERTIFICATE_FILE
    return [
        "  Any agent or SDK",
        f"    export HTTPS_PROXY={url}",
        f"    export NODE_EXTRA_CA_CERTS={trusted} SSL_CERT_FILE={trusted}",
        *(["  All that one agent reads", '    eval "$(codemie-proxy env claude --via https-proxy)"'] if own else []),
    ]
