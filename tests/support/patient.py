"""What the doctor's checks look at in tests: a home and an environment of the test's own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from codemie_core.doctor.finding import Finding
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.places import Places


def surroundings(codemie_home: Path, target: str = "", **environ: str) -> Surroundings:
    """With nothing in the environment but what is named."""
    home = codemie_home.parent
    return Surroundings(Places(codemie_home), environ, home, home, target)


def told(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """(level, what) of each."""
    return [(one.level, one.what) for one in findings]


def levels(findings: Iterable[Finding]) -> list[str]:
    return [one.level for one in findings]


def program(folder: Path, *names: str) -> str:
    """A folder for PATH that has programs of these names."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)
