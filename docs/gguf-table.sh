#!/usr/bin/env bash
# Converts a model to every GGUF type, with and without importance, and measures each: type, bits per weight of the whole file,
# perplexity, perplexity with importance.
# usage: docs/gguf-table.sh MODEL WORK_FOLDER [options of nibble eval perplexity, as --windows 4]
# What is in WORK_FOLDER already is not made again. TYPES names some types only, NIBBLE another launcher.
set -euo pipefail
nibble=${NIBBLE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/nibble}
model=$1 work=$2
shift 2
mkdir -p "$work"
measure() { # FOLDER [options of eval]
  local folder=$1
  shift
  [ -f "$folder.json" ] || "$nibble" eval perplexity "$folder" --json "$folder.json" "$@" >/dev/null 2>&1
  sed -n 's/.*"perplexity" : \([0-9.]*\).*/\1/p' "$folder.json" | head -n 1 | cut -c1-7
}
convert() { # TYPE FOLDER [options of convert]
  local type=$1 folder=$2
  shift 2
  [ -d "$folder" ] || "$nibble" convert "$model" "$folder" --format gguf --type "$type" "$@" >/dev/null 2>&1
}
weights=$("$nibble" inspect "$model" --json - 2>/dev/null | python3 -c 'import json, math, sys
print(sum(math.prod(t["shape"]) for t in json.load(sys.stdin)["tensors"]))')
echo "| GGUF type | bytes | bits per weight | perplexity | with importance |"
echo "|---|---|---|---|---|"
for type in ${TYPES:-F16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 Q3_K_L Q3_K_M Q3_K_S Q2_K}; do
  convert "$type" "$work/$type"
  plain=$(measure "$work/$type" "$@")
  weighed=
  if [ "$type" != F16 ] && [ "$type" != Q8_0 ]; then
    if [ -f "$work/importance.gguf" ]; then
      convert "$type" "$work/$type-importance" --importance "$work/importance.gguf"
    else
      convert "$type" "$work/$type-importance" --calibration wikitext2 --save-importance "$work/importance.gguf"
    fi
    weighed=$(measure "$work/$type-importance" "$@")
  fi
  bytes=$(stat -c %s "$work/$type"/*.gguf)
  echo "| $type | $bytes | $(awk "BEGIN { printf \"%.3f\", 8 * $bytes / $weights }") | $plain | $weighed |"
done
