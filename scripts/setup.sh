#!/bin/sh
# Make this checkout runnable: create .venv with the pinned dependencies and find or install redis-server.
# Safe to run again; does nothing if nothing has changed. Needs Python 3.11 or newer.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
REQUIREMENTS=requirements/dev.txt
STAMP=.venv/installed

# as_root COMMAND...: run the command as root if that needs no password, else fail.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@" 2>/dev/null; fi
}

# install_packages NAME...: install Debian packages, if this is Debian and we have the rights.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || return 1
    echo "Installing $* ..."
    as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "facequeue needs Python 3.11 or newer; set PYTHON to its path." >&2
    exit 1
}

if ! command -v redis-server >/dev/null 2>&1; then
    install_packages redis-server || {
        echo "redis-server is missing: install it (Debian: apt install redis-server, macOS: brew install redis)." >&2
        exit 1
    }
fi

# The browser tests need Chromium. Without it they are skipped, so failing to install it is not an error.
if [ "${WITH_BROWSER:-}" = 1 ] && ! command -v chromium >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1; then
    install_packages chromium || echo "No Chromium found: the browser tests will be skipped."
fi

WANTED=$(cksum "$REQUIREMENTS")
[ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANTED" ] && exit 0

if [ ! -x .venv/bin/pip ]; then
    echo "Creating .venv ..."
    rm -rf .venv
    # On Debian the venv module is a separate package.
    "$PYTHON" -m venv .venv 2>/dev/null || {
        install_packages python3-venv && rm -rf .venv && "$PYTHON" -m venv .venv
    } || {
        echo "Python's venv module is missing: install it (Debian: apt install python3-venv)." >&2
        exit 1
    }
fi
echo "Installing the dependencies into .venv ..."
# --no-deps: the file already lists every dependency, and pip would pull in opencv's desktop build again.
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$REQUIREMENTS"
echo "$WANTED" >"$STAMP"
