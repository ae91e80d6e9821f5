"""Calls and their results are brought together."""

from codemie_core.inspection.talk import Kind, Message, Part, paired

ASK = Message("user", (Part(Kind.TEXT, "go on"),))


def call(name: str, id_: str = "") -> Part:
    return Part(Kind.CALL, "{}", name, id_)


def result(text: str, name: str = "", id_: str = "") -> Part:
    return Part(Kind.RESULT, text, name, id_)


def test_results_go_to_their_calls_whatever_their_order() -> None:
    one, two = call("Read", "a"), call("Read", "b")
    second, first = result("2", id_="b"), result("1", id_="a")
    messages = (Message("assistant", (one, two)), Message("user", (second, first, Part(Kind.TEXT, "and now?"))))
    assert paired(messages) == [
        Message("assistant", (one, first, two, second)),
        Message("user", (Part(Kind.TEXT, "and now?"),)),
    ]


def test_without_ids_the_oldest_open_call_of_that_name_is_meant() -> None:
    messages = (
        Message("assistant", (call("Read"), call("Bash"), call("Read"))),
        Message("user", (result("1", "Read"), result("2", "Read"), result("3", "Bash"))),
    )
    [message] = paired(messages)
    assert [part.text for part in message.parts] == ["{}", "1", "{}", "3", "{}", "2"]


def test_a_result_whose_call_is_not_there_stays_where_it_is() -> None:
    lost = Message("tool", (result("1", id_="gone"), result("2")))
    assert paired((ASK, lost)) == [ASK, lost]


def test_a_result_before_its_call_is_not_its_result() -> None:
    early = Message("tool", (result("1", id_="a"),))
    late = Message("assistant", (call("Read", "a"),))
    assert paired((early, late)) == [early, late]


def test_equal_calls_keep_their_own_results() -> None:
    twice = Message("assistant", (call("Read", "a"), call("Read", "a")))
    told = Message("user", (result("1", id_="a"), result("2", id_="a")))
    [message] = paired((twice, told))
    assert [part.text for part in message.parts] == ["{}", "1", "{}", "2"]
