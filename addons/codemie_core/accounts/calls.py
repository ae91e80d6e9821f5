"""What kind of call a request is, by method and path alone: may it take any account, only its own, or none?"""

from __future__ import annotations

import re
from enum import StrEnum

from codemie_core.interception.first_party import climbs, is_control


class Call(StrEnum):
    """How the pool treats it."""

    MODEL = "model"
    """A model turn: any account, and the next one when the first fails."""
    SIDE = "side"
    """Goes with its conversation's account: token counting, lists of models."""
    RESOURCE = "resource"
    """About something an account stores (files, batches): gets an account and never moves to another."""
    CONTROL = "control"
    """The agent's own business with its provider: keeps the client's credentials."""


# Compatible endpoints have versions of their own (/api/paas/v4/chat/completions) or none.
_TURNS = re.compile(
    r"/v1/(messages|complete|completions|responses|embeddings|moderations)$"
    r"|/(chat/completions|v\d+/embeddings)$"
    r"|/backend-api/codex/responses$"
    r"|/models/[^/]+:(generateContent|streamGenerateContent|embedContent|batchEmbedContents|predict|rawPredict|"
    r"streamRawPredict)$"
)
_SIDES = re.compile(r"/v1/messages/count_tokens$|/v1/responses/(input_tokens|compact)$|/models/[^/]+:countTokens$")
_LISTS = re.compile(r"/v\d+((alpha|beta)\d*)?/models(/[^/:]+)?$")
_RESOURCES = re.compile(
    r"/v1/(files|batches|uploads|messages/batches|responses/[^/]+|chat/completions(/[^/]+)?|vector_stores|fine_tuning|"
    r"conversations|containers|images|audio|videos|skills)(/|$)"
    r"|/v1(alpha|beta)\d*/(files|cachedContents|batches|tunedModels|operations|fileSearchStores)(/|$)"
    r"|/upload/v1(alpha|beta)\d*/|/models/[^/]+:(batchGenerateContent|asyncBatchEmbedContent|predictLongRunning)$"
)


def call_of(method: str, path: str, host: str = "") -> Call:
    """The kind of this call. `path` may carry a prefix and a query; `host` is where it goes."""
    if is_control(host, path) or climbs(path):
        return Call.CONTROL
    bare = path.partition("?")[0].rstrip("/")
    if _SIDES.search(bare) or (method in ("GET", "HEAD") and _LISTS.search(bare)):
        return Call.SIDE
    # A WebSocket of Codex begins with a GET to the path of its turns.
    if _TURNS.search(bare) and (method == "POST" or (method == "GET" and bare.endswith("/responses"))):
        return Call.MODEL
    return Call.RESOURCE if _RESOURCES.search(bare) or _LISTS.search(bare) else Call.CONTROL
