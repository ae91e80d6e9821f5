"""`codemie-proxy accounts`: the operator's own accounts, which requests are shared among."""

from __future__ import annotations

from typing import Annotated

import typer

from codemie_core.cli.accounts_names import account_names, provider_names, strategy_names

app = typer.Typer(
    no_args_is_help=True,
    help="A pool of your own accounts: when one meets its limit, the request goes on with the next.",
    rich_markup_mode="rich",
    epilog="First steps: [bold]codemie-proxy accounts add main --provider anthropic[/], a second one with "
    "[bold]--priority 1[/], then [bold]codemie-proxy start https://api.anthropic.com[/]",
)

ADD_EXAMPLES = """[bold]Examples[/]

codemie-proxy accounts add main --provider anthropic    (asks for the key, hidden)

pass show work/anthropic | codemie-proxy accounts add work --provider anthropic --priority 1

codemie-proxy accounts add ci --provider openai --env CI_OPENAI_KEY    (the proxy reads the variable)

codemie-proxy accounts add team --provider openai --command "op read op://team/openai/key"

codemie-proxy accounts add spare --provider anthropic-compatible --base-url https://llm.example.com/anthropic \
--serves anthropic    (takes over requests to Anthropic)

With a sign-in instead of a key: codemie-proxy auth login PROVIDER --name NAME"""

Name = Annotated[
    str, typer.Argument(help="The account's name, or its id.", autocompletion=account_names, show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one object.")]
AsList = Annotated[bool, typer.Option("--json", help="For programs: a list of objects.")]
Env = Annotated[
    str,
    typer.Option(
        help="The secret is in this environment variable of the proxy.", metavar="VARIABLE", show_default=False
    ),
]
Command = Annotated[
    str,
    typer.Option(help="The secret is what this command prints; no shell, 5 s.", metavar="COMMAND", show_default=False),
]
Keyring = Annotated[
    str,
    typer.Option(help="The secret is in the system's keyring, under this name.", metavar="ENTRY", show_default=False),
]


@app.callback()
def accounts() -> None:
    """Before any of the commands: are their libraries there? Looking for them does not load them."""
    from importlib.util import find_spec

    from codemie_core.errors import SettingsError

    for library in ("sqlalchemy", "alembic"):
        if find_spec(library) is None:
            raise SettingsError(f"accounts need the library {library}: pip install 'codemie-proxy[store]'")


@app.command(epilog=ADD_EXAMPLES)
def add(
    name: Annotated[str, typer.Argument(help="What to call it; shown in lists and logs.", show_default=False)],
    provider: Annotated[
        str,
        typer.Option(
            help="anthropic, openai, gemini, codemie, anthropic-compatible or openai-compatible.",
            autocompletion=provider_names,
            show_default=False,
        ),
    ],
    base_url: Annotated[
        str,
        typer.Option(help="Where its API is; without it the provider's own.", metavar="URL", show_default=False),
    ] = "",
    priority: Annotated[int, typer.Option(min=0, max=1000, help="Lower goes first.")] = 0,
    weight: Annotated[int, typer.Option(min=1, max=1000, help="Its share among accounts of one priority.")] = 1,
    env: Env = "",
    command: Command = "",
    keyring: Keyring = "",
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Only models like this, as in 'claude-sonnet-*'; repeat it for more.", metavar="PATTERN"),
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(help="No models like this; repeat it for more.", metavar="PATTERN")
    ] = None,
    fallback_model: Annotated[
        str,
        typer.Option(
            help="Asked for when no account that serves the asked model is left.", metavar="MODEL", show_default=False
        ),
    ] = "",
    serves: Annotated[
        list[str] | None,
        typer.Option(help="Take over requests to this origin, or provider, too.", metavar="ORIGIN"),
    ] = None,
    outbound_proxy: Annotated[
        str,
        typer.Option(
            help="Reach its API through this proxy; for http://USER@host:port it asks for the password.",
            metavar="URL",
            show_default=False,
        ),
    ] = "",
    tag: Annotated[
        list[str] | None, typer.Option(help="A word of your own; repeat it for more.", metavar="TAG")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put an account into the pool. Its key is asked for, hidden, or read from a pipe; it is never an argument.

    For an account with a sign-in instead of a key: codemie-proxy auth login anthropic --name NAME
    """
    from codemie_core.accounts.entry import Asked
    from codemie_core.cli import accounts_add

    asked = Asked(
        name=name,
        provider=provider,
        base_url=base_url,
        priority=priority,
        weight=weight,
        tags=tag or (),
        allow=allow or (),
        deny=deny or (),
        serves=serves or (),
        fallback_model=fallback_model,
        outbound_proxy=outbound_proxy,
        env=env,
        command=command,
        keyring=keyring,
    )
    accounts_add.add(asked, as_json)


@app.command(
    name="list", epilog="Example: codemie-proxy accounts list --json | jq '.\\[] | select(.state != \"ready\")'"
)
def list_(as_json: AsList = False) -> None:
    """Show the accounts: who goes first, how each one is and until when."""
    from codemie_core.cli import accounts_show

    accounts_show.list_(as_json)


@app.command(epilog="Example: codemie-proxy accounts show main")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show all about one account: state, limits, models, where its secret is, what happened last."""
    from codemie_core.cli import accounts_show

    accounts_show.show(name, as_json)


@app.command(epilog='Example: codemie-proxy accounts pause work --reason "kept for the release"')
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Shown in lists, logs and errors.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Leave an account alone until it is resumed. Requests under way end; its conversations move."""
    from codemie_core.cli import accounts_change

    accounts_change.pause(name, reason, as_json)


@app.command(epilog="Example: codemie-proxy accounts resume work")
def resume(name: Name, as_json: AsJson = False) -> None:
    """Use a paused account again."""
    from codemie_core.cli import accounts_change

    accounts_change.resume(name, as_json)


@app.command(epilog="Example: codemie-proxy accounts priority spare 2")
def priority(
    name: Name,
    number: Annotated[int, typer.Argument(min=0, max=1000, help="Lower goes first.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Say who goes first. It counts for new conversations; those that have an account keep it."""
    from codemie_core.cli import accounts_change

    accounts_change.priority(name, number, as_json)


@app.command(epilog="Example: codemie-proxy accounts weight team 3")
def weight(
    name: Name,
    number: Annotated[int, typer.Argument(min=1, max=1000, help="3 gets three times as many.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Say which share of the new conversations it gets, among accounts of one priority."""
    from codemie_core.cli import accounts_change

    accounts_change.weight(name, number, as_json)


@app.command(epilog="Example: codemie-proxy accounts reset work")
def reset(name: Name, as_json: AsJson = False) -> None:
    """Forget what was heard of its limits, as after new credits: it is asked again at once."""
    from codemie_core.cli import accounts_change

    accounts_change.reset(name, as_json)


@app.command(epilog="Example: codemie-proxy accounts rename work day-job")
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(help="What to call it from now on.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Call an account something else. Its id, history and conversations stay."""
    from codemie_core.cli import accounts_change

    accounts_change.rename(name, new_name, as_json)


@app.command(
    epilog="Examples: codemie-proxy accounts key main, or from a pipe: pass show new-key | "
    "codemie-proxy accounts key main"
)
def key(name: Name, env: Env = "", command: Command = "", keyring: Keyring = "", as_json: AsJson = False) -> None:
    """Give an account another key, or another place to have it from. All else stays, its conversations too."""
    from codemie_core.cli import accounts_add

    accounts_add.key(name, env, command, keyring, as_json)


@app.command(epilog="Example: codemie-proxy accounts remove spare --yes")
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take an account out of the pool and forget its secret. What happened stays in the events."""
    from codemie_core.cli import accounts_change

    accounts_change.remove(name, yes, as_json)


@app.command(name="test", epilog="Example: codemie-proxy accounts test main && echo its key is good")
def try_out(name: Name, as_json: AsJson = False) -> None:
    """Ask the provider for its list of models, once, with the account's secret. Ends with 1 when that fails.

    It costs no tokens and changes nothing.
    """
    from codemie_core.cli import accounts_check

    accounts_check.check(name, as_json)


@app.command(epilog="Example: codemie-proxy accounts strategy least-used")
def strategy(
    name: Annotated[
        str,
        typer.Argument(
            help="The one to use from now on: session, global-session, least-used or drain-soonest.",
            autocompletion=strategy_names,
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show how an account is chosen, or choose another way for all running proxies."""
    from codemie_core.cli import accounts_strategy

    accounts_strategy.strategy(name, as_json)


@app.command(epilog="Example: codemie-proxy accounts events main --limit 20")
def events(
    name: Annotated[
        str, typer.Argument(help="Only this account's.", autocompletion=account_names, show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="The newest so many.")] = 50,
    as_json: AsList = False,
) -> None:
    """Show what happened to accounts: when, what, why, and who or what did it; the newest last."""
    from codemie_core.cli import accounts_events

    accounts_events.events(name, limit, as_json)
