"""Which messages of a WebSocket stay."""

from dataclasses import dataclass

import pytest

from codemie_core.websocket.keeping import KeptMessages


@dataclass
class Said:
    content: bytes
    from_client: bool = False
    number: int = 0


def told(kept: KeptMessages, messages: list[Said], *more: Said) -> list[Said]:
    for message in more:
        messages.append(message)
        kept.added(messages)
    return messages


def test_up_to_the_bounds_everything_stays() -> None:
    said = [Said(b"x" * 10, number=n) for n in range(8)]
    assert told(KeptMessages(8, 80), [], *said) == said


@pytest.mark.parametrize("most", [1, 2, 3, 8, 200])
def test_however_many_come_the_newest_stay_in_their_order(most: int) -> None:
    kept, messages = KeptMessages(most, 10**9), list[Said]()
    for n in range(1000):
        told(kept, messages, Said(b"x", number=n))
        assert len(messages) <= most
        assert [one.number for one in messages] == list(range(n - len(messages) + 1, n + 1))
    assert len(messages) >= most // 2


def test_however_large_they_are_they_take_no_more_than_allowed() -> None:
    kept, messages = KeptMessages(10**6, 10_000), list[Said]()
    for n in range(1000):
        told(kept, messages, Said(b"x" * (n * 37 % 900), number=n))
        assert sum(len(one.content) for one in messages) <= 10_000
        assert messages[-1].number == n
    assert sum(len(one.content) for one in messages) > 5_000


def test_what_was_asked_last_stays_though_it_is_older_than_the_rest() -> None:
    kept, messages = KeptMessages(20, 10**6), list[Said]()
    told(kept, messages, Said(b"first question", from_client=True), *(Said(b"-") for _ in range(5)))
    told(kept, messages, Said(b"second question", from_client=True), *(Said(b"-") for _ in range(500)))
    assert [one.content for one in messages if one.from_client] == [b"second question"]
    assert messages[0].from_client
    assert len(messages) <= 20


def test_a_question_too_large_to_stay_does_not_push_out_the_answer() -> None:
    kept, messages = KeptMessages(20, 1000), list[Said]()
    told(kept, messages, Said(b"q" * 990, from_client=True), *(Said(b"a" * 50, number=n) for n in range(10)))
    assert [one.number for one in messages] == list(range(10))


def test_the_newest_message_stays_whatever_its_size() -> None:
    kept, messages = KeptMessages(20, 1000), list[Said]()
    told(kept, messages, *(Said(b"a") for _ in range(10)), Said(b"b" * 5000))
    assert [len(one.content) for one in messages] == [5000]


def test_a_list_that_somebody_has_cleared_is_begun_again() -> None:
    kept, messages = KeptMessages(4, 100), list[Said]()
    told(kept, messages, Said(b"a" * 90))
    messages.clear()
    kept.added(messages)
    told(kept, messages, Said(b"b" * 90))
    assert [one.content[:1] for one in messages] == [b"b"]
