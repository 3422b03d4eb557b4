#!/usr/bin/env bash
# Runs every fuzzer of a build folder, one after the other, for equal parts of the given time.
#   cmake --preset fuzz && cmake --build --preset fuzz && tests/fuzz/run.sh SECONDS_TOTAL [BUILD_FOLDER]
# Inputs that were found to reach new code, and those that fail, go to BUILD_FOLDER/fuzz; the seeds are only read.
# Exit code 1 if a fuzzer found something.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
total=${1:?usage: run.sh SECONDS_TOTAL [BUILD_FOLDER]}
build=${2:-$here/../../build/fuzz}

shopt -s nullglob
fuzzers=("$build"/fuzz/*_fuzzer)
if [ ${#fuzzers[@]} -eq 0 ]; then
  echo "no fuzzers in $build/fuzz: cmake --preset fuzz && cmake --build --preset fuzz" >&2
  exit 2
fi
seconds=$((total / ${#fuzzers[@]}))
if [ "$seconds" -lt 1 ]; then
  echo "$total seconds are too few for ${#fuzzers[@]} fuzzers" >&2
  exit 2
fi

failed=()
for fuzzer in "${fuzzers[@]}"; do
  name=$(basename "$fuzzer" _fuzzer)
  corpus=$build/fuzz/corpus/$name
  artifacts=$build/fuzz/artifacts/$name
  mkdir -p "$corpus" "$artifacts"
  seeds=()
  [ -d "$here/corpus/$name" ] && seeds=("$here/corpus/$name")
  dictionary=()
  [ -f "$here/corpus/$name.dict" ] && dictionary=(-dict="$here/corpus/$name.dict")
  echo "== $name: $seconds s"
  if "$fuzzer" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
      -artifact_prefix="$artifacts/" "${dictionary[@]}" "$corpus" "${seeds[@]}" > "$artifacts/log.txt" 2>&1; then
    grep -E 'stat::number_of_executed_units|stat::new_units_added' "$artifacts/log.txt" | sed 's/^stat::/   /'
  else
    tail -n 40 "$artifacts/log.txt"
    failed+=("$name")
  fi
done

if [ ${#failed[@]} -gt 0 ]; then
  echo "findings in: ${failed[*]} (inputs in $build/fuzz/artifacts)" >&2
  exit 1
fi
