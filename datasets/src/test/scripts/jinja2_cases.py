"""Renders the small templates of resources/chat/jinja2-cases.json as transformers does, and writes the outputs beside them.

Run in datasets/src/test with transformers 5.17 and jinja2 3.1:

    python3 scripts/jinja2_cases.py [FILE]

FILE, one template to a line as a JSON string, adds templates. A case is [template, output], or [template, null, error] where
Jinja2 raises. The clock stands still at 2026-03-07 14:05:09.
"""
import datetime
import json
import pathlib
import sys
import warnings

import transformers.utils.chat_template_utils as chat

warnings.simplefilter("ignore")


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 7, 14, 5, 9)


chat.datetime = Clock
path = pathlib.Path("resources/chat/jinja2-cases.json")
fixture = json.loads(path.read_text())
sources = [case[0] for case in fixture["cases"]]
if len(sys.argv) > 1:
    sources += [json.loads(line) for line in open(sys.argv[1])]
cases = []
for source in dict.fromkeys(sources):
    try:
        values = json.loads(json.dumps(fixture["values"]))
        output = chat._compile_jinja_template(source).render(**values)
        if " at 0x" not in output:  # the address of an object of Python's
            cases.append([source, output])
    except Exception as error:
        cases.append([source, None, type(error).__name__])
with path.open("w") as out:
    out.write('{"values": ' + json.dumps(fixture["values"], ensure_ascii=False) + ',\n"cases": [\n')
    out.write(",\n".join(json.dumps(case, ensure_ascii=False) for case in cases))
    out.write("\n]}\n")
print(len(cases), "cases,", sum(case[1] is None for case in cases), "raise")
