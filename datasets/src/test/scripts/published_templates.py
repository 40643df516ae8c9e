"""Renders published chat templates with transformers; writes resources/chat/published-templates.csv, which holds hashes alone.

Run in datasets/src/test with transformers 5.17 and jinja2 3.1:

    python3 scripts/published_templates.py FOLDER

FOLDER holds *.jinja files, as models/templates of llama.cpp's source. Each template is rendered with every conversation of
resources/chat/conversations.json, with and without tools, with and without the generation prompt, and with each set of further
values; a line of the table is one template and one conversation. The hash goes over all outputs, each with a zero byte behind
it; a rendering that raises counts as a byte 1. The clock stands still at 2026-03-07 14:05:09.
"""
import csv
import datetime
import hashlib
import json
import pathlib
import sys

import transformers.utils.chat_template_utils as chat


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 7, 14, 5, 9)


chat.datetime = Clock
inputs = json.loads(pathlib.Path("resources/chat/conversations.json").read_text())
rows = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")):
    source = path.read_text()
    for name in inputs["conversations"]:
        total, raised, digest = 0, 0, hashlib.sha256()
        for values in range(len(inputs["values"])):
            for tools in (None, inputs["tools"]):
                for prompt in (True, False):
                    given = json.loads(json.dumps(inputs))  # a copy of its own for each rendering
                    total += 1
                    try:
                        text = chat._compile_jinja_template(source).render(
                            **{
                                "messages": given["conversations"][name],
                                "tools": tools and given["tools"],
                                "documents": None,
                                "add_generation_prompt": prompt,
                                **given["tokens"],
                                **given["values"][values],
                            }
                        )
                        digest.update(text.encode() + b"\0")
                    except Exception:
                        raised += 1
                        digest.update(b"\1")
        rows.append(
            [path.stem, hashlib.sha256(source.encode()).hexdigest(), name, total, raised, digest.hexdigest()]
        )
with open("resources/chat/published-templates.csv", "w", newline="") as out:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["template", "template_sha256", "conversation", "renderings", "raised", "outputs_sha256"])
    writer.writerows(rows)
print(sum(row[3] for row in rows), "renderings,", sum(row[4] for row in rows), "raise")
