"""One line of the many that an exchange leaves in the log, for those who look at it live."""

from __future__ import annotations

import logging

SOURCE = "proxy-access"

_ACCESS = f"[{SOURCE}] "
_PROBLEM = "[proxy-error] "
_LEVELS = {"ERROR": logging.ERROR, "WARN": logging.WARNING}


def in_brief(lines: str) -> tuple[int, str] | None:
    """How serious it was, as logging numbers it, and what happened, of the lines of an exchange that has ended.

    None where the log's level leaves such lines out. What they hold is redacted already.
    """
    place = lines.rfind(_ACCESS)
    if place < 0:
        return None
    told = lines[place + len(_ACCESS) :].rstrip("\n")
    problem = lines.find(_PROBLEM, 0, place)
    if problem < 0:
        return logging.INFO, told
    # "[2026-01-31T09:30:00.125Z] [WARN] [claude] ... [proxy-error] NetworkError: connect_failed {"
    start = lines.rfind("\n", 0, problem) + 1
    level = lines[start:problem].split("] [", 2)[1]
    words = lines[problem + len(_PROBLEM) : lines.index("\n", problem)].removesuffix(" {")
    return _LEVELS.get(level, logging.WARNING), f"{words} {told}"
