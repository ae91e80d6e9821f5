"""Who serves a model, and under which names a price list may know it."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 300
"""Characters of a model's name that are looked at: a server may answer anything."""

# By the end of the host. Names are those of the price list (genai-prices).
_HOSTS = (
    ("api.anthropic.com", "anthropic"),
    ("api.openai.com", "openai"),
    ("chatgpt.com", "openai"),
    ("openai.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("cognitiveservices.azure.com", "azure"),
    ("azure-api.net", "azure"),
    ("googleapis.com", "google"),
    ("openrouter.ai", "openrouter"),
    ("githubcopilot.com", "github-copilot"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "x-ai"),
    ("api.moonshot.ai", "moonshotai"),
    ("api.moonshot.cn", "moonshotai"),
    ("api.z.ai", "zai"),
    ("open.bigmodel.cn", "zhipuai"),
    ("api.together.xyz", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.cerebras.ai", "cerebras"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cohere.com", "cohere"),
    ("api.minimax.io", "minimax"),
)
_PORT = re.compile(r":\d+$")
_BEDROCK_HOST = re.compile(r"bedrock[a-z-]*\.[a-z0-9-]+\.(amazonaws\.com|api\.aws)(\.cn)?$")

# What gateways such as CodeMie or LiteLLM put before a model's name to say where it is.
_PREFIXES = {
    "bedrock": "aws",
    "vertex_ai": "google",
    "azure": "azure",
    "azure_ai": "azure",
    "openrouter": "openrouter",
    "github_copilot": "github-copilot",
    "anthropic": "anthropic",
    "openai": "openai",
    "gemini": "google",
    "google": "google",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "groq": "groq",
    "xai": "x-ai",
}
_BEDROCK_MODEL = re.compile(r"^([a-z]{2,6}(-gov)?\.)?(anthropic|amazon|meta|mistral|cohere|deepseek)\.")
_VERTEX_MODEL = re.compile(r"^claude-[a-z0-9.-]+@")
_MAKERS = (
    (re.compile(r"^claude"), "anthropic"),
    (re.compile(r"^(gpt-(?!oss)|chatgpt|codex-|o[1-9](-|$)|ft:gpt)"), "openai"),
    (re.compile(r"^gemini"), "google"),
    (re.compile(r"^deepseek"), "deepseek"),
    (re.compile(r"^(mistral|codestral|devstral|magistral)"), "mistral"),
    (re.compile(r"^grok"), "x-ai"),
    (re.compile(r"^kimi"), "moonshotai"),
    (re.compile(r"^glm"), "zai"),
)

_NOISE = re.compile(r"(\[[^\]]*\]|:(beta|thinking|extended|online|nitro|floor))$")
_VERSION_FIRST = re.compile(r"^claude-(\d+(?:[.-]\d{1,2})?)-(opus|sonnet|haiku)(?=$|[-@:])")
# Not "global": it is cheaper than any region.
_REGION = re.compile(r"^(?!global\.)[a-z]{2,6}(?:-gov)?\.(?=(?:anthropic|amazon|meta|mistral|cohere|deepseek)\.)")


def provider_of(host: str, api: str, model: str) -> str:
    """Who bills for it, in the price list's word; "" for unknown.

    A known host decides. Any other (CodeMie, LiteLLM, a server of one's own) passes on what others serve: there the
    model's name decides, and it is priced as its maker, or the cloud that the name tells of, prices it.
    """
    found = _by_host(_PORT.sub("", host.lower()).rstrip("."))
    if found:
        return found
    name = model[:LONGEST].lower()
    prefix, slash, rest = name.partition("/")
    if slash and prefix in _PREFIXES:
        return _PREFIXES[prefix]
    name = rest.rpartition("/")[2] if slash else name
    if _BEDROCK_MODEL.match(name) or name.startswith("arn:aws:bedrock:") or prefix.startswith("arn:aws:bedrock:"):
        return "aws"
    if _VERTEX_MODEL.match(name):
        return "google"
    return next((maker for pattern, maker in _MAKERS if pattern.match(name)), "")


def names_of(model: str) -> Iterator[str]:
    """The model's name in every way a price list may write it, the most exact first."""
    seen: set[str] = set()
    for name in _spellings(model[:LONGEST].strip().lower()):
        if name and name not in seen:
            seen.add(name)
            yield name


def _spellings(name: str) -> Iterator[str]:
    yield name
    bare = _NOISE.sub("", name)
    yield bare
    # models/gemini-2.5-pro, publishers/anthropic/models/claude-..., bedrock/us.anthropic.claude-..., arn:.../...
    last = bare.rpartition("/")[2]
    yield last
    yield _REGION.sub("", last)
    dated = last.partition("@")[0]
    yield dated
    yield _VERSION_FIRST.sub(r"claude-\2-\1", dated)
    yield dated.removesuffix("-latest")


def _by_host(host: str) -> str:
    for suffix, provider in _HOSTS:
        if host == suffix or host.endswith(f".{suffix}"):
            return provider
    return "aws" if _BEDROCK_HOST.search(host) else ""
