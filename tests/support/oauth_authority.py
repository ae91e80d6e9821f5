"""What an OAuth server decides, by Authlib's own server side: codes with PKCE, rotation, devices, revocation."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant, DeviceCredentialDict

CLIENT_ID = "a-client"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

type Answer = tuple[int, Any, list[tuple[str, str]]]


@dataclass(slots=True)
class SignIn:
    """What a person agreed to, and all tokens that came of it. The last ones are good, until it is over."""

    person: str
    scope: str
    access: list[str] = field(default_factory=list)
    refresh: list[str] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    over: bool = False

    def check_client(self, client: Client) -> bool:
        return client.client_id == CLIENT_ID

    def get_scope(self) -> str:
        return self.scope

    def good(self, token: str) -> bool:
        """Is this access token good now?"""
        return not self.over and self.access[-1] == token and time.time() < self.ends[-1]


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code."""

    code: str
    redirect_uri: str
    scope: str
    person: str
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass(frozen=True, slots=True)
class Client:
    """The one registered client; without a secret a public one."""

    client_id: str = CLIENT_ID
    secret: str = ""

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        parts = urlsplit(redirect_uri)
        return parts.hostname == "127.0.0.1" or parts.path == "/shown"

    def check_client_secret(self, secret: str) -> bool:
        return bool(self.secret) and secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == ("client_secret_basic" if self.secret else "none")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token", DEVICE_GRANT)


class Request(OAuth2Request):  # type: ignore[misc] # authlib has no types
    """As the server's endpoints want it: fields of the query or of the body."""

    def __init__(self, method: str, path: str, fields: dict[str, str], headers: dict[str, str]) -> None:
        # Authlib refuses plain HTTP; on loopback there is nobody between.
        super().__init__(method, f"https://127.0.0.1{path}", headers=headers)
        self.payload = BasicOAuth2Payload(fields)

    @property
    def args(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.uri).query))

    @property
    def form(self) -> dict[str, str]:
        data: dict[str, str] = self.payload.data
        return data


class Authority(AuthorizationServer):  # type: ignore[misc] # authlib has no types
    """All state of the server. Not safe for threads by itself."""

    def __init__(self, secret: str, verification_uri: str, lifetime: float) -> None:
        super().__init__()
        self.client, self.verification_uri = Client(secret=secret), verification_uri
        self.lifetime = lifetime
        self.sign_ins: list[SignIn] = []
        self.codes: dict[str, Code] = {}
        self.devices: dict[str, DeviceCredentialDict] = {}
        self.grants: dict[str, bool] = {}
        self.slow_down = 0
        bearer = BearerTokenGenerator(_maker("access"), _maker("refresh"), lambda client, grant: int(self.lifetime))
        self.register_token_generator("default", bearer)
        self.register_grant(_Code, [_OnlyS256(required=True)])
        self.register_grant(_Refresh)
        self.register_grant(_Device)
        self.register_endpoint(_DeviceBegin)
        self.register_endpoint(_Revoke)

    def query_client(self, client_id: str) -> Client | None:
        return self.client if client_id == self.client.client_id else None

    def save_token(self, token: dict[str, Any], request: Request) -> None:
        sign_in: SignIn = request.refresh_token or SignIn(str(request.user), token.get("scope", ""))
        if sign_in not in self.sign_ins:
            self.sign_ins.append(sign_in)
        sign_in.access.append(token["access_token"])
        sign_in.refresh.append(token["refresh_token"])
        sign_in.ends.append(time.time() + self.lifetime)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def create_oauth2_request(self, request: Request) -> Request:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        return status, body, headers


class _OnlyS256(CodeChallenge):  # type: ignore[misc] # authlib has no types
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        if grant.request.payload.data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("only PKCE with S256")
        super().validate_code_challenge(grant, redirect_uri)


class _Code(AuthorizationCodeGrant):  # type: ignore[misc] # authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "none")

    def save_authorization_code(self, code: str, request: Request) -> None:
        data = request.payload.data
        self.server.codes[code] = Code(
            code,
            data["redirect_uri"],
            data.get("scope", ""),
            request.user,
            data.get("code_challenge"),
            data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found: Code | None = self.server.codes.get(code)
        return found

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del self.server.codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> str:
        return authorization_code.person


class _Refresh(RefreshTokenGrant):  # type: ignore[misc] # authlib has no types
    INCLUDE_NEW_REFRESH_TOKEN = True
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "none")

    def authenticate_refresh_token(self, refresh_token: str) -> SignIn | None:
        for sign_in in self.server.sign_ins:
            if refresh_token in sign_in.refresh and not sign_in.over:
                if sign_in.refresh[-1] == refresh_token:
                    return sign_in  # type: ignore[no-any-return] # authlib has no types, so its server has none
                # Used before: stolen, for all the server knows (RFC 9700, 4.14.2).
                sign_in.over = True
        return None

    def authenticate_user(self, refresh_token: SignIn) -> str:
        return refresh_token.person

    def revoke_old_credential(self, refresh_token: SignIn) -> None:
        pass  # Only the last one of a sign-in is good.


class _Device(DeviceCodeGrant):  # type: ignore[misc] # authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "none")

    def query_device_credential(self, device_code: str) -> DeviceCredentialDict | None:
        return self.server.devices.get(device_code)

    def query_user_grant(self, user_code: str) -> tuple[str, bool] | None:
        granted = self.server.grants.get(user_code)
        return None if granted is None else ("a person", granted)

    def should_slow_down(self, credential: DeviceCredentialDict) -> bool:
        self.server.slow_down -= 1
        return bool(self.server.slow_down >= 0)


class _DeviceBegin(DeviceAuthorizationEndpoint):  # type: ignore[misc] # authlib has no types
    CLIENT_AUTH_METHODS = ("client_secret_basic", "none")
    INTERVAL = 1
    EXPIRES_IN = 600

    def get_verification_uri(self) -> str:
        return str(self.server.verification_uri)

    def save_device_credential(self, client_id: str, scope: str | None, data: dict[str, Any]) -> None:
        end = time.time() + data["expires_in"]
        made = DeviceCredentialDict(client_id=client_id, scope=scope or "", expires_at=end, **data)
        self.server.devices[data["device_code"]] = made


class _Revoke(RevocationEndpoint):  # type: ignore[misc] # authlib has no types
    CLIENT_AUTH_METHODS = ("client_secret_basic", "none")

    def query_token(self, token: str, hint: str | None) -> SignIn | None:
        found = (one for one in self.server.sign_ins if token in one.access or token in one.refresh)
        return next(found, None)

    def revoke_token(self, token: SignIn, request: Request) -> None:
        token.over = True


def _maker(kind: str) -> Any:
    return lambda **_: f"planted-{kind}-{generate_token(24)}"
