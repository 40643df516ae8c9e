#!/usr/bin/env bash
# Throughput of conversions beside a plain copy of the same bytes, synced to disk, in GB of input a second.
# usage: docs/convert-speed.sh WORK_FOLDER [LAYERS] [TORCH_MODEL]
# Makes a random fp16 model of so many 7B-shaped layers (default 4: 1.6 GB of layers and 0.5 GB beside them); TORCH_MODEL, a folder with
# pytorch_model*.bin, is converted to safetensors too. Everything made is deleted again. NIBBLE names another launcher.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
nibble=${NIBBLE:-$root/nibble}
work=$1 layers=${2:-4} torch=${3:-}
mkdir -p "$work"
trap 'rm -rf "$work/model" "$work/copy" "$work/out"' EXIT
"$nibble" bench make-model --shape llama-2-7b --layers "$layers" --tokenizer "$root/models/wiki-7m" "$work/model" >/dev/null 2>&1
timed() { # NAME MODEL COMMAND...
  local name=$1 model=$2 bytes start end
  shift 2
  bytes=$(du -sbL "$model" | cut -f 1)
  rm -rf "$work/out" "$work/copy"
  sync
  start=$(date +%s.%N)
  "$@" >/dev/null 2>&1
  end=$(date +%s.%N)
  awk "BEGIN { printf \"%-28s %6.2f s %6.3f GB/s\n\", \"$name\", $end - $start, $bytes / 1e9 / ($end - $start) }"
}
copy() {
  mkdir -p "$work/copy"
  for file in "$1"/*; do dd if="$file" of="$work/copy/$(basename "$file")" bs=64M conv=fsync; done
}
for round in 1 2 3; do
  timed "copy" "$work/model" copy "$work/model"
  timed "fp16 to Q4_K_S" "$work/model" "$nibble" convert "$work/model" "$work/out" --format gguf --type Q4_K_S
  timed "fp16 to Q4_0" "$work/model" "$nibble" convert "$work/model" "$work/out" --format gguf --type Q4_0
  if [ -n "$torch" ]; then
    timed "copy of .bin" "$torch" copy "$torch"
    timed ".bin to safetensors" "$torch" "$nibble" convert "$torch" "$work/out" --format safetensors
  fi
done
