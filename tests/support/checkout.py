"""A copy of run.sh in a world of its own, where a scripted interpreter stands in for Python and pip."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    *("bash", "cat", "cksum", "cp", "dirname", "env", "grep", "ln", "ls", "mkdir", "mv"),
    *("readlink", "rm", "sed", "sleep", "sort", "tail", "tr", "chmod"),
)
# What run.sh asks of an interpreter, and no more. FAKE_PIP is the shell code that stands for the install.
INTERPRETER = """#!/usr/bin/env bash
case "$1 ${2:-}" in
    "-c "*) echo "$0" ;;
    "--version "*) echo "Python 3.13.9" ;;
    "-m venv")
        mkdir -p "$3/bin"
        cp "$0" "$3/bin/python"
        for tool in codemie-proxy mitmdump mitmweb; do
            printf '#!/usr/bin/env bash\\nprintf "<%%s>" %s "$@"\\n' "$tool" >"$3/bin/$tool"
            chmod +x "$3/bin/$tool"
        done
        ;;
    "-m pip") echo "$@" >>"$CALLS"; eval "${FAKE_PIP:-}" ;;
    *) printf '<%s>' python "$@" ;;
esac
"""
OLD_INTERPRETER = "#!/usr/bin/env bash\nexit 1\n"


def write_script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Checkout:
    """A copy of what run.sh reads, with a PATH on which nothing is found that a test did not put there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.root.mkdir()
        for name in ("run.sh", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is needed to run run.sh"
            (self.bin / tool).symlink_to(found)
        self.venv = self.root / ".venv"
        self.calls = folder / "pip-calls"
        self.env = {"PATH": str(self.bin), "HOME": str(folder / "empty-home"), "CALLS": str(self.calls)}

    def add_python(self, name: str = "python3.13", text: str = INTERPRETER) -> Path:
        return write_script(self.bin / name, text)

    def start(
        self, *args: str, script: Path | None = None, cwd: Path | None = None, **env: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(script or self.root / "run.sh"), *args],
            cwd=cwd or self.root,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, script: Path | None = None, cwd: Path | None = None, **env: str) -> tuple[int, str, str]:
        process = self.start(*args, script=script, cwd=cwd, **env)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, out, err

    def installs(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that has ended stays a zombie wherever nobody reaps for init.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
