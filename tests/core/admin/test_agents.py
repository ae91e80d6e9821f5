from codemie_core.admin.agents import agents
from codemie_core.admin.asked import Asked
from support.history_cli import keep, some_turns
from support.planes import now, plane_of
from support.turn_rows import new_turn


async def test_each_agent_tells_what_it_used_and_on_what() -> None:
    keep([*some_turns(), new_turn(6, agent="a-new-one", model="", project="", account="")])
    async with plane_of(clock=now) as room:
        told = (await agents(room.plane)).agents
        only = (await agents(room.plane, Asked(models=("local-model",)))).agents
    assert [(one.id, one.name, one.requests) for one in told] == [
        ("claude", "Claude Code", 4),
        ("a-new-one", "a-new-one", 1),
        ("codex", "Codex", 1),
    ]
    assert (told[0].accounts, told[0].projects, told[0].sessions) == (["main", "spare"], ["shop"], 2)
    assert (told[1].models, told[1].accounts, told[1].projects) == ([], [], [])
    assert [(one.id, one.models) for one in only] == [("codex", ["local-model"])]


async def test_nobody_has_worked_yet() -> None:
    async with plane_of() as room:
        assert (await agents(room.plane)).agents == []
