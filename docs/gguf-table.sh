#!/usr/bin/env bash
# Converts a model to every GGUF type and measures each: type, bits per weight of the whole file, perplexity.
# usage: docs/gguf-table.sh MODEL WORK_FOLDER [options of nibble eval perplexity, as --windows 4]
set -euo pipefail
nibble=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/nibble
model=$1 work=$2
shift 2
mkdir -p "$work"
field() { sed -n "s/.*\"$1\" : \([0-9.]*\).*/\1/p" "$2" | head -n 1; }
weights=$("$nibble" inspect "$model" --json - 2>/dev/null | python3 -c 'import json, math, sys
print(sum(math.prod(t["shape"]) for t in json.load(sys.stdin)["tensors"]))')
echo "| type | bytes | bits per weight | perplexity |"
echo "|---|---|---|---|"
for type in F16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 Q3_K_L Q3_K_M Q3_K_S Q2_K; do
  [ -d "$work/$type" ] || "$nibble" convert "$model" "$work/$type" --to gguf --type "$type" >/dev/null 2>&1
  "$nibble" eval perplexity "$work/$type" --json "$work/$type.json" "$@" >/dev/null 2>&1
  bytes=$(stat -c %s "$work/$type"/*.gguf)
  echo "| $type | $bytes | $(awk "BEGIN { printf \"%.3f\", 8 * $bytes / $weights }") | $(field perplexity "$work/$type.json" | cut -c1-7) |"
done
