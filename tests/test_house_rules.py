"""What a reviewer would otherwise have to look for: each rule meets the tree, and samples that break it."""

import functools
import importlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from codemie_core.addon import Addon
from support import house_rules
from support.house_rules import Place

ROOT = Path(__file__).resolve().parents[1]
ADDONS = ROOT / "addons"
CORE = ADDONS / "codemie_core"
TESTS = ROOT / "tests"

# What faces mitmproxy; every other module of codemie_core is pure. cli/ starts it, demo/failing/ is an addon.
FACING_MITMPROXY = {
    *("addon.py", "containment.py", "core_addon.py", "exchange.py", "options.py", "recorded.py", "refusal.py"),
    *("accounts/commands.py", "accounts/failover.py", "accounts/outfit.py", "cli", "demo/failing", "seams"),
    "live_settings.py",
    "interception/authority.py",
    *("inspection/commands.py", "inspection/content_view.py", "inspection/desk.py", "inspection/kept_bodies.py"),
}
# Where somebody looks at a terminal.
MAY_PRINT = {"cli", "demo"}
# Source file -> the test that stands in for its mirrored one. The parts of the scripted upstream make sense only
# together: they are tested through it, by topic. Values are tested with what makes them.
TESTED_ELSEWHERE: dict[str, str] = {
    "codemie_core/admin/serving.py": "core/admin/test_server.py",
    "codemie_core/admin/counted.py": "core/admin/test_analytics.py",
    "codemie_core/admin/recent_exchanges.py": "core/admin/test_exchanges.py",
    "codemie_core/admin/request_rows.py": "core/admin/test_requests.py",
    **{
        f"codemie_core/admin/routes/{room}.py": "process/test_admin_reading.py"
        for room in (
            *("agents", "analytics", "exchanges", "health", "metrics", "models", "plugins", "requests", "sessions"),
            *("stats", "storage", "system"),
        )
    },
    **{
        f"codemie_core/admin/routes/{room}.py": "process/test_admin_changing.py"
        for room in ("accounts", "audit", "config", "keys", "maintenance", "oauth", "token_health")
    },
    "codemie_core/admin/setting_views.py": "core/admin/test_settings.py",
    **{
        f"codemie_core/admin/pages/{page}.py": "browser/test_dashboard_requests.py"
        for page in ("live_rows", "now", "overview", "request_detail", "requests", "site", "widgets")
    },
    **{
        f"codemie_core/admin/pages/{page}.py": "browser/test_dashboard_accounts.py"
        for page in ("account_adding", "signing_in")
    },
    **{
        f"codemie_core/admin/pages/{page}.py": "browser/test_dashboard_history.py"
        for page in ("agents", "analytics_parts", "session_detail", "sessions")
    },
    **{
        f"codemie_core/admin/pages/{page}.py": "browser/test_dashboard_steering.py"
        for page in ("logs", "plugins", "setting_form")
    },
    "codemie_core/callback.py": "core/sso/test_callback.py",
    "codemie_core/demo/absent.py": "core/demo/test_upstream_faults.py",
    "codemie_core/demo/answers.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/answers_anthropic.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/answers_chat.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/answers_gemini.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/answers_responses.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/command.py": "core/demo/test_upstream_alone.py",
    "codemie_core/demo/connection.py": "core/demo/test_upstream_alone.py",
    "codemie_core/demo/dialect.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/encoding.py": "core/demo/test_upstream_order.py",
    "codemie_core/demo/frames.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/gate.py": "core/demo/test_upstream_order.py",
    "codemie_core/demo/ledger.py": "core/demo/test_upstream_alone.py",
    "codemie_core/demo/playing.py": "core/demo/test_upstream_faults.py",
    "codemie_core/demo/presets.py": "core/demo/test_upstream_faults.py",
    "codemie_core/demo/received.py": "core/demo/test_upstream_shapes.py",
    "codemie_core/demo/request_body.py": "core/demo/test_upstream_faults.py",
    "codemie_core/demo/script.py": "core/demo/test_upstream_faults.py",
    "codemie_core/demo/threaded.py": "core/demo/test_upstream_alone.py",
    "codemie_core/demo/upstream.py": "core/demo/test_upstream_alone.py",
    "codemie_core/demo/wire_http1.py": "core/demo/test_upstream_faults.py",
    "codemie_core/demo/wire_http2.py": "core/demo/test_upstream_http2.py",
    "codemie_core/demo/wire_websocket.py": "core/demo/test_upstream_websocket.py",
    "codemie_core/doctor/finding.py": "core/doctor/test_examine.py",
    "codemie_core/inspection/anthropic.py": "core/inspection/test_conversation.py",
    "codemie_core/inspection/chat.py": "core/inspection/test_conversation.py",
    "codemie_core/inspection/desk.py": "addons/test_inspection.py",
    "codemie_core/inspection/gemini.py": "core/inspection/test_conversation.py",
    "codemie_core/inspection/responses.py": "core/inspection/test_conversation.py",
    "codemie_core/inspection/words.py": "core/inspection/test_conversation.py",
    "codemie_core/interception/tunnels.py": "addons/test_tls_interception.py",
    "codemie_core/recorded.py": "addons/test_usage_metering.py",
    "codemie_core/usage/answer.py": "core/usage/test_readers.py",
    "codemie_core/usage/asked.py": "core/usage/test_asking.py",
    "codemie_core/usage/cost.py": "core/test_pricing.py",
    "codemie_core/usage/operation.py": "core/usage/test_files.py",
    "codemie_core/usage/reader.py": "core/usage/test_readers.py",
    "codemie_core/usage/turn.py": "core/usage/test_recording.py",
}
NOT_OURS = (".git", ".venv", ".hypothesis", ".coverage", ".idea", ".vscode", "htmlcov", "dist", "build")
_CACHES = ("cache", "cache__")


def python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def addon_files() -> list[Path]:
    return sorted(path for path in ADDONS.glob("*.py") if path.name != "codemie.py")


def pure_files() -> list[Path]:
    facing = {CORE / name for name in FACING_MITMPROXY}
    return [path for path in python_files(CORE) if not facing & {path, *path.parents}]


@functools.cache
def project_files() -> tuple[Path, ...]:
    """Every text file somebody wrote: what git would track."""
    return tuple(path for path in _written() if path.is_file() and not is_binary(path))


def _written() -> Iterator[Path]:
    for folder, below, names in os.walk(ROOT):
        # What is left out here is not looked into: an environment holds thousands of files.
        below[:] = sorted(name for name in below if not name.startswith(NOT_OURS) and not name.endswith(_CACHES))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith((".venv", ".coverage")))


def is_binary(path: Path) -> bool:
    return b"\0" in path.read_bytes()[:4096]


def broken(paths: Iterable[Path], rule: Callable[[str], list[str]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {problem}" for path in paths for problem in rule(path.read_text("utf-8"))]


def test_the_tree_is_where_these_rules_look_for_it() -> None:
    assert addon_files()
    assert pure_files()
    assert ROOT / "pyproject.toml" in project_files()


def test_addons_never_import_each_other() -> None:
    stems = [path.stem for path in ADDONS.glob("*.py")]
    assert not broken(addon_files(), lambda text: house_rules.forbidden_imports(text, stems))


def test_the_core_never_imports_an_addon() -> None:
    stems = [path.stem for path in ADDONS.glob("*.py")]
    assert not broken(python_files(CORE), lambda text: house_rules.forbidden_imports(text, stems))


def test_pure_modules_never_import_mitmproxy() -> None:
    assert not broken(pure_files(), lambda text: house_rules.forbidden_imports(text, ["mitmproxy"]))


def test_mitmproxy_internals_are_touched_in_seams_only() -> None:
    elsewhere = [path for path in python_files(ADDONS) if CORE / "seams" not in path.parents]
    assert not broken(elsewhere, house_rules.internal_mitmproxy_imports)


def test_imports_are_absolute() -> None:
    assert not broken(python_files(ADDONS), house_rules.relative_imports)


@pytest.mark.parametrize("source_root", [ADDONS, TESTS], ids=["addons", "tests"])
def test_nothing_on_a_source_root_shadows_the_standard_library(source_root: Path) -> None:
    assert not house_rules.shadowed_modules(path.stem for path in source_root.iterdir())


def test_every_source_file_has_its_test_file() -> None:
    missing = []
    for path in python_files(ADDONS):
        source = path.relative_to(ADDONS)
        test = TESTED_ELSEWHERE.get(source.as_posix()) or house_rules.mirrored_test(source)
        if house_rules.has_code(path.read_text("utf-8")) and not (TESTS / test).is_file():
            missing.append(f"{source} needs tests/{test}")
    assert not missing


def test_exceptions_to_the_mirror_name_files_that_exist() -> None:
    assert not [source for source in TESTED_ELSEWHERE if not (ADDONS / source).is_file()]


def test_only_terminal_rooms_print() -> None:
    quiet = [path for path in python_files(ADDONS) if not MAY_PRINT & set(path.relative_to(ADDONS).parts)]
    assert not broken(quiet, house_rules.prints)


def test_nobody_uses_ctx_log() -> None:
    assert not broken(python_files(ADDONS), house_rules.ctx_logs)


def test_every_ignore_carries_its_reason() -> None:
    assert not broken([*python_files(ADDONS), *python_files(TESTS)], house_rules.unexplained_ignores)


def test_no_file_names_a_machine_or_a_package_index() -> None:
    assert not broken(project_files(), house_rules.private_places)


def test_no_file_is_too_long() -> None:
    scripts = [ROOT / "run.sh", ROOT / ".ci/run"]
    assert not broken([*python_files(ADDONS), *scripts], house_rules.too_long)
    assert not broken(python_files(TESTS), house_rules.too_long_test)


def test_the_list_of_the_bundle_matches_the_classes() -> None:
    declared = {}
    for path in addon_files():
        for _, cls in inspect.getmembers(importlib.import_module(path.stem), inspect.isclass):
            if issubclass(cls, Addon) and cls.__module__ == path.stem:
                declared[path.stem] = (cls.priority, cls.fail)
    assert declared.keys() == {path.stem for path in addon_files()}
    assert not house_rules.misplaced(house_rules.places((ADDONS / "codemie.py").read_text("utf-8")), declared)


def spelled(sample: str) -> str:
    """Samples of what no file may hold, in a file that must not hold them."""
    return sample.replace("+", "")


@pytest.mark.parametrize(
    "rule, bad, good",
    [
        (
            lambda text: house_rules.forbidden_imports(text, ["mitmproxy"]),
            [
                "import mitmproxy",
                "from mitmproxy import http",
                "from mitmproxy.http import Headers",
                "def f():\n    import mitmproxy.http as h",
                "if TYPE_CHECKING:\n    from mitmproxy import http",
            ],
            ["import mitmproxyish", "from codemie_core import sse", "from codemie_core import mitmproxy"],
        ),
        (
            lambda text: house_rules.forbidden_imports(text, ["header_injection"]),
            ["import header_injection", "from header_injection import HeaderInjection"],
            ["from codemie_core import header_injection", "'import header_injection'"],
        ),
        (
            house_rules.internal_mitmproxy_imports,
            [
                "from mitmproxy.proxy.layers import http",
                "from mitmproxy.proxy import layer",
                "from mitmproxy import proxy",
                "import mitmproxy.net.http.http1",
            ],
            ["from mitmproxy import ctx, http", "from mitmproxy.proxy.mode_specs import ReverseMode"],
        ),
        (house_rules.relative_imports, ["from . import sse", "from .sse import x"], ["from a import b"]),
        (house_rules.prints, ["print('x')", "def f():\n    print()"], ["console.print('x')", "'print(1)'"]),
        (
            house_rules.ctx_logs,
            ["ctx.log.info('x')", "mitmproxy.ctx.log('x')", "from mitmproxy.ctx import log"],
            ["logger.info('x')", "math.log(2)"],
        ),
        (
            house_rules.unexplained_ignores,
            [
                "x = 1  # noqa",
                "x = 1  # noqa: E501",
                "x = 1  # type: ignore",
                "x = 1  # type: ignore[attr-defined]",
                "x = 1  # type: ignore[attr-defined]  # noqa: E501",
            ],
            [
                "x = 1  # noqa: E501 - a table reads better in one line",
                "x = 1  # noqa: B007 (the count is used below)",
                "x = 1  # type: ignore[attr-defined]  # set by the loader",
                "x = '# noqa'",
            ],
        ),
        (
            house_rules.private_places,
            [
                spelled(sample)
                for sample in ("see /ro+ot/x", "'/ho+me/ann/x'", "/Us+ers/ann/x", "https://py+pi.org/simple")
            ],
            ["~/.codemie", "/v1/messages", "https://api.anthropic.com", "a/work/b", "/home/"],
        ),
        (house_rules.too_long, ["x\n" * 351], ["x\n" * 350]),
        (house_rules.too_long_test, ["x\n" * 451], ["x\n" * 450]),
    ],
    ids=[
        "mitmproxy",
        "addon",
        "internals",
        "relative",
        "print",
        "ctx.log",
        "ignores",
        "places",
        "length",
        "test length",
    ],
)
def test_each_rule_tells_bad_from_good(rule: Callable[[str], list[str]], bad: list[str], good: list[str]) -> None:
    assert [sample for sample in bad if not rule(sample)] == []
    assert [sample for sample in good if rule(sample)] == []


def test_shadowing_rule_knows_the_standard_library() -> None:
    assert house_rules.shadowed_modules(["logging", "header_injection", "types"]) == ["logging", "types"]


@pytest.mark.parametrize(
    "source, test",
    [
        ("header_injection.py", "addons/test_header_injection.py"),
        ("codemie_core/sse.py", "core/test_sse.py"),
        ("codemie_core/seams/gate.py", "core/seams/test_gate.py"),
    ],
)
def test_mirrored_test_of_a_source_file(source: str, test: str) -> None:
    assert house_rules.mirrored_test(Path(source)) == Path(test)


BUNDLE = """
addons = load_addons(
    ("ground_rules", "open"),  #   0  first, because
    ("who_asks", "closed"),  #  10  then
)
"""


@pytest.mark.parametrize(
    "bundle, problem",
    [
        (BUNDLE, None),
        (BUNDLE.replace("#  10  then", "#  11  then"), "who_asks has priority 10, the comment says 11"),
        (BUNDLE.replace("  #  10  then", ""), "who_asks has no comment"),
        (BUNDLE.replace("  then", ""), "who_asks has no comment"),
        (BUNDLE.replace('"closed"', '"open"'), "who_asks fails closed, the list says open"),
        (BUNDLE.replace("who_asks", "who_else"), "who_asks is not listed"),
        (BUNDLE.replace("who_asks", "who_else"), "who_else is listed, but there is no such addon"),
    ],
)
def test_bundle_rule_tells_bad_from_good(bundle: str, problem: str | None) -> None:
    declared = {"ground_rules": (0, "open"), "who_asks": (10, "closed")}
    problems = house_rules.misplaced(house_rules.places(bundle), declared)
    assert problem in " / ".join(problems) if problem else problems == []


def test_bundle_rule_wants_ascending_priorities() -> None:
    listed = [Place("who_asks", "closed", 10), Place("ground_rules", "open", 0)]
    declared = {"ground_rules": (0, "open"), "who_asks": (10, "closed")}
    assert house_rules.misplaced(listed, declared) == ["the priorities do not ascend: [10, 0]"]
