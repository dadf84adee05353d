#!/bin/sh
# Usage: [PYTHON=interpreter] setup_venv.sh VENV REQUIREMENT
#
# Create the virtual environment VENV from a Python >= 3.12 unless a usable one is there, and
# install REQUIREMENT (. or .[extra]) into it in editable mode. Run from the repository root, where
# .python-version lets pyenv offer a 3.12.
set -eu

venv=$1
requirement=$2

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' </dev/null >/dev/null 2>&1
}

can_make_venv() {
    "$1" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1
}

# All interpreters on PATH, the tested version first, then those pyenv keeps but does not offer here.
# A pyenv shim that has no version to run fails is_new_enough, so the search passes it by.
list_candidates() {
    old_ifs=$IFS
    for name in python3.12 python3.13 python3.14 python3 python; do
        IFS=:
        for folder in $PATH; do
            [ -x "$folder/$name" ] && echo "$folder/$name"
        done
        IFS=$old_ifs
    done
    for minor in 12 13 14; do
        for path in "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin/python; do
            [ -x "$path" ] && echo "$path"
        done
    done
    return 0
}

find_python() {
    list_candidates | {
        without_venv=
        while IFS= read -r candidate; do
            is_new_enough "$candidate" || continue
            if can_make_venv "$candidate"; then
                echo "$candidate"
                exit 0
            fi
            without_venv=$candidate
        done
        if [ -n "$without_venv" ]; then
            echo "$without_venv is new enough but lacks the venv module; on Debian and Ubuntu" \
                "install python3-venv (or python3.12-venv)." >&2
        fi
        exit 1
    }
}

explain_failure() {
    cat >&2 <<'TEXT'
bayes_msem needs Python 3.12 or newer, and none that can make a virtual environment was found on
PATH or under pyenv. Any one of these helps; then run the same command again:
  - install Python 3.12 or newer from your system's packages or its installer
  - pyenv install 3.12
  - name an interpreter you have:  make test PYTHON=/path/to/python3.12
  - use conda instead of make:  conda env create -f environment.yml
TEXT
}

if ! is_new_enough "$venv/bin/python"; then
    if [ -z "${PYTHON:-}" ]; then
        PYTHON=$(find_python) || { explain_failure; exit 1; }
    elif ! is_new_enough "$PYTHON"; then
        echo "PYTHON=$PYTHON is not a Python 3.12 or newer that can be run." >&2
        exit 1
    fi
    echo "Creating $venv with $PYTHON"
    "$PYTHON" -m venv --clear "$venv"
fi

python=$venv/bin/python
if ! "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m ensurepip >/dev/null
fi
echo "Installing $requirement into $venv (the first time takes a minute or two)"
"$python" -m pip install -qq --no-input --disable-pip-version-check --editable "$requirement"
