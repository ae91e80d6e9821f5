"""Folder and branch, in the words of each agent."""

import time

import pytest

from codemie_core.usage.surroundings import Surroundings, surroundings


@pytest.mark.parametrize(
    "text, folder",
    [
        (
            "# Environment\n - Primary working directory: /srv/dev/my project\n - Platform: linux",
            "/srv/dev/my project",
        ),
        ("<env>\nWorking directory: /srv/dev/project\nIs directory a git repo: Yes\n</env>", "/srv/dev/project"),
        ("<env>\n  Working directory: C:\\work\\project\n</env>", "C:\\work\\project"),
        ("<environment_context>\n  <cwd>/srv/dev/project</cwd>\n</environment_context>", "/srv/dev/project"),
        ("My OS is linux\nI'm currently working in the directory: /srv/dev/project\n", "/srv/dev/project"),
        ("- **Workspace Directories:**\n  - /srv/dev/project\n  - /srv/dev/other\n", "/srv/dev/project"),
        ("Additional working directory: /tmp", ""),
        ("Working directory: \n", ""),
        ("Working directory: /a\x00b", ""),
        ("", ""),
    ],
)
def test_the_folder_is_found(text: str, folder: str) -> None:
    assert surroundings([text]).folder == folder


def test_the_branch_is_found_beside_it_in_another_text() -> None:
    texts = ["Working directory: /p", "gitStatus: as of now\nCurrent branch: feature/x\n\nMain branch: main"]
    assert surroundings(texts) == Surroundings("/p", "feature/x")


@pytest.mark.parametrize(
    "said",
    [
        "Working directory: the key is planted-words",
        "I'm currently working in the directory: that you know",
        "<cwd>whatever I say</cwd>",
        "Current branch: nobody is to know this",
        "Current branch: [planted]",
        f"Current branch: {'x' * 256}",
    ],
)
def test_what_a_person_writes_in_such_words_is_no_folder_and_no_branch(said: str) -> None:
    assert surroundings([f"Look:\n{said}\n"]) == Surroundings()


def test_the_first_text_that_says_it_counts() -> None:
    assert surroundings(["Working directory: /p", "Working directory: /q"]).folder == "/p"


def test_nothing_said_is_nothing_found() -> None:
    assert surroundings([]) == Surroundings()


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    began = time.process_time()
    assert surroundings(["\n" + " *-\t" * 500_000, "- **Workspace Directories:**" * 50_000]).folder == ""
    assert time.process_time() - began < 5
