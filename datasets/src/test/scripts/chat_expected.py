"""Renders the test templates with Jinja2 as transformers sets it up; writes NAME.txt beside each NAME.jinja.

Run in datasets/src/test with jinja2 3.1: python3 scripts/chat_expected.py
"""
import pathlib

from jinja2.sandbox import ImmutableSandboxedEnvironment

MESSAGES = [
    {"role": "system", "content": "Be {{ kind }}\nnow."},
    {"role": "user", "content": " Hi 'you' & \"me\" "},
    {"role": "assistant", "content": "<note>x</note>Ho \\n é 漢"},
    {"role": "user", "content": "Again?"},
]

environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
for path in sorted(pathlib.Path("resources/chat").glob("*.jinja")):
    text = environment.from_string(path.read_text()).render(
        messages=MESSAGES, bos_token="<s>", eos_token="</s>", add_generation_prompt=True
    )
    path.with_suffix(".txt").write_text(text)
