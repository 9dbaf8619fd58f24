#!/usr/bin/env bash
# tests/release/smoke.sh PYTHON: builds the archives, checks what is in them, and uses the wheel where nothing else is.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(realpath -s "$1") root=$PWD away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT

"$python" -m build --outdir "$away/dist" . >"$away/build.log" 2>&1 || { cat "$away/build.log"; exit 1; }
"$python" -m tests.release.contents "$away/dist"

unset PYTHONPATH  # from here on the wheel's persam alone
cp data/examples/photos/chelsea.jpg data/examples/photos/garden.jpg data/examples/masks/cat.png "$away"
cd "$away"
"$python" -m venv clean
clean/bin/pip install -q -c "$root/constraints.txt" dist/*.whl
clean/bin/python - <<'PYTHON'
import persam, sys
from importlib import metadata
assert persam.__file__.startswith(sys.prefix), persam.__file__
assert persam.__version__ == metadata.version("persam")
PYTHON
clean/bin/persam segment chelsea.jpg cat.png garden.jpg -o found | tee found.jsonl
grep -q '"present": true' found.jsonl
test -s found/masks/garden.png && test -s found/overlays/garden.jpg
