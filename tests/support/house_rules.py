"""The mechanical rules of this house, as functions over source text: each returns what breaks it, in words."""

import ast
import functools
import io
import re
import sys
import tokenize
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LONGEST_FILE = 350
LONGEST_TEST = 450
"""Tables of cases are long and still quick to read."""

# What mitmproxy documents or shows in its examples; anything else may change in any release.
PUBLIC_MITMPROXY = frozenset(
    {
        *("addonmanager", "addons", "certs", "command", "connection", "contentviews", "ctx", "dns", "exceptions"),
        *("flow", "hooks", "http", "io", "log", "master", "options", "optmanager", "test", "tools", "types"),
        *("tcp", "tls", "udp", "utils", "version", "websocket"),
        *("net.server_spec", "proxy.mode_specs"),  # the types of public attributes: server.via, proxy_mode
    }
)

_IGNORE = re.compile(r"#\s*(?:noqa(?P<codes>:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?P<names>\[[\w, -]+\])?)")
_PLACE = re.compile(r"#\s*(?P<priority>\d+)\s+(?P<reason>\S.*)$")

# Folders of one machine, and hosts of package indexes: neither means anything to whoever reads the repository.
_MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:root|work|tmp|opt)/\w|/home/\w+/|/Users/\w+/|[A-Z]:\\Users\\")
_PACKAGE_INDEX = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|crates\.io|proxy\.golang\.org)\b"
)


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, absolute: `from mitmproxy import http` is mitmproxy.http."""

    module: str
    line: int


@functools.cache  # Several rules ask.
def imports(source: str) -> tuple[Import, ...]:
    """Every import, also inside functions and under TYPE_CHECKING."""
    return tuple(_imports(source))


def _imports(source: str) -> Iterator[Import]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from (Import(f"{prefix}.{alias.name}", node.lineno) for alias in node.names)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def forbidden_imports(source: str, packages: Collection[str]) -> list[str]:
    return [
        f"line {found.line} imports {found.module}"
        for found in imports(source)
        if any(is_within(found.module, package) for package in packages)
    ]


def relative_imports(source: str) -> list[str]:
    """mitmproxy loads a script without a package: relative imports never work there."""
    return [f"line {found.line} imports {found.module}" for found in imports(source) if found.module[0] == "."]


def internal_mitmproxy_imports(source: str) -> list[str]:
    return [
        f"line {found.line} imports {found.module}"
        for found in imports(source)
        if is_within(found.module, "mitmproxy")
        and found.module != "mitmproxy"
        and not any(is_within(found.module, f"mitmproxy.{public}") for public in PUBLIC_MITMPROXY)
    ]


def shadowed_modules(names: Iterable[str]) -> list[str]:
    """Names on a source root that hide a module of the standard library."""
    return sorted(set(names) & sys.stdlib_module_names)


def has_code(source: str) -> bool:
    """Whether there is a function or class to test."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in ast.walk(ast.parse(source))
    )


def mirrored_test(source: Path) -> Path:
    """codemie_core/seams/gate.py (below addons/) is tested by core/seams/test_gate.py (below tests/)."""
    inside = source.parts[0] == "codemie_core"
    return Path("core" if inside else "addons", *source.parts[1 if inside else 0 : -1], f"test_{source.name}")


def prints(source: str) -> list[str]:
    if "print" not in source:
        return []
    return [
        f"line {node.lineno} prints"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def ctx_logs(source: str) -> list[str]:
    """ctx.log has been deprecated since mitmproxy 9."""
    if "ctx" not in source:
        return []
    attributes = [
        f"line {node.lineno} uses ctx.log"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr == "log" and f".{ast.unparse(node.value)}".endswith(".ctx")
    ]
    return attributes + forbidden_imports(source, ["mitmproxy.ctx.log"])


def unexplained_ignores(source: str) -> list[str]:
    """Ignore comments without a code, or with fewer than two words of reason on their line."""
    found: list[str] = []
    if not _IGNORE.search(source):
        return found
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        ignores = list(_IGNORE.finditer(token.string)) if token.type == tokenize.COMMENT else []
        if not all(ignore["codes"] or ignore["names"] for ignore in ignores):
            found.append(f"line {token.start[0]} ignores everything: {token.string}")
        elif ignores and len(re.findall(r"[A-Za-z]{2,}", _IGNORE.sub("", token.string))) < 2:
            found.append(f"line {token.start[0]} gives no reason: {token.string}")
    return found


def private_places(text: str) -> list[str]:
    """Paths of somebody's machine and hosts of package indexes."""
    return [
        f"line {number} names {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (_MACHINE_PATH, _PACKAGE_INDEX)
        if (match := pattern.search(line))
    ]


def too_long(text: str, longest: int = LONGEST_FILE) -> list[str]:
    lines = len(text.splitlines())
    return [f"has {lines} lines, the longest allowed is {longest}"] if lines > longest else []


def too_long_test(text: str) -> list[str]:
    return too_long(text, LONGEST_TEST)


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the list in codemie.py: ("header_injection", "open"),  #  20  why here"""

    stem: str
    fail: str
    priority: int | None
    """None where the comment is missing or has no number and reason."""


def places(source: str) -> list[Place]:
    """The literal list of the bundle, in its order."""
    lines = source.splitlines()
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(stem)), ast.Constant(value=("open" | "closed") as fail)]):
                comment = _PLACE.search(lines[(node.end_lineno or node.lineno) - 1])
                found.append((node.lineno, Place(stem, str(fail), int(comment["priority"]) if comment else None)))
    return [place for _, place in sorted(found, key=lambda pair: pair[0])]


def misplaced(listed: list[Place], declared: Mapping[str, tuple[int, str]]) -> list[str]:
    """Compares the list with what the classes declare: {stem: (priority, fail)}."""
    problems = [f"{stem} is not listed" for stem in sorted(declared.keys() - {place.stem for place in listed})]
    for place in listed:
        if place.stem not in declared:
            problems.append(f"{place.stem} is listed, but there is no such addon")
            continue
        priority, fail = declared[place.stem]
        if place.priority is None:
            problems.append(f"{place.stem} has no comment with its priority and the reason for its place")
        elif place.priority != priority:
            problems.append(f"{place.stem} has priority {priority}, the comment says {place.priority}")
        if place.fail != fail:
            problems.append(f"{place.stem} fails {fail}, the list says {place.fail}")
    order = [declared[place.stem][0] for place in listed if place.stem in declared]
    if order != sorted(order):
        problems.append(f"the priorities do not ascend: {order}")
    return problems
