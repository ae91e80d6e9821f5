"""The calls of OAuth 2: what is sent is put together by Authlib, and goes out by our own rules for calls outside.

RFC 6749 (codes, refreshing), 7636 (PKCE), 7009 (revocation), 8414 (metadata), 8628 (devices). Every function raises
OAuthFailed, whose words never hold an answer, a token or a code.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from pydantic import SecretStr

from codemie_core.accounts.limits import read_limits
from codemie_core.egress import OutboundProxy
from codemie_core.errors import SettingsError
from codemie_core.oauth.errors import OAuthFailed, error_code
from codemie_core.oauth.providers import OAuthProvider, is_safe_url
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from codemie_core.web import client_for

TIMEOUT = 20.0
"""Seconds for one call in all."""
LONGEST = 64 * 1024
"""Bytes of an answer that are read."""
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5.0
"""Seconds between two polls where the service names none (RFC 8628, 3.2)."""


@dataclass(frozen=True, slots=True)
class Way:
    """How calls go out: through `proxy`, else as the environment says."""

    places: Places
    environ: Mapping[str, str]
    ca_file: str = ""
    proxy: OutboundProxy | None = None

    def client(self, url: str) -> httpx.AsyncClient:
        """For one call to `url`. SettingsError when it cannot go out as it should."""
        return client_for(url, self.places, self.environ, self.ca_file, timeout=TIMEOUT, proxy=self.proxy)

    def client_secret(self, provider: OAuthProvider) -> str:
        """ "" for a public client. SettingsError when its variable is not set."""
        name = provider.client_secret_variable
        if name and not self.environ.get(name):
            raise SettingsError(f"{name} is not set; {provider.name} needs it for its client secret")
        return self.environ[name] if name else ""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A sign-in that a person ends on another device."""

    device_code: SecretStr
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    """"" when the service has none."""
    expires_in: float
    interval: float
    """Seconds, both."""


def new_secret() -> str:
    """Random text for a `state` or a PKCE verifier: 64 letters and digits, more than 256 bits."""
    return str(_authlib("authlib.common.security").generate_token(64))


def authorize_url(provider: OAuthProvider, redirect_uri: str, state: str, verifier: str) -> str:
    """Where the browser has to go."""
    url = _endpoint(provider, "authorize_url")
    asked = {
        **provider.authorize_parameters,
        "code_challenge": _authlib("authlib.oauth2.rfc7636").create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    parameters = _authlib("authlib.oauth2.rfc6749.parameters")
    scope = " ".join(provider.scopes) or None
    return str(
        parameters.prepare_grant_uri(
            url, provider.client_id, "code", redirect_uri=redirect_uri, scope=scope, state=state, **asked
        )
    )


async def exchange_code(
    provider: OAuthProvider, way: Way, code: str, verifier: str, redirect_uri: str, state: str, now: float
) -> Tokens:
    """The tokens for a code that the browser brought back."""
    fields = {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    if provider.token_request == "json":
        fields["state"] = state
    return Tokens.from_response(await _token(provider, way, "authorization_code", fields), provider.name, now)


async def refreshed(provider: OAuthProvider, way: Way, tokens: Tokens, now: float) -> Tokens:
    """New tokens for the refresh token of `tokens`, which may be used up by it."""
    if tokens.refresh is None:
        raise OAuthFailed("the sign-in came without a refresh token", "invalid_grant")
    fields = {"refresh_token": tokens.refresh.get_secret_value()}
    return Tokens.from_response(await _token(provider, way, "refresh_token", fields), provider.name, now, tokens)


async def ask_device(provider: OAuthProvider, way: Way) -> DeviceCode:
    """Begin a sign-in on another device."""
    fields = {"client_id": provider.client_id, **({"scope": " ".join(provider.scopes)} if provider.scopes else {})}
    answer = await _post(provider, way, _endpoint(provider, "device_url"), fields)
    try:
        uri = answer.get("verification_uri") or answer["verification_url"]
        complete = answer.get("verification_uri_complete") or ""
        if not is_safe_url(str(uri)) or (complete and not is_safe_url(str(complete))):
            raise ValueError
        return DeviceCode(
            SecretStr(str(answer["device_code"])),
            str(answer["user_code"]),
            str(uri),
            str(complete),
            float(answer.get("expires_in") or 900),
            float(answer.get("interval") or INTERVAL),
        )
    except (KeyError, TypeError, ValueError):
        raise OAuthFailed(f"{_host(provider.device_url)} answered without a usable device code") from None


async def poll_device(provider: OAuthProvider, way: Way, device: DeviceCode, now: float) -> Tokens:
    """The tokens once the person has agreed.

    Until then OAuthFailed with the code authorization_pending or slow_down; access_denied and expired_token end it.
    """
    fields = {"device_code": device.device_code.get_secret_value()}
    return Tokens.from_response(await _token(provider, way, DEVICE_GRANT, fields), provider.name, now)


async def revoke(provider: OAuthProvider, way: Way, tokens: Tokens) -> None:
    """Have the provider forget the sign-in; its refresh token stands for all of it, where there is one."""
    url = _endpoint(provider, "revoke_url")
    token, hint = (tokens.refresh, "refresh_token") if tokens.refresh else (tokens.access, "access_token")
    body, _ = _authlib("authlib.oauth2.rfc7009").prepare_revoke_token_request(token.get_secret_value(), hint)
    await _post(provider, way, url, dict(parse_qsl(body)), signed=True, form=True, answers=False)


async def discovered(provider: OAuthProvider, way: Way) -> OAuthProvider:
    """The provider with the URLs that were empty, from its issuer's RFC 8414 metadata; unchanged without an issuer."""
    if not provider.issuer or (provider.authorize_url and provider.token_url and provider.device_url):
        return provider
    found = await _metadata(provider, way)
    names = {
        "authorize_url": "authorization_endpoint",
        "token_url": "token_endpoint",
        "device_url": "device_authorization_endpoint",
        "revoke_url": "revocation_endpoint",
    }
    update: dict[str, str] = {}
    for key, name in names.items():
        url = found.get(name)
        if not getattr(provider, key) and isinstance(url, str):
            if not is_safe_url(url):
                raise OAuthFailed(f"{_host(provider.issuer)} names a {name} that is no https URL")
            update[key] = url
    return provider.model_copy(update=update)


async def _metadata(provider: OAuthProvider, way: Way) -> Mapping[str, Any]:
    parts = urlsplit(provider.issuer)
    path = parts.path.rstrip("/")
    url = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}"
    status, found, _ = await _call(way, "GET", url, {}, b"")
    if status != 200 or str(found.get("issuer")).rstrip("/") != provider.issuer.rstrip("/"):
        raise OAuthFailed(f"{_host(url)} has no metadata for this issuer: write the URLs of {provider.name} out")
    return found


async def _token(provider: OAuthProvider, way: Way, grant: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
    prepare = _authlib("authlib.oauth2.rfc6749.parameters").prepare_token_request
    body = dict(parse_qsl(prepare(grant, **fields)))
    return await _post(provider, way, _endpoint(provider, "token_url"), body, signed=True)


async def _post(
    provider: OAuthProvider,
    way: Way,
    url: str,
    fields: Mapping[str, str],
    signed: bool = False,
    form: bool = False,
    answers: bool = True,
) -> Mapping[str, Any]:
    """`signed`: with the client's own name and secret. `answers`: with a JSON object, if all is well."""
    headers = {"accept": "application/json"}
    body = urlencode(fields)
    if signed:
        secret = way.client_secret(provider)
        method = "client_secret_basic" if secret else "none"
        auth = _authlib("authlib.oauth2.auth").ClientAuth(provider.client_id, secret or None, method)
        url, headers, body = auth.prepare("POST", url, headers, body)
    if provider.token_request == "json" and not form:
        headers["content-type"], body = "application/json", json.dumps(dict(parse_qsl(body)))
    else:
        headers["content-type"] = "application/x-www-form-urlencoded"
    status, answer, after = await _call(way, "POST", url, headers, body.encode())
    code = error_code(answer)
    if status >= 400 or "error" in answer:
        said = f" ({code})" if code else ""
        raise OAuthFailed(f"{_host(url)} answered {status}{said}", code, after)
    if status >= 300 or (answers and not answer):
        raise OAuthFailed(f"{_host(url)} answered {status} without a JSON object: is the URL right?")
    return answer


async def _call(
    way: Way, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, Any], float | None]:
    """Status, the JSON object of the answer ({} for anything else) and the seconds of its Retry-After."""
    # Reading the authorities takes a while.
    outside = await asyncio.to_thread(way.client, url)
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            outside as client,
            client.stream(method, url, headers=dict(headers), content=body) as response,
        ):
            raw = b""
            async for part in response.aiter_bytes():
                raw += part
                if len(raw) > LONGEST:
                    raise OAuthFailed(f"{_host(url)} answered with more than {LONGEST // 1024} KiB")
    except (TimeoutError, httpx.TimeoutException):
        raise OAuthFailed(f"{_host(url)} did not answer within {TIMEOUT:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        # Without its text: httpx puts URLs into it, and a proxy's may hold a password.
        raise OAuthFailed(f"{_host(url)} could not be reached ({type(problem).__name__})") from None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    after = read_limits(response.headers.raw, time.time()).retry_after
    return response.status_code, found if isinstance(found, dict) else {}, after


def _endpoint(provider: OAuthProvider, key: str) -> str:
    url = str(getattr(provider, key))
    if not url:
        raise OAuthFailed(f"{provider.name} has no {key}: write it into providers.yaml")
    return url


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the sign-in service"


def _authlib(name: str) -> Any:
    """Imported late: most proxies have no sign-ins."""
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise SettingsError(f"sign-ins need the library {missing.name}: pip install 'codemie-proxy[oauth]'") from None
