"""Makes the bundled evaluation data of src/main/resources/nibble/datasets/evaluation.

    python datasets/src/main/scripts/bundle_evaluation_data.py DIR datasets/src/main/resources/nibble/datasets/evaluation

DIR holds JSON lines of the published parts: arc_challenge.test.jsonl and so on, with the fields read below; arc_challenge.train.json
is a list of instructions in words, of which questions and choices are cut out again. Written are JSON lines in one form for each kind
of document, bzip2, and for each file its lines and the SHA-256 of what is compressed, as Bundled.java states them.
"""

import bz2
import hashlib
import json
import re
import sys
from pathlib import Path


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def arc(rows):
    prompt = re.compile(r"Question: (.*)\nAnswer:", re.S)
    return [{"id": r["id"], "question": prompt.fullmatch(r["query"]).group(1), "choices": r["choices"], "gold": r["gold"]} for r in rows]


def arc_instructions(rows):
    whole = re.compile(r"Please choose the correct answer to the question: (.*?)\n\n(Answer1: .*)\n\nAnswer format: (.*)", re.S)
    for row in rows:
        question, answers, labels = whole.fullmatch(row["instruction"]).groups()
        labels = labels.split("/")
        parts = re.split(r"(?:^| )Answer(\d): ", answers)
        assert parts[1::2] == [str(i + 1) for i in range(len(labels))], row
        yield {"question": question, "choices": parts[2::2], "gold": labels.index(row["answer"])}


def main(source, target):
    made = {
        "arc_challenge.test": arc(lines(source / "arc_challenge.test.jsonl")),
        "arc_challenge.train": arc_instructions(json.loads((source / "arc_challenge.train.json").read_text("utf-8"))),
        "arc_easy.test": arc(lines(source / "arc_easy.test.jsonl")),
        "hellaswag.validation": lines(source / "hellaswag.val_1000.jsonl"),
        "mmlu.test": lines(source / "mmlu.test.jsonl"),
        "mmlu.dev": lines(source / "mmlu.dev.jsonl"),
        "truthfulqa.validation": lines(source / "truthfulqa.mc_v0.jsonl"),
        "winogrande.validation": lines(source / "winogrande_xl.validation.jsonl"),
        "piqa.validation": lines(source / "piqa.validation.jsonl"),
        "openbookqa.test": lines(source / "openbookqa.test.jsonl"),
        "lambada.test": lines(source / "lambada_openai.test.jsonl"),
        "gsm8k.test": lines(source / "gsm8k.test.jsonl"),
    }
    for name, rows in made.items():
        rows = list(rows)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
        (target / f"{name}.jsonl.bz2").write_bytes(bz2.compress(text, 9))
        print(f'{name} {len(rows)} {hashlib.sha256(text).hexdigest()}')


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
