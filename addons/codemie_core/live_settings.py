"""mitmproxy's options while it runs, for those who do not face it: all of a change counts, or nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mitmproxy import ctx, exceptions

from codemie_core.errors import SettingsError


def value_of(option: str) -> Any:
    """As it is now; None where its addon has failed to declare it."""
    value = getattr(ctx.options, option) if option in ctx.options else None
    return list(value) if isinstance(value, tuple | list) else value


def change(values: Mapping[str, Any]) -> None:
    """Set them together. SettingsError when one of them is refused, by its type or by an addon; then none is set."""
    before = {option: value_of(option) for option in values}
    try:
        ctx.options.update(**values)
    except exceptions.OptionsError as problem:
        raise SettingsError(str(problem)) from None
    except TypeError as problem:
        # mitmproxy takes back what addons refuse, not what had a wrong type.
        ctx.options.update(**before)
        raise SettingsError(str(problem)) from None
