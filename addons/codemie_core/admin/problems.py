"""What goes wrong with a question of the operator, as RFC 9457 tells it. Raised by whoever answers, told by the app."""

from __future__ import annotations

from typing import ClassVar


class AdminProblem(Exception):
    """The base: `detail` is for people, names what is wrong and what helps, and holds no secret."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong here"

    def __init__(self, detail: str, **more: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.more = more
        """Further members of the problem document: `pinnedBy`, `nearest`, ..."""


class BadQuestion(AdminProblem):
    """It cannot be understood."""

    status = 400
    title = "Bad request"


class NotFound(AdminProblem):
    """There is no such thing."""

    status = 404
    title = "Not found"


class Conflict(AdminProblem):
    """What is asked for contradicts what is: a name is taken, a setting is pinned."""

    status = 409
    title = "Conflict"


class Unavailable(AdminProblem):
    """Not now: the database is away, or the addon that knows is not at work."""

    status = 503
    title = "Not available now"
