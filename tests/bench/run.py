"""Measure what the bundle costs: `./run.sh bench`, or `python -m bench.run` within tests/.

Medians of interleaved rounds against a bare streaming mitmdump of the same environment. Prints a table, writes JSON,
ends with 1 when a promise is missed.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import psutil
from mitmproxy import version

from bench import analytics
from bench.figures import FIGURES, PLAIN_FIGURES, Result, run
from bench.targets import ROOT

ANALYTICS = "analytics"


def main() -> int:
    """Run the figures asked for; 0 when every promise is kept."""
    names = [*PLAIN_FIGURES, *FIGURES, ANALYTICS]
    parser = argparse.ArgumentParser(prog="./run.sh bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--figure", action="append", choices=names, help="only this one (may be repeated)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="where results go")
    arguments = parser.parse_args()

    results: list[Result] = []
    for name in arguments.figure or names:
        print(f"== {name}", file=sys.stderr)
        if name in FIGURES:
            results += run(FIGURES[name], arguments.rounds, lambda line: print(line, file=sys.stderr))
        elif name == ANALYTICS:
            results += analytics.measure(arguments.rounds)
        else:
            results.append(PLAIN_FIGURES[name](arguments.rounds))
    print(table(results))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report(results, arguments.rounds), indent=2) + "\n")
    return 1 if any(result.verdict == "MISSED" for result in results) else 0


def table(results: list[Result]) -> str:
    """Markdown, as docs/performance.md keeps it."""
    lines = ["| figure | of | measured | promised | verdict |", "|---|---|---|---|---|"]
    for result in results:
        limit = "-" if result.limit is None else f"<= {result.limit:g} {result.unit}"
        value = f"{result.value:.3g} {result.unit}"
        lines.append(f"| {result.promise} | {result.target} | {value} | {limit} | {result.verdict} |")
    return "\n".join(lines)


def report(results: list[Result], rounds: int) -> dict[str, object]:
    """The table with every round's value and what it was measured on."""
    return {
        "python": platform.python_version(),
        "mitmproxy": version.VERSION,
        "uvloop": metadata.version("uvloop") if find_spec("uvloop") else None,
        "cores": psutil.cpu_count(),
        "load": os.getloadavg(),
        "rounds": rounds,
        "results": [{**dataclasses.asdict(result), "verdict": result.verdict} for result in results],
    }


if __name__ == "__main__":
    sys.exit(main())
