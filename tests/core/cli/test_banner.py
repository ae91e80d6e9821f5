import os
from pathlib import Path

import pytest
from mitmproxy.proxy.mode_specs import ReverseMode

from codemie_core.cli import banner
from codemie_core.errors import Api
from codemie_core.interception import trust
from codemie_core.places import Places

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "host, expected",
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("::1", "http://[::1]:1"),
        ("", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
    ],
)
def test_url_is_one_that_a_client_on_this_machine_can_use(host: str, expected: str) -> None:
    assert banner.url_of(host, 1) == expected


@pytest.mark.parametrize(
    "spec, path, base_url, expected",
    [
        ("https://api.anthropic.com:443", "", "", "https://api.anthropic.com"),
        ("http://127.0.0.1:99", "", "", "http://127.0.0.1:99"),
        ("https://a.example", "/p", "https://a.example/q", "https://a.example/p"),
        ("https://a.example", "", "https://a.example/q", "https://a.example/q"),
        ("https://a.example", "", "https://b.example/q", "https://a.example"),
    ],
)
def test_target_is_shown_with_the_path_put_before_requests(spec: str, path: str, base_url: str, expected: str) -> None:
    mode = ReverseMode.parse(f"reverse:{spec}")
    assert isinstance(mode, ReverseMode)
    assert banner.target_of(mode, path, base_url) == expected


ANTHROPIC = f"export ANTHROPIC_BASE_URL={URL}"
OPENAI = f"export OPENAI_BASE_URL={URL}/v1"
CODEX = f"model_providers.codemie.base_url={URL}/v1"
GEMINI = f"export GOOGLE_GEMINI_BASE_URL={URL}"


@pytest.mark.parametrize(
    "api, shown, not_shown",
    [
        (Api.ANTHROPIC, [ANTHROPIC], [OPENAI, CODEX, GEMINI]),
        (Api.OPENAI, [OPENAI, CODEX], [ANTHROPIC, GEMINI]),
        (Api.GEMINI, [GEMINI], [ANTHROPIC, OPENAI, CODEX]),
        (Api.CODEMIE, [ANTHROPIC, OPENAI, CODEX, GEMINI], []),
    ],
)
def test_lines_for_agents_are_those_of_the_targets_api(api: Api, shown: list[str], not_shown: list[str]) -> None:
    text = "\n".join(banner.by_base_url(URL, {api}))
    assert all(line in text for line in shown)
    assert not any(line in text for line in not_shown)


def test_regular_mode_names_the_certificate_to_trust() -> None:
    text = "\n".join(banner.by_proxy(URL, Path("/somewhere")))
    assert f"export HTTPS_PROXY={URL}" in text
    assert "NODE_EXTRA_CA_CERTS=/somewhere/mitmproxy-ca-cert.pem" in text
    assert "codemie-proxy env" not in text  # It tells of our own authority.


def test_with_our_own_authority_it_names_the_bundle_with_the_systems_certificates(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in trust.TRUST_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    places = Places(codemie_home)
    made = trust.make_trust(places, os.environ)
    text = "\n".join(banner.by_proxy(URL, trust.confdir(places)))
    assert f"NODE_EXTRA_CA_CERTS={made.bundle} SSL_CERT_FILE={made.bundle}" in text
    assert "codemie-proxy env claude --via https-proxy" in text
