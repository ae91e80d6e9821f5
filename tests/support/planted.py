"""Made-up secrets of every kind that passes a model proxy, each in the surroundings it is met in.

`planted(seed, count)` goes through every pair of kind and surroundings in turn, so a few thousand cover them all.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

type Make = Callable[[random.Random], str]
type Surround = Callable[[str, random.Random], str]

ALNUM = string.ascii_letters + string.digits
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"
HEX = "0123456789abcdef"
COOKIE = ALNUM + "!#$%&'()*+-./:<=>?@[]^_`{|}~"
PASSWORD = ALNUM + "!$*+-._~"


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with a secret in it."""

    kind: str
    context: str
    text: str = field(repr=False)
    secret: str = field(repr=False)
    """What no piece of may be left."""

    def survives_in(self, shown: str) -> bool:
        """Whether eight characters of the secret in a row, as they are or encoded, are to be read in it."""
        return any(piece in shown for piece in self.traces())

    def traces(self, length: int = 8) -> set[str]:
        """Every `length` characters in a row of the secret, in each form that it can be written in."""
        forms = [form for secret in self.secret.split("\0") for form in written_forms(secret)]
        return {form[start : start + length] for form in forms for start in range(len(form) - length + 1)}


def written_forms(secret: str) -> set[str]:
    """As it is, percent-encoded, inside a string of JSON, and in base64."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], encoded}


def _some(alphabet: str, length: int) -> Make:
    return lambda rng: "".join(rng.choices(alphabet, k=length))


def _prefixed(prefix: str, alphabet: str, length: int, end: str = "") -> Make:
    # A capital and a digit: among thousands of random ones a few would look like words.
    return lambda rng: f"{prefix}{_mixed(alphabet, length, rng)}{end}"


def _mixed(alphabet: str, length: int, rng: random.Random) -> str:
    characters = rng.choices(alphabet, k=length)
    characters[rng.randrange(length)] = rng.choice([c for c in alphabet if c.isdigit()])
    return "".join(characters)


def _json_base64(value: object, altchars: bytes | None = None) -> str:
    data = json.dumps(value, separators=(",", ":")).encode()
    return base64.b64encode(data, altchars).decode()


def jwt(rng: random.Random) -> str:
    """Three parts as an identity provider makes them; the signature is random."""
    head = _json_base64({"alg": "RS256", "typ": "JWT"}, b"-_").rstrip("=")
    claims = {"sub": _some(ALNUM, 12)(rng), "email": f"{_some(ALNUM, 9)(rng)}@example.com", "exp": 2_000_000_000}
    return f"{head}.{_json_base64(claims, b'-_').rstrip('=')}.{_some(URLSAFE, 86)(rng)}"


def callback_token(rng: random.Random) -> str:
    """What CodeMie's login page hands back: base64 of the cookies as JSON."""
    cookies = {"codemie_access_token": jwt(rng), "_oauth2_proxy": _some(BASE64, 40)(rng)}
    return _json_base64({"cookies": cookies})


def basic(rng: random.Random) -> str:
    """user:password in base64."""
    return base64.b64encode(f"{_some(string.ascii_lowercase, 6)(rng)}:{_some(PASSWORD, 18)(rng)}".encode()).decode()


def pem(rng: random.Random) -> str:
    """A private key over several lines, without its frame: the frame is no secret."""
    return "\n".join(_some(BASE64, 64)(rng) for _ in range(rng.randint(3, 9)))


def password(rng: random.Random) -> str:
    return _mixed(PASSWORD, rng.randint(10, 24), rng)


def _any_password(rng: random.Random) -> str:
    return _mixed(PASSWORD + ",;&)}]<", 24, rng)


# Kinds that are known by how they look, wherever they stand.
SHAPED: dict[str, Make] = {
    "anthropic key": _prefixed("sk-ant-api03-", URLSAFE, 93, "AA"),
    "anthropic oauth": _prefixed("sk-ant-oat01-", URLSAFE, 86),
    "openai project key": _prefixed("sk-proj-", URLSAFE, 120),
    "openai legacy key": _prefixed("sk-", ALNUM, 48),
    "openrouter key": _prefixed("sk-or-v1-", HEX, 64),
    "google api key": _prefixed("AIza", URLSAFE, 35),
    "google access token": _prefixed("ya29.", URLSAFE, 150),
    "google refresh token": _prefixed("1//0", URLSAFE, 60),
    "google client secret": _prefixed("GOCSPX-", URLSAFE, 28),
    "aws access key id": _prefixed("AKIA", string.ascii_uppercase + "234567", 16),
    "aws session key id": _prefixed("ASIA", string.ascii_uppercase + "234567", 16),
    "aws bedrock key": _prefixed("ABSK", BASE64, 128),
    "github token": _prefixed("ghp_", ALNUM, 36),
    "github oauth token": _prefixed("gho_", ALNUM, 36),
    "github fine-grained token": lambda rng: f"github_pat_{_some(ALNUM, 22)(rng)}_{_some(ALNUM, 59)(rng)}",
    "gitlab token": _prefixed("glpat-", URLSAFE, 20),
    "slack bot token": lambda rng: f"xoxb-{rng.randrange(10**11, 10**12)}-{_some(ALNUM, 24)(rng)}",
    "slack app token": lambda rng: f"xapp-1-{_some(ALNUM, 11)(rng)}-{_some(HEX, 64)(rng)}",
    "hugging face token": _prefixed("hf_", ALNUM, 34),
    "groq key": _prefixed("gsk_", ALNUM, 52),
    "xai key": _prefixed("xai-", ALNUM, 80),
    "perplexity key": _prefixed("pplx-", ALNUM, 48),
    "nvidia key": _prefixed("nvapi-", URLSAFE, 64),
    "replicate token": _prefixed("r8_", ALNUM, 37),
    "npm token": _prefixed("npm_", ALNUM, 36),
    "stripe key": _prefixed("sk_live_", ALNUM, 24),
    "webhook secret": _prefixed("whsec_", ALNUM, 32),
    "sendgrid key": lambda rng: f"SG.{_some(URLSAFE, 22)(rng)}.{_some(URLSAFE, 43)(rng)}",
    "telegram bot token": lambda rng: f"{rng.randrange(10**9, 10**10)}:AA{_some(URLSAFE, 33)(rng)}",
    "databricks token": _prefixed("dapi", HEX, 32),
    "vault token": _prefixed("hvs.", URLSAFE, 90),
    "client key of this proxy": lambda rng: f"cmk_{_some(ALNUM, 8)(rng)}_{_some(URLSAFE, 43)(rng)}",
    "jwt": jwt,
    "callback token": callback_token,
}
# Kinds that look like anything else: the name over them gives them away.
OPAQUE: dict[str, tuple[Make, tuple[str, ...]]] = {
    "aws secret access key": (_some(BASE64, 40), ("aws_secret_access_key", "SecretAccessKey")),
    "azure openai key": (_some(HEX, 32), ("api-key", "api_key", "AZURE_OPENAI_API_KEY", "Ocp-Apim-Subscription-Key")),
    "password": (password, ("password", "PASSWORD", "db_passwd", "passphrase", "SMTP_PASS", "smtp-pass", "mysql_pwd")),
    "client secret": (_some(URLSAFE, 40), ("client_secret", "clientSecret")),
    "refresh token": (_some(URLSAFE, 64), ("refresh_token", "refreshToken")),
    "access token": (_some(URLSAFE, 64), ("access_token", "accessToken", "x-auth-token", "csrf_tokens")),
    "session key": (_some(ALNUM, 32), ("session_key", "sessionKey", "x-session-key")),
    "provider key": (_some(URLSAFE, 40), ("x-api-key", "X-API-KEY", "x-goog-api-key", "ANTHROPIC_API_KEY", "apiKey")),
    "azure storage key": (_some(BASE64, 86), ("AccountKey", "SharedAccessKey")),
    "signature": (_some(HEX, 64), ("X-Amz-Signature", "signature")),
    "verifier": (_some(URLSAFE, 43), ("code_verifier", "device_code")),
    "credential": (_some(ALNUM, 40), ("x-credential", "credentials", "SAMLResponse")),
    "other key": (_some(ALNUM, 40), ("signing_key", "encryption_key", "master-key", "x-functions-key", "private_key")),
    "npm auth": (_some(BASE64, 40), ("_auth", "_authToken")),
}


def _log(value: str, rng: random.Random) -> str:
    return f"2026-03-0{rng.randint(1, 9)} 10:00:00 WARNING upstream said no to {value}"


def _twice(value: str, rng: random.Random) -> str:
    return f"tried {value}, then {value} again"


def _escaped(value: str, rng: random.Random) -> str:
    return json.dumps({"input": json.dumps({"text": f'he said "{value}"', "n": 1})})


SHAPED_CONTEXTS: dict[str, Surround] = {
    "in prose": lambda v, _: f"The request with {v} was refused.",
    "at the end of a line": _log,
    "alone on a line": lambda v, _: f"first\n{v}\nlast",
    "twice": _twice,
    "in quotes": lambda v, _: f"invalid value '{v}' (try again)",
    "in backticks": lambda v, _: f"use `{v}`.",
    "after a colon": lambda v, _: f"got:{v}",
    "after the word token": lambda v, _: f"Authorization with token {v} failed",
    "in a JSON list": lambda v, _: json.dumps({"stop": ["x", v], "n": 1}),
    "in JSON within JSON": _escaped,
    "in JSON with escaped slashes": lambda v, _: json.dumps({"text": v}).replace("/", "\\/"),
    "after an escaped line end": lambda v, _: json.dumps({"content": f"my key is\n{v}\nkeep it"}),
    "in a repr of bytes": lambda v, _: repr(f"hello\r\n{v}\r\n".encode()),
    "after an escaped byte": lambda v, _: repr(f"\x00{v}\x00".encode()),
    "in an exception": lambda v, _: repr(ValueError(f"bad header value: {v!r}")),
    "in a path": lambda v, _: f"GET https://example.com/hook/{quote(v, safe=':')}/send HTTP/1.1",
    "percent-encoded": lambda v, _: f"/search?q=%22{quote(v, safe='')}%22&lang=en",
    "under a harmless header": lambda v, _: f"x-note: {v}\r\naccept: */*",
    "in HTML": lambda v, _: f"<p>Your key <b>{v}</b> has expired</p>",
    "in terminal colors": lambda v, _: f"\x1b[31m{v}\x1b[0m",
    "in a server-sent event": lambda v, _: f'event: delta\ndata: {{"delta":{{"text":"{v}"}}}}\n\n',
}


def _header(value: str, name: str, rng: random.Random) -> str:
    return f"host: example.com\r\n{name}: {value}\r\naccept: */*\r\n\r\n"


type Named = Callable[[str, str, random.Random], str]
NAMED_CONTEXTS: dict[str, Named] = {
    "header": _header,
    "header in capitals": lambda v, n, rng: _header(v, n.upper(), rng),
    "header without a space": lambda v, n, _: f"{n}:{v}\naccept:*/*",
    "JSON field": lambda v, n, _: json.dumps({"a": 1, n: v, "model": "m"}),
    "compact JSON field": lambda v, n, _: json.dumps({"a": 1, n: v, "model": "m"}, separators=(",", ":")),
    "field of JSON within JSON": lambda v, n, _: json.dumps({"body": json.dumps({n: v, "model": "m"}), "n": 1}),
    "field of JSON twice within JSON": lambda v, n, _: json.dumps([json.dumps({"b": json.dumps({n: v, "x": "y"})})]),
    "JSON cut off": lambda v, n, _: json.dumps({"a": 1, n: v})[:-2],
    "list of JSON": lambda v, n, _: json.dumps({n: ["first", v], "n": 1}),
    "object of JSON": lambda v, n, _: json.dumps({n: {"type": "x", "value": v}, "n": 1}),
    "environment file": lambda v, n, _: f"DEBUG=1\nexport {n.upper().replace('-', '_')}={v}\nHOST=h\n",
    "quoted environment": lambda v, n, _: f"{n.upper().replace('-', '_')}='{v}' run",
    "YAML": lambda v, n, _: f"settings:\n  {n}: {v}\n  debug: true\n",
    "quoted YAML": lambda v, n, _: f'settings:\n  {n}: "{v}"\n',
    "TOML": lambda v, n, _: f'{n} = "{v}"\n',
    "Python dict": lambda v, n, _: repr({"a": 1, n: v, "b": [1]}),
    "Python call": lambda v, n, _: f"Client({n.replace('-', '_')}={v!r}, timeout=5)",
    "Python triple quotes": lambda v, n, _: f'{n.replace("-", "_")} = """{v}"""',
    "repr of headers": lambda v, n, _: repr([(n.encode(), v.encode()), (b"accept", b"*/*")]),
    "list of raw headers": lambda v, n, _: json.dumps(["Host", "h", n, v, "Accept", "*/*"]),
    "JavaScript": lambda v, n, _: f"const c = {{ '{n}': '{v}', model: 'm' }};",
    "Ruby": lambda v, n, _: f'{{"{n}"=>"{v}", "a"=>1}}',
    "query": lambda v, n, _: f"GET /p?a=1&{n}={quote(v, safe='')}&b=2 HTTP/1.1",
    "query in JSON of Go": lambda v, n, _: f'{{"error":"Get \\"http://h/p?a=1\\u0026{n}={quote(v, safe="")}\\": EOF"}}',
    "query in HTML": lambda v, n, _: f'<a href="/p?a=1&amp;{n}={quote(v, safe="")}">x</a>',
    "query in a query": lambda v, n, _: "/login?to=" + quote(f"https://h/cb?a=1&{n}={quote(v, safe='')}", safe=""),
    "JSON in a query": lambda v, n, _: "GET /p?data=" + quote(json.dumps({n: v}), safe="") + "&b=2 HTTP/1.1",
    "form body": lambda v, n, _: f"{n}={quote_plus(v)}&grant_type=x",
    "end of a form body": lambda v, n, _: f"grant_type=x&{n}={quote_plus(v)}",
    "multipart body": lambda v, n, _: f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n--b--',
    "XML": lambda v, n, _: f"<r><{n}>{v}</{n}><a>1</a></r>",
    "command line": lambda v, n, _: f"tool --{n} {v} --verbose",
    "list of arguments": lambda v, n, _: repr(["tool", f"--{n}", v, "-x"]),
    "exception": lambda v, n, _: repr(KeyError(f"no such {n}: {v}")),
    "in prose": lambda v, n, _: f"Request refused, {n} = {v} is wrong",
}


def _cookies(rng: random.Random, count: int) -> list[tuple[str, str]]:
    names = ["_oauth2_proxy", "codemie_access_token", "AWSALB", "sid", "connect.sid", "__Host-s"]
    return [(name, _mixed(COOKIE.replace("%", ""), rng.randint(16, 48), rng)) for name in rng.sample(names, count)]


type Whole = Callable[[random.Random], tuple[str, str]]


def _cookie(count: int, shown: Callable[[list[tuple[str, str]]], str]) -> Whole:
    def make(rng: random.Random) -> tuple[str, str]:
        pairs = _cookies(rng, count)
        return shown(pairs), "\0".join(value for _, value in pairs)

    return make


def _joined(pairs: list[tuple[str, str]], between: str = "; ") -> str:
    return between.join(f"{name}={value}" for name, value in pairs)


def _with(make: Make, template: str) -> Whole:
    def whole(rng: random.Random) -> tuple[str, str]:
        value = make(rng)
        return template.replace("§", value), value

    return whole


def _user_info_in(template: str, encoded: bool = False) -> Whole:
    def whole(rng: random.Random) -> tuple[str, str]:
        user, secret = rng.choice(("user", "svc-proxy", "me%40example.com")), password(rng)
        if encoded:
            return template + quote(f"https://{user}:{secret}@h/p", safe=""), secret
        return template.replace("§", f"{user}:{secret}"), secret

    return whole


def _digest(rng: random.Random) -> tuple[str, str]:
    response = _some(HEX, 32)(rng)
    fields = f'username="u", realm="r", nonce="n", uri="/p", response="{response}", opaque="o"'
    return f"GET /p HTTP/1.1\r\nAuthorization: Digest {fields}\r\nAccept: */*", response


def _pem(template: str, escaped: bool = False) -> Whole:
    def whole(rng: random.Random) -> tuple[str, str]:
        kind = rng.choice(("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "))
        body = pem(rng)
        block = template.replace("§", body).replace("KIND ", kind)
        return (json.dumps({"text": block, "n": 1}) if escaped else block), body.replace("\n", "\0")

    return whole


_PEM = "-----BEGIN KIND PRIVATE KEY-----\n§\n-----END KIND PRIVATE KEY-----"
_PARAMETERS = (
    *("ticket", "assertion", "otp", "pass", "pwd"),
    *("key", "code", "state", "sig", "auth", "api_key", "access_token", "X-Amz-Signature", "id_token"),
)


def _parameter(template: str) -> Whole:
    def whole(rng: random.Random) -> tuple[str, str]:
        value = _some(URLSAFE, 32)(rng)
        return template.replace("¤", rng.choice(_PARAMETERS)).replace("§", value), value

    return whole


# Kinds whose surroundings are part of them.
WHOLE: dict[str, dict[str, Whole]] = {
    "cookie": {
        "one": _cookie(1, lambda c: f"cookie: {_joined(c)}\r\naccept: */*"),
        "many": _cookie(4, lambda c: f"GET / HTTP/1.1\r\nCookie: {_joined(c)}\r\nHost: h"),
        "without a space": _cookie(2, lambda c: f"COOKIE:{_joined(c, ';')}\nx:y"),
        "folded": _cookie(3, lambda c: f"Cookie: {_joined(c, ';' + chr(13) + chr(10) + chr(9))}\r\nHost: h"),
        "in a dict": _cookie(2, lambda c: repr({"cookie": _joined(c), "accept": "*/*"})),
        "in JSON": _cookie(3, lambda c: json.dumps({"headers": {"Cookie": _joined(c), "Host": "h"}})),
        "as an object": _cookie(3, lambda c: json.dumps({"apiUrl": "https://h", "cookies": dict(c), "n": 1})),
        "as a mapping's repr": _cookie(2, lambda c: f"Session(cookies={dict(c)!r}, url='h')"),
        "dump in JSON": _cookie(2, lambda c: json.dumps({"log": f"GET /\r\nCookie: {_joined(c)}\r\nHost: h", "n": 1})),
        "for curl": _cookie(2, lambda c: f"curl -H 'Cookie: {_joined(c).replace(chr(39), 'x')}' https://h"),
    },
    "set-cookie": {
        "with attributes": _cookie(1, lambda c: f"Set-Cookie: {_joined(c)}; Path=/; HttpOnly; Secure\r\nDate: now"),
        "list": _cookie(2, lambda c: json.dumps({"set-cookie": [f"{n}={v}; Path=/; Secure" for n, v in c], "n": 1})),
        "repr": _cookie(1, lambda c: repr([(b"set-cookie", f"{_joined(c)}; Path=/".encode()), (b"a", b"b")])),
    },
    "bearer": {
        "header": _with(_some(URLSAFE, 40), "authorization: Bearer §\r\naccept: */*"),
        "in prose": _with(_prefixed("", URLSAFE, 40), "sent Bearer § to it"),
        "in lower case": _with(_prefixed("", URLSAFE, 40), "with bearer  §."),
        "in JSON": _with(_prefixed("", URLSAFE, 40), '{"note": "use Bearer §", "n": 1}'),
        "folded": _with(_prefixed("", URLSAFE, 40), "x-forward: Bearer\r\n §\r\nHost: h"),
        "encoded": _with(_prefixed("", URLSAFE, 40), "/p?h=Bearer%20§&b=1"),
    },
    "basic": {
        "header": _with(basic, "Authorization: Basic §\r\naccept: */*"),
        "in prose": _with(basic, "sent Basic § to it"),
        "proxy": _with(basic, "Proxy-Authorization: basic §"),
        "in JSON": _with(basic, '{"note": "Basic §", "n": 1}'),
    },
    "password": {"environment, any characters": _with(_any_password, "A=1\nexport DB_PASSWORD=§\nB=2")},
    "anthropic key": {"glued to a word": _with(SHAPED["anthropic key"], "it says APIkey§.")},
    "digest": {"header": _digest},
    "tokens header": {"header": _with(_some(HEX, 40), "X-Auth-Tokens: §\r\naccept: */*")},
    "token scheme": {"header": _with(_some(HEX, 40), "Authorization: token §\r\naccept: */*")},
    "proxy authorization": {"header": _with(_some(ALNUM, 30), "PROXY-AUTHORIZATION: Custom §\r\naccept: */*")},
    "user information": {
        "in prose": _user_info_in("connect to https://§@proxy.example:8080/ failed"),
        "postgres": _user_info_in("DATABASE_URL=postgresql+asyncpg://§@db:5432/app?ssl=require"),
        "in JSON": _user_info_in('{"proxy":"http://§@h:1","to":"a@b.example"}'),
        "environment": _user_info_in("HTTPS_PROXY=http://§@127.0.0.1:3128"),
        "raw slash": _user_info_in("redis://x:aB3/§@cache:6379/0"),
        "a token alone": _with(_some(ALNUM, 36), "cloning https://§@git.example/r.git"),
        "no user": _with(password, "redis://:§@cache:6379/0"),
        "in a query": _user_info_in("/go?to=", encoded=True),
        "encoded": _user_info_in("redirected to ", encoded=True),
        "git remote": _user_info_in("fatal: unable to access 'https://§@git.example/r.git/': 403"),
        "command line": _user_info_in("curl -u § https://h/"),
        "netrc": _with(password, "machine h login me password §\n"),
        "odbc": _with(_some(ALNUM, 20), "Driver=x;Server=h;Uid=sa;Pwd=§;Encrypt=yes"),
    },
    "parameter": {
        "path": _parameter("/cb?x=1&¤=§"),
        "first": _parameter("GET https://h/cb?¤=§&x=1 HTTP/1.1"),
        "fragment": _parameter("https://h/cb#¤=§"),
        "semicolon": _parameter("/p?a=1;¤=§"),
        "quoted": _parameter("request to 'https://h/p?a=1&¤=§' failed"),
        "in JSON": _parameter('{"url":"https://h/p?¤=§","n":1}'),
        "in JSON of Go": _parameter('{"url":"https://h/p?a=1\\u0026¤=§","n":1}'),
        "form": _parameter("¤=§&grant_type=authorization_code"),
        "encoded": _parameter("redirect to https%3A%2F%2Fh%2Fp%3Fa%3D1%26¤%3D§ done"),
        "twice encoded": _parameter("/a?b=https%253A%252F%252Fh%253F¤%253D§"),
    },
    "private key": {
        "block": _pem(_PEM),
        "in YAML": _pem("key: |\n  " + _PEM + "\nother: 1"),
        "in JSON": _pem(_PEM + "\n", escaped=True),
        "cut off": _pem("text\n-----BEGIN KIND PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n§"),
        "tail": _pem("§\n-----END KIND PRIVATE KEY-----\nmore"),
    },
    "slack webhook": {
        "url": _with(
            lambda rng: f"T{_some(ALNUM, 10)(rng)}/B{_some(ALNUM, 10)(rng)}/{_some(ALNUM, 24)(rng)}",
            "POST https://hooks.slack.com/services/§ 404",
        )
    },
}

# An underscore at its beginning is all that npm's _auth has of its own; command lines have none there.
_UNHEARD_OF = {("npm auth", "command line"), ("npm auth", "list of arguments")}


def _cases() -> Iterator[tuple[str, str, Whole]]:
    for kind, make in SHAPED.items():
        for context, surround in SHAPED_CONTEXTS.items():
            yield kind, context, _shaped(make, surround)
    for kind, (make, names) in OPAQUE.items():
        for context, named in NAMED_CONTEXTS.items():
            if (kind, context) not in _UNHEARD_OF:
                yield kind, context, _opaque(make, names, named)
    for kind, contexts in WHOLE.items():
        for context, whole in contexts.items():
            yield kind, context, whole


def _shaped(make: Make, surround: Surround) -> Whole:
    def whole(rng: random.Random) -> tuple[str, str]:
        value = make(rng)
        return surround(value, rng), value

    return whole


def _opaque(make: Make, names: tuple[str, ...], named: Named) -> Whole:
    def whole(rng: random.Random) -> tuple[str, str]:
        # On a command line a dash begins the next option.
        while (value := make(rng)).startswith("-"):
            pass
        return named(value, rng.choice(names), rng), value

    return whole


CASES = list(_cases())
KINDS = sorted({kind for kind, _, _ in CASES})


def planted(seed: int, count: int, first: int = 0) -> Iterator[Planted]:
    """`count` secrets, always the same for a seed, beginning with the case of that number."""
    rng = random.Random(seed)
    for number in range(first, first + count):
        kind, context, whole = CASES[number % len(CASES)]
        text, secret = whole(rng)
        yield Planted(kind, context, text, secret)
