import json
from typing import Any

from codemie_core.admin.told import Problem, describe_problems


def test_a_problem_is_told_as_rfc_9457_has_it() -> None:
    problem = Problem(409, "it is pinned", "Conflict", more={"pinnedBy": "env"})
    assert problem.status_code == 409
    assert problem.headers["content-type"] == "application/problem+json"
    assert json.loads(bytes(problem.body)) == {
        "title": "Conflict",
        "status": 409,
        "detail": "it is pinned",
        "pinnedBy": "env",
    }


def test_further_members_do_not_overrule_its_own() -> None:
    told = json.loads(bytes(Problem(404, "gone", more={"status": 200, "detail": "fine"}).body))
    assert (told["status"], told["detail"], told["title"]) == (404, "gone", "Not Found")


def test_every_answer_that_is_no_success_is_described_as_one() -> None:
    ok: dict[str, Any] = {"description": "fine", "content": {"application/json": {"schema": {}}}}
    answers: dict[str, Any] = {"200": dict(ok), "404": {"description": "none"}, "422": dict(ok)}
    document = {
        "paths": {"/x": {"get": {"responses": answers}}},
        "components": {"schemas": {"HTTPValidationError": {}, "ValidationError": {}, "Own": {}}},
    }
    described = describe_problems(document)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert answers["200"] == ok
    assert [answers[status]["content"] for status in ("404", "422", "default")] == [content] * 3
    assert described["components"]["schemas"].keys() == {"Own", "Problem"}
