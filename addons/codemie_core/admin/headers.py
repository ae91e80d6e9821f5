"""What every answer tells the browser: nothing is framed, sniffed, kept or loaded from elsewhere."""

from __future__ import annotations

import sys

from starlette.datastructures import MutableHeaders

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
# The NiceGUI that fits Python 3.12 brings shims for modules, which try with blobs what the browser can do.
_BLOBS = " blob:" if sys.version_info < (3, 13) else ""
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        # The UI library starts its pages with an inline script and compiles templates in the browser.
        f"script-src 'self'{_BLOBS} 'unsafe-inline' 'unsafe-eval'",
        # Its elements carry their styles in attributes.
        f"style-src 'self'{_BLOBS} 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        f"connect-src 'self'{_BLOBS}",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
ALWAYS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def protect(headers: MutableHeaders) -> None:
    """Add them to the head of an answer."""
    page = headers.get("content-type", "").startswith("text/html")
    headers["content-security-policy"] = PAGE_POLICY if page else API_POLICY
    for name, value in ALWAYS.items():
        headers[name] = value
    headers.setdefault("cache-control", "no-store")
