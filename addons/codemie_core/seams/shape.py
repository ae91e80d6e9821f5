"""Is the mitmproxy beside us the one whose internals were tested?

A seam names the functions it builds on and the fingerprints they had in the tested releases. A release
outside the range, or one within it with other code inside (a patched build, a later 12.x), is then a clear
message instead of a proxy that misbehaves.
"""

import ast
import hashlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import version

from codemie_core.errors import UnsupportedMitmproxy

MITMPROXY = ">=12.2,<13"
TESTED = "12.2.3"
_OLDEST, _BELOW = (12, 2), (13,)


def version_supported(found: str | None = None) -> bool:
    """Whether a mitmproxy version (default: the installed one) lies within `MITMPROXY`."""
    numbers = re.match(r"(\d+)(?:\.(\d+))?", found or version.VERSION)
    return numbers is not None and _OLDEST <= tuple(int(n or 0) for n in numbers.groups()) < _BELOW


def fingerprint(*functions: Callable[..., object]) -> str:
    """16 hex digits over the code of functions or classes; comments, docstrings and layout do not count.

    The same under every Python version. OSError where the source cannot be read.
    """
    digest = hashlib.sha256()
    for function in functions:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        digest.update(repr(_code(tree)).encode())
    return digest.hexdigest()[:16]


def _code(node: object) -> object:
    # Not ast.dump: what it prints for empty fields changed in Python 3.13.
    if isinstance(node, list):
        return [_code(item) for item in node if not _is_docstring(item)]
    if isinstance(node, ast.AST):
        fields = [(name, _code(value)) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return (type(node).__name__, fields)
    return node


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@dataclass(frozen=True, slots=True)
class Shape:
    """The internals one seam builds on.

    `functions` are written "package.module:Class.method" and looked up late, so that a missing one is a
    mismatch too; `fingerprints` holds one value per distinct tested code.
    """

    name: str
    functions: tuple[str, ...]
    fingerprints: frozenset[str]

    def mismatch(self, found: str | None = None) -> str | None:
        """Why this mitmproxy is not a tested one, with the fix; None when it is."""
        found = found or version.VERSION
        if not version_supported(found):
            return f"mitmproxy {found} found, {MITMPROXY} wanted: pip install 'mitmproxy{MITMPROXY}'"
        try:
            actual = fingerprint(*map(pkgutil.resolve_name, self.functions))
        except (ImportError, AttributeError, OSError, TypeError) as error:
            actual = f"unreadable: {error}"
        if actual in self.fingerprints:
            return None
        return (
            f"mitmproxy {found} found, but its internals for {self.name} are not those of the tested "
            f"{MITMPROXY} ({actual}): pip install --force-reinstall 'mitmproxy=={TESTED}'"
        )


def require(shape: Shape, found: str | None = None) -> None:
    """Raise UnsupportedMitmproxy, naming the version found, the one wanted and the fix, on a mismatch."""
    if problem := shape.mismatch(found):
        raise UnsupportedMitmproxy(f"{shape.name}: {problem}")
