"""Where an account's secret comes from, and that it is fetched once, in time, and never shown."""

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.accounts import secrets
from codemie_core.accounts.account import Account, SecretRef, Source
from codemie_core.accounts.secrets import LONGEST, SecretShelf, SecretTrouble
from support import secret_service
from support.pools import named_account

PLANTED = "planted-secret-of-main"
PATH = {"PATH": os.environ["PATH"]}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time for a command, but where that is what is tested."""
    monkeypatch.setattr(secrets, "COMMAND_TIMEOUT", 60.0)


def account(source: Source = Source.VAULT, place: str = "") -> Account:
    return dataclasses.replace(named_account("main"), secret=SecretRef(source, place))


def command(program: str) -> Account:
    """An account whose secret a Python program prints."""
    return account(Source.COMMAND, f"{sys.executable} -c '{program}'")


class TheVault:
    """Gives what it has, when it is let; counts."""

    def __init__(self, *values: str) -> None:
        self.values, self.asked = [*values], 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, account: Account) -> SecretStr:
        self.asked += 1
        value = self.values.pop(0) if self.values else ""
        await self.open.wait()
        if not value:
            raise SecretTrouble(f"account {account.name}: the vault holds nothing for it")
        return SecretStr(value)


def shelf(
    vault: Callable[[Account], Awaitable[SecretStr]] | None = None, environ: Mapping[str, str] = PATH
) -> SecretShelf:
    return SecretShelf(environ, vault or TheVault())


async def value(of: SecretShelf, account: Account, fresh: bool = False) -> str:
    return (await of.secret(account, fresh)).get_secret_value()


def begun[Result](work: Coroutine[object, object, Result]) -> asyncio.Task[Result]:
    return asyncio.get_running_loop().create_task(work)


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not seen():  # noqa: ASYNC110 - what is waited for is a count, and another process's end
            await asyncio.sleep(0.01)


async def test_what_was_fetched_once_is_at_hand() -> None:
    vault = TheVault(PLANTED)
    own = shelf(vault)
    assert own.at_hand(account()) is None
    assert await value(own, account()) == PLANTED
    assert own.at_hand(account()) == SecretStr(PLANTED)
    assert await value(own, account()) == PLANTED
    assert vault.asked == 1


async def test_fresh_means_fetched_anew() -> None:
    own = shelf(TheVault("planted-1", "planted-2"))
    assert await value(own, account()) == "planted-1"
    assert await value(own, account(), fresh=True) == "planted-2"
    assert own.at_hand(account()) == SecretStr("planted-2")


async def test_many_who_ask_at_once_fetch_it_once() -> None:
    vault = TheVault(PLANTED)
    own = shelf(vault)
    assert set(await asyncio.gather(*(value(own, account()) for _ in range(50)))) == {PLANTED}
    assert vault.asked == 1


async def test_who_leaves_does_not_end_it_for_the_others() -> None:
    vault = TheVault(PLANTED)
    vault.open.clear()
    own = shelf(vault)
    leaves, stays = (begun(value(own, account())) for _ in range(2))
    await until(lambda: vault.asked == 1)
    leaves.cancel()
    await asyncio.wait([leaves])
    vault.open.set()
    assert await stays == PLANTED


async def test_what_was_replaced_while_it_was_fetched_is_not_kept() -> None:
    vault = TheVault("planted-old", "planted-new")
    vault.open.clear()
    own = shelf(vault)
    early = begun(value(own, account()))
    await until(lambda: vault.asked == 1)
    own.forget(account().id)
    late = begun(value(own, account()))
    await until(lambda: vault.asked == 2)
    vault.open.set()
    assert (await early, await late) == ("planted-old", "planted-new")
    assert own.at_hand(account()) == SecretStr("planted-new")


async def test_an_old_fetch_that_ends_late_does_not_displace_the_new_one() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    values = iter(zip(gates, ("planted-old", "planted-new"), strict=True))

    async def vault(_: Account) -> SecretStr:
        gate, found = next(values)
        await gate.wait()
        return SecretStr(found)

    own = shelf(vault)
    early = begun(value(own, account()))
    await asyncio.sleep(0)
    own.forget(account().id)
    late = begun(value(own, account()))
    await asyncio.sleep(0)
    gates[1].set()
    assert await late == "planted-new"
    gates[0].set()
    assert await early == "planted-old"
    assert own.at_hand(account()) == SecretStr("planted-new")


async def test_one_that_cannot_be_had_any_more_is_not_at_hand_either() -> None:
    own = shelf(TheVault(PLANTED))
    await own.secret(account())
    with pytest.raises(SecretTrouble, match="account main: the vault holds nothing for it"):
        await own.secret(account(), fresh=True)
    assert own.at_hand(account()) is None


@pytest.mark.parametrize("found", ["", " \n", "two\nlines", "tab\tbed", "plänted", "planted\x00"])
async def test_what_cannot_stand_in_a_header_is_no_secret(found: str) -> None:
    with pytest.raises(SecretTrouble) as refused:
        await shelf(environ={"MY_KEY": found}).secret(account(Source.ENV, "MY_KEY"))
    assert str(refused.value) == "account main: env MY_KEY holds no usable secret"


async def test_from_a_variable_it_comes_without_the_space_around_it() -> None:
    assert await value(shelf(environ={"MY_KEY": f" {PLANTED}\n"}), account(Source.ENV, "MY_KEY")) == PLANTED
    with pytest.raises(SecretTrouble, match="account main: OTHER is not set where the proxy was started"):
        await shelf().secret(account(Source.ENV, "OTHER"))


async def test_a_command_runs_without_a_shell_and_its_output_is_the_secret() -> None:
    assert await value(shelf(), account(Source.COMMAND, f"printf %s {PLANTED}")) == PLANTED
    assert await value(shelf(), account(Source.COMMAND, "echo $HOME;id")) == "$HOME;id"


async def test_a_command_runs_again_after_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("planted-1")
    one, own = account(Source.COMMAND, f"cat {tmp_path / 'key'}"), shelf()
    assert await value(own, one) == "planted-1"
    (tmp_path / "key").write_text("planted-2")
    assert await value(own, one) == "planted-1"
    assert await value(own, one, fresh=True) == "planted-2"


@pytest.mark.parametrize(
    "line, words",
    [
        ("/nowhere/program", "cannot be run: No such file or directory"),
        ("'unfinished", "cannot be run: not a command line"),
        ("", "cannot be run: not a command line"),
        ("cat\x00", "cannot be run: not a command line"),
        ("false", "ended with 1"),
        ("true", "its command holds no usable secret"),
        (f"cat /nowhere/{PLANTED}", "ended with 1"),
    ],
)
async def test_a_command_that_fails_is_told_without_its_words(
    line: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SecretTrouble, match=words) as refused:
        await shelf().secret(account(Source.COMMAND, line))
    assert str(refused.value).startswith("account main: its command ")
    assert PLANTED not in f"{refused.value}{capfd.readouterr()}"


async def taken_too_long(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is to be seen of the process that this shell script names by a line of its own in the file `pid`."""
    pid = folder / "pid"
    (folder / "slow").write_text(f"cd {folder}\n{script}\necho {PLANTED}\nwait\n")
    # A busy machine may take longer to come so far.
    for patience in (0.3, 3.0, 30.0):
        monkeypatch.setattr(secrets, "COMMAND_TIMEOUT", patience)
        with pytest.raises(SecretTrouble, match=f"took longer than {patience:g} s") as refused:
            await shelf().secret(account(Source.COMMAND, f"sh {folder / 'slow'}"))
        assert PLANTED not in str(refused.value)
        if pid.exists() and pid.read_text().endswith("\n"):
            break
    return Path(f"/proc/{pid.read_text().strip()}/stat")


def gone(process: Path) -> bool:
    try:
        return process.read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_command_that_takes_too_long_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = await taken_too_long("sleep 600 & echo $! > pid", tmp_path, monkeypatch)
    await until(lambda: gone(child))


async def test_what_leaves_the_commands_session_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = await taken_too_long("setsid sh -c 'echo $$ > pid; exec sleep 600' &", tmp_path, monkeypatch)
    assert not gone(child), "it still has the command's output open"
    os.kill(int(child.parent.name), signal.SIGKILL)


async def test_a_command_that_prints_without_end_is_ended_and_costs_no_memory() -> None:
    with pytest.raises(SecretTrouble, match=f"prints more than {LONGEST // 1024} KiB"):
        await shelf().secret(account(Source.COMMAND, "yes planted"))


async def test_a_command_gets_the_environment_the_proxy_was_started_with_and_nothing_to_read() -> None:
    own = shelf(environ={**PATH, "MY_KEY": PLANTED})
    assert await value(own, command('import os,sys; print(os.environ["MY_KEY"] + sys.stdin.read())')) == PLANTED


async def test_while_a_command_runs_the_loop_goes_on(tmp_path: Path) -> None:
    (tmp_path / "slow").write_text(f"until [ -e {tmp_path / 'go'} ]; do sleep 0.01; done; echo 1")
    running = begun(shelf().secret(account(Source.COMMAND, f"sh {tmp_path / 'slow'}")))
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert not running.done()
    (tmp_path / "go").touch()
    assert (await running).get_secret_value() == "1"


async def test_without_a_keyring_the_entry_is_named() -> None:
    own = shelf(environ={"CODEMIE_KEYRING": "0"})
    with pytest.raises(SecretTrouble, match=r"account main: the keyring does not answer here \(work key\)"):
        await own.secret(account(Source.KEYRING, "work key"))


def test_a_real_keyring_gives_what_another_program_put_there(tmp_path: Path) -> None:
    program = f"""
import asyncio, os
from codemie_core.accounts.account import Account, Kind, SecretRef, Source
from codemie_core.accounts.secrets import SecretShelf, SecretTrouble
def account(place):
    ref = SecretRef(Source.KEYRING, place)
    return Account(place, "main", "anthropic", Kind.API_KEY, "https://api.anthropic.com", ref)
async def main():
    shelf = SecretShelf(os.environ, None)
    print((await shelf.secret(account("work key"))).get_secret_value() == "{PLANTED}")
    try:
        await shelf.secret(account("other"))
    except SecretTrouble as trouble:
        print(trouble)
asyncio.run(main())
"""
    (tmp_path / "program.py").write_text(program)
    put = f"printf {PLANTED} | secret-tool store --label=x service codemie-code account 'work key'\n"
    said = secret_service.run(f'{put}python "{tmp_path}/program.py"', tmp_path)
    assert said.splitlines() == ["True", "account main: the keyring has no such entry (other)"]
