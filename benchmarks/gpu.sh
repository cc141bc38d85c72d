#!/usr/bin/env bash
# Measure every figure of a GPU: benchmarks/gpu.sh OUT [PART...]
#
# Each part runs under a time limit of its own, with its output in OUT/PART.log and its page in
# OUT/PART.md, and a part that fails or runs out of time does not stop the next one. All limits
# together are 480 s. PART:SECONDS sets another limit. The exit status is 0 if every part succeeded.
#
#   PYTHON     interpreter; default: .venv/bin/python of the checkout, or python3
#   DEVICE     cuda, or cpu to try the script out with tiny settings
#   DATA_ROOT  image folder of a run of 20 epochs, the part "run"; without it the part is left out
set -u

# name, limit in seconds; the order is that of the measurements
PARTS=(
  tests:100 step-micro:35 step-small:50 step-base:60 replay:25 avalanche:50
  model-small:45 model-base:35 jobs:40 reading:15 run:25
)

usage() {
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  echo "parts: ${PARTS[*]}" >&2
  exit 2
}

[ $# -ge 1 ] && [ "${1#-}" = "$1" ] || usage
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
device=${DEVICE:-cuda}
python=${PYTHON:-$root/.venv/bin/python}
[ -n "${PYTHON:-}" ] || [ -x "$python" ] || python=python3

# The limit of a part in the list above; empty for an unknown part.
default_limit() {
  local part
  for part in "${PARTS[@]}"; do
    [ "${part%%:*}" = "$1" ] && echo "${part##*:}"
  done
}

# The package and its plugins lie beside one another in a checkout. Where an editable install does not
# join them, measure a copy in which they are joined, never another copy that happens to be installed.
cd "$root" || exit 2
if ! "$python" -c "import seit_cl.strategies, seit_cl.scenarios, seit_cl.reports" 2>/dev/null; then
  rm -rf "$out/checkout"
  mkdir -p "$out/checkout"
  cp -r seit_cl benchmarks studies tests pyproject.toml setup.cfg "$out/checkout"
  cp -r strategies scenarios reports "$out/checkout/seit_cl"
  cd "$out/checkout" || exit 2
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONWARNINGS=ignore

# Set `command` to the words of a part.
choose_command() {
  local part=$1
  local page=(--device "$device" --write "$out/$part.md")
  local graph=(--precision bf16 --compile)
  local full=(--resolution 256 --batch 128 --replay-batch 128 --rounds 5 --steps 6)
  local trial=() trial_model=()
  if [ "$device" = cpu ]; then
    trial=(--model micro --resolution 64 --batch 4 --replay-batch 4 --rounds 1 --steps 1)
    trial_model=(--model micro --resolution 64 --batch 4 --rounds 1 --steps 1 --no-compile)
    graph=(--precision fp32)
  fi
  local step=("$python" -m benchmarks.step "${page[@]}" "${graph[@]}")
  local model=("$python" -m benchmarks.model "${page[@]}")
  case $part in
    tests)
      local files
      mapfile -t files < <(grep -rlE --include='test_*.py' 'mark\.cuda' tests)
      command=("$python" -m pytest -m cuda -p no:cacheprovider "${files[@]}")
      ;;
    step-micro) command=("${step[@]}" --batch 128 --replay-batch 128 --steps 50 "${trial[@]}") ;;
    step-small) command=("${step[@]}" --model small "${full[@]}" "${trial[@]}") ;;
    step-base) command=("${step[@]}" --model base "${full[@]}" "${trial[@]}") ;;
    replay)
      command=("$python" -m benchmarks.replay "${page[@]}" --resolution 256 --batch 256)
      command+=(--exemplars 1500)
      [ "$device" = cpu ] && command+=(--resolution 64 --batch 4 --exemplars 8 --rounds 1)
      ;;
    avalanche)
      command=("$python" -m benchmarks.avalanche "${page[@]}" --precision bf16)
      command+=(--rounds 2 --steps 20 --cuda-steps 200)
      if [ "$device" = cpu ]; then
        command+=("${trial[@]}" --precision fp32 --exemplars 8)
      else
        command+=(--device cuda cpu)
      fi
      ;;
    model-small) command=("${model[@]}" --model small --limit 30 "${trial_model[@]}") ;;
    model-base) command=("${model[@]}" --model base --limit 17 "${trial_model[@]}") ;;
    jobs) command=("$python" -m benchmarks.jobs "${page[@]}" --jobs 1 15 4 8 --runs 1 --epochs 1) ;;
    reading)
      command=("$python" -m benchmarks.reading "${page[@]}" --rounds 2 --full-size 48)
      [ "$device" = cpu ] && command+=(--small 8 --full-size 4)
      ;;
    run)
      command=("$python" -m seit_cl.run --data-root "$DATA_ROOT" --epochs 20 --device "$device")
      command+=(--out "$out/run")
      ;;
  esac
}

# Run a part under its limit, and print its name, outcome and seconds.
run_part() {
  local part=$1 limit=$2 started=$SECONDS outcome=ok command
  choose_command "$part"
  timeout --kill-after=5 "$limit" "${command[@]}" >"$out/$part.log" 2>&1 </dev/null
  case $? in
    0) ;;
    124 | 137) outcome=timeout ;;
    *) outcome=failed ;;
  esac
  [ $outcome = ok ] || failures=$((failures + 1))
  printf '%-11s %-7s %3d s of %d s\n' "$part" $outcome $((SECONDS - started)) "$limit" |
    tee -a "$out/summary.txt"
}

chosen=("$@")
if [ ${#chosen[@]} = 0 ]; then
  chosen=("${PARTS[@]}")
  [ -n "${DATA_ROOT:-}" ] || unset 'chosen[-1]' # the run
fi
for part in "${chosen[@]}"; do
  if [ -z "$(default_limit "${part%%:*}")" ]; then
    echo "$part: there is no such part" >&2
    usage
  fi
done
if [[ " ${chosen[*]}" =~ \ run(:| |$) ]] && [ -z "${DATA_ROOT:-}" ]; then
  echo "run: set DATA_ROOT to an image folder" >&2
  exit 2
fi

failures=0
: >"$out/summary.txt"
for part in "${chosen[@]}"; do
  limit=${part##*:}
  [ "$limit" = "$part" ] && limit=$(default_limit "$part")
  run_part "${part%%:*}" "$limit"
done
[ $failures = 0 ]
