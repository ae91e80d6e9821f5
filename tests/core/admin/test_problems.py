"""What goes wrong with a question: each kind has its status, its title and its own words."""

import pytest

from codemie_core.admin.problems import AdminProblem, BadQuestion, Conflict, NotFound, Unavailable


@pytest.mark.parametrize(
    "kind, status", [(AdminProblem, 500), (BadQuestion, 400), (NotFound, 404), (Conflict, 409), (Unavailable, 503)]
)
def test_each_kind_has_a_status_and_keeps_what_it_was_told(kind: type[AdminProblem], status: int) -> None:
    problem = kind("There is no account `x`; see /api/accounts.", nearest="y")
    assert (problem.status, problem.more) == (status, {"nearest": "y"})
    assert str(problem) == problem.detail == "There is no account `x`; see /api/accounts."
    assert problem.title
