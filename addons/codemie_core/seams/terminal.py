"""What mitmdump prints about each flow, without the secrets: its lines hold URLs with their queries, keys and all."""

from __future__ import annotations

from typing import IO

from mitmproxy.addonmanager import AddonManager

from codemie_core.redact import redact_text


class RedactedOutput:
    """Stands before mitmdump's output. Each write is redacted by itself: mitmdump prints a whole line or block at once.

    From `flow_detail=2` on people ask for headers and bodies: a secret without a name or a known shape shows there.
    """

    def __init__(self, output: IO[str]) -> None:
        self._output = output

    def write(self, text: str) -> int:
        """Print it; the length is that of `text`, as of any file."""
        self._output.write(text if text.isspace() else redact_text(text))
        return len(text)

    def flush(self) -> None:
        """Nothing is held here."""
        self._output.flush()


def redact_flow_lines(addons: AddonManager) -> None:
    """For mitmdump; mitmweb and mitmproxy print no such lines. Doing it twice is harmless."""
    dumper = addons.get("dumper")
    if dumper is not None and not isinstance(dumper.outfp, RedactedOutput):
        dumper.outfp = RedactedOutput(dumper.outfp)
