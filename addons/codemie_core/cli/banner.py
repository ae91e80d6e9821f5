"""What `start` prints once it serves: where it is and how to send an agent there."""

from __future__ import annotations

from pathlib import Path

from mitmproxy.master import Master
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from codemie_core import __version__

_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}


def text(master: Master, loop: str) -> str:
    """The lines, for a master that runs."""
    addresses = master.addons.get("proxyserver").listen_addrs()
    url = f"http://{_host(addresses[0][0])}:{addresses[0][1]}" if addresses else "(not listening)"
    modes = [ProxyMode.parse(spec) for spec in master.options.mode]
    reverse = all(isinstance(mode, ReverseMode) for mode in modes)
    lines = [
        "",
        f"  codemie-proxy {__version__}  {url}  ->  {', '.join(_target(master, mode) for mode in modes)}",
        "",
        *(_by_base_url(url) if reverse else _by_proxy(url, Path(master.options.confdir).expanduser())),
        "",
        f"  health   curl {url}/health",
        f"  loop     {loop}",
        "  stop     Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _host(address: str) -> str:
    return _ANYWHERE.get(address) or (f"[{address}]" if ":" in address else address)


def _target(master: Master, mode: ProxyMode) -> str:
    if not isinstance(mode, ReverseMode):
        return f"any host ({mode.type_name})"
    host, port = mode.address
    origin = f"{mode.scheme}://{host}" + ("" if (mode.scheme, port) in (("https", 443), ("http", 80)) else f":{port}")
    return origin + str(getattr(master.options, "codemie_upstream_attempts_target_path", ""))


def _by_base_url(url: str) -> list[str]:
    return [
        "  Claude Code and the Anthropic SDK",
        f"    export ANTHROPIC_BASE_URL={url}",
        "  OpenAI SDK",
        f"    export OPENAI_BASE_URL={url}/v1",
        "  Codex",
        "    codex -c model_provider=codemie -c model_providers.codemie.name=codemie \\",
        f"          -c model_providers.codemie.base_url={url}/v1 -c model_providers.codemie.wire_api=responses \\",
        "          -c model_providers.codemie.env_key=OPENAI_API_KEY",
        "  Gemini CLI",
        f"    export GOOGLE_GEMINI_BASE_URL={url}",
    ]


def _by_proxy(url: str, confdir: Path) -> list[str]:
    certificate = confdir / "mitmproxy-ca-cert.pem"
    return [
        "  Any agent or SDK",
        f"    export HTTPS_PROXY={url}",
        f"    export NODE_EXTRA_CA_CERTS={certificate} SSL_CERT_FILE={certificate}",
    ]
