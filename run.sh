#!/usr/bin/env bash
# The one command of the CodeMie proxy: finds a Python, makes the environment, runs what you ask for.
# Written for bash 3.2 and without GNU-only flags, so that a stock macOS runs it too.
set -euo pipefail

readonly OLDEST="3.12"
readonly LOCK_PATIENCE=900 # seconds to wait for another install

usage() {
    cat <<'USAGE'
Usage: ./run.sh COMMAND [ARGUMENTS]

  run AGENT        start an agent through the proxy: run claude, run --via https-proxy codex
  start [TARGET]   run the proxy in the foreground; TARGET is the model API, for example https://api.anthropic.com
  daemon start     the same in the background; also: daemon stop, daemon restart, daemon status
  doctor           what is wrong with this set-up, and what helps
  demo             watch it work in half a minute, with no account and no network
  dump ARGS        plain mitmdump with the bundle loaded; ARGS are mitmdump's own
  web ARGS         mitmweb with the bundle loaded, to look at flows and streams in a browser
  auth login       sign in to CodeMie in the browser; also: auth status, auth refresh, auth logout
  accounts add     put one of your keys into the pool; also: accounts list, accounts pause, ...
  stats, requests, sessions, export, metrics                                what was used, and what it cost
  open, top        the dashboard in your browser; the same on a terminal, also over SSH
  config, env, keys, logs, shell-integration, status, vault, version        as codemie-proxy has them

  test [ARGS]      the whole test suite; ARGS are pytest's own. --install first gets what some tests need, with apt
  check            ruff and mypy
  bench [ARGS]     what the proxy costs, measured against a bare mitmdump
  soak [ARGS]      many thousand requests with failures: does it stay as it was?
  test-agents      Claude Code, Codex, Gemini CLI and opencode through the proxy; needs npm

The first command makes an environment in .venv; later ones start at once.
Each command has its own --help. Variables: CODEMIE_PYTHON (interpreter), CODEMIE_VENV (environment folder).
USAGE
}

say() { printf 'codemie: %s\n' "$*" >&2; }

fail() {
    say "$1"
    shift
    local line
    for line in "$@"; do printf '         %s\n' "$line" >&2; done
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

project_root() {
    local path="$1" target
    while [ -L "$path" ]; do
        target="$(readlink "$path")"
        case "$target" in
            /*) path="$target" ;;
            *) path="$(dirname "$path")/$target" ;;
        esac
    done
    cd "$(dirname "$path")" >/dev/null && pwd -P
}

# Prints the interpreter's own path when it fits. Running it is the only test that a pyenv shim cannot fool.
fitting() {
    "$1" -c 'import sys; sys.version_info >= (3, 12) or sys.exit(1); print(sys.executable)' 2>/dev/null </dev/null
}

# A shim names pyenv's folder even when HOME does not.
pyenv_roots() {
    local entry
    printf '%s\n' "${PYENV_ROOT:-}" "${HOME:+$HOME/.pyenv}"
    printf '%s\n' "$PATH" | tr ':' '\n' | while IFS= read -r entry; do
        case "$entry" in */shims | */shims/) dirname "$entry" ;; esac
    done
    if have pyenv; then
        dirname "$(dirname "$(command -v pyenv)")"
        pyenv root 2>/dev/null || true
    fi
}

# Highest version first.
pyenv_pythons() {
    local root python
    pyenv_roots | while IFS= read -r root; do
        if [ -z "$root" ] || [ ! -d "$root/versions" ]; then continue; fi
        for python in "$root/versions"/*/bin/python; do printf '%s\n' "${python#"$root/versions/"}"; done |
            sort -t. -k1,1nr -k2,2nr -k3,3nr |
            while IFS= read -r python; do printf '%s\n' "$root/versions/$python"; done
    done
}

candidates() {
    local name
    if have uv; then uv python find ">=$OLDEST" 2>/dev/null || true; fi
    for name in python3.13 python3.12 python3 python; do type -aP "$name" || true; done
    pyenv_pythons
}

find_python() {
    local candidate found
    if [ -n "${CODEMIE_PYTHON:-}" ]; then
        fitting "$CODEMIE_PYTHON" && return
        fail "CODEMIE_PYTHON=$CODEMIE_PYTHON is not a Python $OLDEST or newer that runs." \
            "Point it at another interpreter, or unset it and let run.sh look for one."
    fi
    while IFS= read -r candidate; do
        if found="$(fitting "$candidate")"; then
            printf '%s\n' "$found"
            return
        fi
    done < <(candidates)
    fail "no Python $OLDEST or newer found." \
        "Tried: uv, python3.13, python3.12, python3 and python on PATH, and the versions of pyenv." \
        "Any one of these helps:" \
        "  - install Python 3.13 with your system's package manager (apt, dnf, brew)" \
        "  - install uv or pyenv, then: uv python install 3.13    or: pyenv install 3.13" \
        "  - set CODEMIE_PYTHON=/path/to/python3.13 when you have one elsewhere"
}

# What the environment must have been made from. The folders belong to it: scripts in an environment hold their own path.
wanted_stamp() {
    printf '%s %s %s\n' "$(cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" | cksum | tr ' ' '-')" "$ROOT" "$VENV"
}

# is_ready EXTRAS: no Python is started here, this is all that a second start waits for.
is_ready() {
    local stamp
    [ -x "$VENV/bin/python" ] && [ ! -e "$VENV/.codemie-installing" ] && [ -r "$VENV/.codemie-$1" ] || return 1
    IFS= read -r stamp <"$VENV/.codemie-$1" || return 1
    [ "$stamp" = "$WANTED" ]
}

ensure_environment() {
    is_ready "$1" && return
    mkdir -p "$(dirname "$VENV")" 2>/dev/null || true
    [ -w "$(dirname "$VENV")" ] ||
        fail "cannot write to $(dirname "$VENV")." "Set CODEMIE_VENV to a folder of your own."
    trap release EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    take_lock
    if ! is_ready "$1"; then
        make_environment
        install_project "$1"
    fi
    release
    trap - EXIT INT TERM
}

WORKER="" # pid of the running install
LOCKED=""

take_lock() {
    local waited=0 owner
    # A hard link comes into being with its content: nobody ever reads a lock without a pid.
    printf '%s\n' "$$" >"$VENV.lock.$$"
    until ln "$VENV.lock.$$" "$VENV.lock" 2>/dev/null; do
        owner="$(cat "$VENV.lock" 2>/dev/null || true)"
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -f "$VENV.lock"
            continue
        fi
        [ "$waited" -gt 0 ] || say "another run.sh (pid $owner) is installing, waiting for it"
        [ "$waited" -lt "$LOCK_PATIENCE" ] ||
            fail "waited $LOCK_PATIENCE s for $VENV.lock." "If no other run.sh is installing, remove that file and try again."
        sleep 1
        waited=$((waited + 1))
    done
    LOCKED=yes
    rm -f "$VENV.lock.$$"
}

release() {
    if [ -n "$WORKER" ]; then kill "$WORKER" 2>/dev/null || true; fi
    rm -f "$VENV.lock.$$"
    if [ -n "$LOCKED" ]; then rm -f "$VENV.lock"; fi
    LOCKED=""
}

# Keeps an environment that only needs other packages; anything else is made anew.
make_environment() {
    if [ -e "$VENV/.codemie-installing" ]; then
        say "the last install was interrupted, starting over"
    elif [ -x "$VENV/bin/python" ] && grep -qxF "$ROOT $VENV" "$VENV/.codemie-made" 2>/dev/null; then
        return
    elif [ -n "$(ls -A "$VENV" 2>/dev/null)" ] && [ ! -e "$VENV/.codemie-made" ]; then
        fail "$VENV exists and was not made by run.sh." "Remove it, or set CODEMIE_VENV to a new folder."
    fi
    PYTHON="$(find_python)"
    say "making an environment in $VENV with $("$PYTHON" --version)"
    # Moved away first: a half-deleted environment could not be told from somebody else's folder.
    rm -rf "$VENV.old"
    if [ -e "$VENV" ]; then mv "$VENV" "$VENV.old"; fi
    rm -rf "$VENV.old"
    mkdir "$VENV"
    : >"$VENV/.codemie-installing"
    if uses_uv; then
        watched "environment made" uv venv --quiet --seed --allow-existing --python "$PYTHON" "$VENV"
    else
        watched "environment made" "$PYTHON" -m venv "$VENV"
    fi
    printf '%s\n' "$ROOT $VENV" >"$VENV/.codemie-made"
}

# uv does not read pip's settings: whoever made pip find its packages gets pip.
uses_uv() {
    have uv && [ -z "${PIP_INDEX_URL:-}${PIP_EXTRA_INDEX_URL:-}${PIP_FIND_LINKS:-}${PIP_NO_INDEX:-}" ] &&
        [ -z "${PIP_CERT:-}${PIP_PROXY:-}${PIP_CONFIG_FILE:-}" ]
}

install_project() {
    local extras="admin,cli,fast,keyring,oauth,postgres,prices,store,telemetry,top"
    if [ "$1" = dev ]; then extras="$extras,dev"; fi
    say "installing mitmproxy and friends [$extras]; the first time takes a minute or two"
    # Stays behind when this is killed half way: pip takes a half-copied package for an installed one.
    : >"$VENV/.codemie-installing"
    if uses_uv; then
        set -- uv pip install --quiet --python "$VENV/bin/python"
    else
        set -- "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input
    fi
    watched "installed" "$@" -c "$ROOT/constraints.txt" -e "${ROOT}[$extras]"
    printf '%s\n' "$WANTED" >"$VENV/.codemie-run"
    case "$extras" in *dev) printf '%s\n' "$WANTED" >"$VENV/.codemie-dev" ;; esac
    rm -f "$VENV/.codemie-installing"
}

# watched DONE COMMAND...: runs the command into a log, shows the seconds, explains a failure.
watched() {
    local label="$1" began="$SECONDS" status=0
    shift
    "$@" >"$VENV.log" 2>&1 </dev/null &
    WORKER=$!
    while kill -0 "$WORKER" 2>/dev/null; do
        sleep 0.2
        if [ -t 2 ]; then printf '\rcodemie: %3d s ' "$((SECONDS - began))" >&2; fi
    done
    wait "$WORKER" || status=$?
    WORKER=""
    if [ -t 2 ]; then printf '\r' >&2; fi
    if [ "$status" -ne 0 ]; then explain_failure; fi
    say "$label after $((SECONDS - began)) s"
    rm -f "$VENV.log"
}

explain_failure() {
    local hint="Nothing in it is known to run.sh; the rest of the log may tell more."
    said() { grep -Eqi "$1" "$VENV.log"; }
    if said 'ensurepip is not available|No module named (venv|ensurepip)'; then
        hint="This Python lacks its venv module: install it (Debian, Ubuntu: apt install python3-venv) or use uv."
    elif said 'CERTIFICATE_VERIFY_FAILED|SSLError|UnknownIssuer|invalid peer certificate'; then
        hint="TLS to the package index is not trusted: set PIP_CERT (uv: SSL_CERT_FILE) to your company's CA bundle."
    elif said 'ProxyError|Tunnel connection failed|Proxy Authentication|Cannot connect to proxy'; then
        hint="The HTTP proxy refused: check HTTPS_PROXY and NO_PROXY, or set PIP_PROXY."
    elif said 'name resolution|Name or service not known|nodename nor servname|dns error|unreachable|NewConnectionError|Connection refused|timed out'; then
        hint="No way to the package index: offline? Set HTTPS_PROXY, PIP_INDEX_URL (a mirror) or PIP_FIND_LINKS with PIP_NO_INDEX=1 (a folder of wheels)."
    elif said 'No matching distribution|ResolutionImpossible|no version of|unsatisfiable|No solution found'; then
        hint="The package index lacks a version of constraints.txt: unreachable, an old mirror, or a Python it has no packages for (set CODEMIE_PYTHON to a 3.12 or 3.13)."
    elif said 'No space left'; then
        hint="The disk is full: make room, or set CODEMIE_VENV and TMPDIR to a bigger one."
    fi
    # A clean failure leaves what was there before intact; only a kill leaves the mark of an interrupted install.
    if [ -e "$VENV/.codemie-made" ]; then rm -f "$VENV/.codemie-installing"; else rm -rf "$VENV"; fi
    { grep -v '^WARNING' "$VENV.log" || true; } | tail -n 12 | sed 's/^/         | /' >&2
    fail "the install failed; the full log is $VENV.log" "$hint"
}

# bundle TOOL ARGS...: ours come first, so that a --listen-host of the user's own wins.
bundle() {
    local tool="$1" argument
    shift
    for argument in "$@"; do
        # Given as --set it would lose against our flag.
        case "$argument" in
            listen_host=* | --set=listen_host=*) exec "$VENV/bin/$tool" -s "$ROOT/addons/codemie.py" "$@" ;;
        esac
    done
    exec "$VENV/bin/$tool" -s "$ROOT/addons/codemie.py" --listen-host 127.0.0.1 "$@"
}

dump() { bundle mitmdump "$@"; }
web() { bundle mitmweb --no-web-open-browser --set store_streamed_bodies=true --set codemie_kept_flows=500 "$@"; }

run_check() {
    local status=0
    cd "$ROOT"
    "$VENV/bin/python" -m ruff check . || status=1
    "$VENV/bin/python" -m ruff format --check . || status=1
    "$VENV/bin/python" -m mypy || status=1
    exit "$status"
}

# program=package, Debian's names. Tests of one that is absent are skipped.
TEST_PROGRAMS="chromium=chromium dbus-run-session=dbus gnome-keyring-daemon=gnome-keyring secret-tool=libsecret-tools"
readonly TEST_PROGRAMS="$TEST_PROGRAMS node=nodejs openssl=openssl pg_ctlcluster=postgresql fish=fish tinyproxy=tinyproxy-bin zsh=zsh"

run_test() {
    if [ "${1:-}" = --install ]; then
        shift
        if install_test_programs; then export CODEMIE_TEST_PROGRAMS=required; fi
    fi
    cd "$ROOT" && exec "$VENV/bin/python" -m pytest "$@"
}

missing_packages() {
    local pair
    for pair in $TEST_PROGRAMS; do have "${pair%%=*}" || printf '%s ' "${pair#*=}"; done
}

install_test_programs() {
    local missing sudo=""
    missing="$(missing_packages)" && [ -n "$missing" ] || return 0
    say "getting what some tests need: $missing"
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    # shellcheck disable=SC2086 # the names are words of ours; each is to be an argument
    { $sudo apt-get -qq update && $sudo apt-get -qq install -y --no-install-recommends $missing; } \
        >"$VENV.log" 2>&1 </dev/null || tail -n 3 "$VENV.log" >&2
    rm -f "$VENV.log"
    missing="$(missing_packages)" && [ -n "$missing" ] || return 0
    say "not installed, so some tests will be skipped: $missing"
    return 1
}

main() {
    local command="${1:-help}"
    if [ $# -gt 0 ]; then shift; fi
    case "$command" in
        help | -h | --help) usage ;;
        start | run | env | daemon | doctor | shell-integration | demo | accounts | auth | config | export | keys | logs | metrics | open | \
            requests | sessions | stats | status | top | vault | version)
            ensure_environment run
            exec "$VENV/bin/codemie-proxy" "$command" "$@"
            ;;
        dump | web) ensure_environment run; "$command" "$@" ;;
        test | check) ensure_environment dev; "run_$command" "$@" ;;
        test-agents) ensure_environment dev; run_test -p no:cacheprovider tests/agents "$@" ;;
        bench | soak) ensure_environment dev; cd "$ROOT/tests"; exec "$VENV/bin/python" -m "$command.run" "$@" ;;
        *) say "unknown command: $command"; usage >&2; exit 2 ;;
    esac
}

# Python takes an empty HOME for the root folder; without one it asks the user database.
if [ -z "${HOME:-}" ]; then unset HOME; fi
ROOT="$(project_root "${BASH_SOURCE[0]}")"
VENV="${CODEMIE_VENV:-$ROOT/.venv}"
case "$VENV" in /*) ;; *) VENV="$PWD/$VENV" ;; esac
WANTED="$(wanted_stamp)"
main "$@"
