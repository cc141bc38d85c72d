#!/usr/bin/env bash
# usage: try_distributions.sh FOLDER CONSTRAINTS
# Install the wheel of FOLDER in empty environments and run it there, with every Python from 3.11 to
# 3.13 that is on the PATH or installed by pyenv; in the first one, the source archive in its place, too.
set -euo pipefail
folder=$(realpath "$1")
constraints=$(realpath "$2")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

python_of() {  # version; prints the path of that Python, or nothing
    if "python$1" -c "" 2>/dev/null; then command -v "python$1"; return; fi
    ls -d "$(pyenv root 2>/dev/null)/versions/$1".*/bin/python 2>/dev/null | tail -1 || true
}

try() {  # python, file; in the environment of that Python, with what it has installed already
    local home="$scratch/environment"
    "$1" -m venv "$home"
    "$home/bin/pip" install --quiet --constraint "$constraints" "$2"
    cd "$home"
    rm -rf runs
    bin/python -m seit_cl.run --memory-mb 0.002 --experiences 2 --epochs 1 --format tokens jpeg --out runs >log.txt 2>&1 || { cat log.txt; exit 1; }
    test -s runs/report.html
    bin/seit-cl --help >/dev/null
    bin/python -c 'import pathlib, seit_cl; assert (pathlib.Path(seit_cl.__file__).parent / "py.typed").exists()'
    echo "$("$1" --version): $(basename "$2") installs and runs"
    cd "$scratch"
}

tried=
for version in 3.11 3.12 3.13; do
    python=$(python_of "$version")
    test -n "$python" || continue
    try "$python" "$folder"/*.whl
    if [ -z "$tried" ]; then
        "$scratch/environment/bin/pip" uninstall --quiet --yes seit_cl
        try "$python" "$folder"/*.tar.gz
        tried=1
    fi
    rm -rf "$scratch/environment"
done
test -n "$tried" || { echo "no Python from 3.11 to 3.13 can be found"; exit 1; }
