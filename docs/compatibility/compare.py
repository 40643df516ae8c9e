#!/usr/bin/env python3
"""Prints a row of docs/compatibility.md for each result of measure.py or measure-llama.mjs.

  compare.py NIBBLE FOLDER TEXT MODEL=RESULT.json[:REFERENCE.json] …

NIBBLE is the launcher, FOLDER that of make-models.sh, MODEL a folder's name in it. What Nibble makes of MODEL is measured here, and kept
beside RESULT as RESULT.nibble. REFERENCE is transformers on Nibble's dequantized weights: the largest difference of logits, and the mean
and largest difference of the log-probabilities of the text's tokens, are against it.
"""
import json
import os
import subprocess
import sys


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


nibble, folder, text = sys.argv[1:4]
print("| model | loaded by | perplexity there | here | logits, largest difference | log-probabilities, mean and largest | greedy text |")
print("|---|---|---|---|---|---|---|")
for argument in sys.argv[4:]:
    model, names = argument.split("=")
    name, reference = (names.split(":") + [""])[:2]
    loaded, kept = json.load(open(name)), name + ".nibble"
    if not os.path.exists(kept):
        path = os.path.join(folder, model)
        windows = ["--context", str(len(loaded["ids"][0])), "--windows", str(len(loaded["ids"]))]
        figures = run(nibble, "eval", "perplexity", path, "--dataset", text, "--json", "-", *windows)
        # Exactly what is printed, less the line end: a space in front counts.
        greedy = run(nibble, "generate", path, "--prompt", "The city of", "--max-new-tokens", "24").removesuffix("\n")
        json.dump(dict(perplexity=json.loads(figures)["perplexity"], greedy=greedy), open(kept, "w"))
    here = json.load(open(kept))
    logits = differences = ""
    if reference:
        there = json.load(open(reference))
        assert loaded["ids"] == there["ids"], name + ": the text is encoded in another way"
        apart = [abs(a - b) for x, y in zip(loaded["logprobs"], there["logprobs"]) for a, b in zip(x, y)]
        differences = "%.5f, %.4f" % (sum(apart) / len(apart), max(apart))
        if os.path.exists(name + ".npy"):
            import numpy
            logits = "%.4f" % abs(numpy.load(name + ".npy") - numpy.load(reference + ".npy")).max()
    equal = loaded["greedy"] == here["greedy"]
    print("| %s | %s %s | %.4f | %.4f | %s | %s | %s |" % (
        model, loaded["loader"], loaded["version"], loaded["perplexity"], here["perplexity"], logits, differences,
        "equal" if equal else "%r, here %r" % (loaded["greedy"], here["greedy"])))
