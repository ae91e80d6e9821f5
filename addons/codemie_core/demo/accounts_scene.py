"""The scene of the pool: two keys, the first one limited, and a client that never hears of it."""

from __future__ import annotations

from rich.markup import escape

from codemie_core.demo.script import Step
from codemie_core.demo.stage import Stage, message, poll, require

KEYS = {"first": "demo-key-of-the-first-account", "second": "demo-key-of-the-second-account"}
OWN_KEY = "demo-key-of-the-client-itself"
QUARTER = "900"


async def a_limited_account(stage: Stage) -> None:
    """The accounts come while the proxy runs; the second conversation does not even try the first one."""
    await _add_accounts(stage)
    stage.upstream.script()
    stage.upstream.script_for(KEYS["first"], then=Step(status=429, headers=[("retry-after", QUARTER)]))
    asked = await _conversation(stage, "one")
    require(asked == [("first", 429), ("second", 200)], "the request went on from the first account to the second")
    asked = await _conversation(stage, "two")
    require(asked == [("second", 200)], "the second conversation went to the second account at once")
    stage.say("[dim]$[/] codemie-proxy accounts list")
    listed = await poll(lambda: stage.proxy.command("accounts", "list"), lambda shown: "limited until" in shown)
    for line in listed.splitlines():
        stage.say(f"[cyan]{escape(line.rstrip())}[/]")
    require("limited until" in listed, "the proxy says until when the first account rests")


async def _add_accounts(stage: Stage) -> None:
    for priority, (name, key) in enumerate(KEYS.items()):
        stage.say(f"[dim]$[/] codemie-proxy accounts add {name} --priority {priority} ...")
        await stage.proxy.command(
            *("accounts", "add", name, "--provider", "anthropic-compatible"),
            *("--base-url", stage.upstream.url, "--priority", str(priority)),
            typed=f"{key}\n",
        )

    async def accounts() -> int:
        addons = (await stage.proxy.health(stage.client))["addons"]
        return next((addon["details"]["accounts"] for addon in addons if addon["name"] == "account_rotation"), 0)

    require(await poll(accounts, lambda count: count == 2) == 2, "the running proxy took both accounts")


async def _conversation(stage: Stage, name: str) -> list[tuple[str, int]]:
    """Ask once; each account that was asked for it, and what the upstream said."""
    before = len(stage.upstream.requests)
    headers = {"x-api-key": OWN_KEY, "x-claude-code-session-id": f"conversation-{name}"}
    answer = await stage.client.post(f"{stage.proxy.url}/v1/messages", json=message(True), headers=headers)
    whole = answer.status_code == 200 and answer.content.count(b"message_stop\n") == 1
    require(whole, f"conversation {name} got one whole stream")
    asked = []
    for received in stage.upstream.requests[before:]:
        require(OWN_KEY not in str(received.headers), "the client's own key stayed with the proxy")
        account = next((one for one, key in KEYS.items() if received.keys == [key]), "somebody else")
        status = received.step.status
        asked.append((account, status))
        color = "green" if status == 200 else "red"
        stage.say(f"conversation {name}   asked as {account:8}  the upstream says [{color}]{status}[/]")
    stage.say(f"conversation {name}   the client asked once and got [green]200[/] and the whole stream")
    return asked
