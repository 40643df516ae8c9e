#!/usr/bin/env bash
# Quantize, verify, card, publish, download, verify, eval: every format by way of the hub at $HF_ENDPOINT, which may be a stand-in.
# usage: HF_ENDPOINT=URL HF_TOKEN=TOKEN docs/hub-roundtrip.sh MODEL WORK_FOLDER OWNER [options of nibble eval perplexity]
# NIBBLE names another launcher, LICENSE the one of the cards, METHODS and FORMATS some of them. One line each: perplexity of what was made and of what came back.
set -euo pipefail
nibble=${NIBBLE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/nibble}
model=$1 work=$2 owner=$3
shift 3
mkdir -p "$work"
export HF_HOME=$work/home
name=$(basename "$model")
log=$work/log
perplexity() { # FOLDER-OR-NAME JSON [options]
  local what=$1 json=$2
  shift 2
  "$nibble" eval perplexity "$what" --json "$json" "$@" >>"$log" 2>&1
  sed -n 's/.*"perplexity" : \([0-9.]*\).*/\1/p' "$json" | head -n 1
}
[ -f "$work/source.json" ] || perplexity "$model" "$work/source.json" "$@" >/dev/null
for method in ${METHODS:-rtn awq best}; do
  for format in ${FORMATS:-awq gptq compressed-tensors gguf}; do
    out=$work/$method-$format repo=$owner/$name-$method-$format
    given=(--method "$method")
    [ "$format" = gguf ] || given+=(--format "$format")
    [ "$method" = rtn ] || given+=(--samples 16 --seq-len 256)
    if [ "$format" = gguf ]; then
      "$nibble" quantize "$model" "$out-4bit" "${given[@]}" >>"$log" 2>&1
      "$nibble" convert "$out-4bit" "$out" --format gguf --type Q4_1 >>"$log" 2>&1
    else
      "$nibble" quantize "$model" "$out" "${given[@]}" >>"$log" 2>&1
    fi
    "$nibble" verify "$out" --against "$model" >>"$log" 2>&1
    made=$(perplexity "$out" "$out.json" "$@")
    "$nibble" card "$out" --repo "$repo" --base-model "$owner/$name" --license "${LICENSE:-apache-2.0}" \
      --eval "$out.json" --baseline-eval "$work/source.json" >>"$log" 2>&1
    "$nibble" publish "$out" --repo "$repo" >>"$log" 2>&1
    folder=$("$nibble" download "$repo" 2>>"$log")
    "$nibble" verify "$repo" >>"$log" 2>&1
    diff -r --exclude=.gitattributes "$out" "$folder" >>"$log"
    echo "$method $format $made $(perplexity "$repo" "$out-back.json" "$@")"
  done
done
