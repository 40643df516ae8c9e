#!/usr/bin/env bash
# Makes the models of docs/compatibility.md: make-models.sh SMOLLM2.gguf FOLDER
# SMOLLM2.gguf is a published GGUF of SmolLM2-135M-Instruct; the other source is models/wiki-7m. Set NIBBLE to use another launcher.
set -euo pipefail
[ $# -eq 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
nibble=${NIBBLE:-$root/nibble} gguf=$1 out=$2
mkdir -p "$out"

make() { # name of the output, then a command that ends where the output's folder comes
  local name=$1 verb=$2 source=$3
  shift 3
  [ -d "$out/$name" ] || "$nibble" "$verb" "$source" "$out/$name" "$@"
}
# The 4-bit formats hold the same codes, zeros and scales; -dense are the fp16 weights that loaders make of them.
formats() { # source, name, group size
  make "$2-awq" quantize "$1" --group-size "$3" --samples 16 --seq-len 1024
  make "$2-gptq" convert "$out/$2-awq" --format gptq
  make "$2-compressed-tensors" convert "$out/$2-awq" --format compressed-tensors
  make "$2-Q4_1" convert "$out/$2-awq" --format gguf --type Q4_1
  make "$2-dense" convert "$out/$2-awq" --format safetensors
  for name in awq gptq compressed-tensors Q4_1; do verify "$2-$name" "$1"; done
}
verify() { # name, source
  "$nibble" verify "$out/$1" --against "$2" >"$out/$1.verify" || { cat "$out/$1.verify" >&2; return 1; }
}
make smollm2 convert "$gguf" --format safetensors --type F16
formats "$root/models/wiki-7m" wiki-7m-128 128
formats "$out/smollm2" smollm2-64 64
formats "$out/smollm2" smollm2-32 32
for type in F16 Q8_0 Q6_K Q4_K_M Q4_0; do
  make "wiki-7m-$type" convert "$root/models/wiki-7m" --format gguf --type "$type"
  make "smollm2-$type" convert "$out/smollm2" --format gguf --type "$type"
  verify "wiki-7m-$type" "$root/models/wiki-7m"
  verify "smollm2-$type" "$out/smollm2"
done
