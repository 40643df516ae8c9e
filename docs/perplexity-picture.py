#!/usr/bin/env python3
"""Draws docs/perplexity.svg: perplexity against file size for models/wiki-7m.

Usage: docs/perplexity-picture.py

Every figure comes from a table of docs/formats.md, docs/benchmarks.md or docs/method-best.md. To change a point, change its table
and run this script again.
"""
import decimal
import math
import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parent
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 64, 34, 48, 56
SMALLEST, LARGEST = 3.0, 8.0  # MB
LOWEST, HIGHEST = 24.0, 29.0  # perplexity
GGUF, NIBBLE, PEER = "#0b6bb0", "#b3500b", "#666666"
# The offset of a label from its point, and its anchor, where the usual place would cover another label.
ABOVE, BELOW, LEFT_OF = (0, -11, "middle"), (2, 21, "middle"), (-10, 4, "end")
PLACES = {"Q4_0": ABOVE, "Q4_K_S": LEFT_OF, "Q4_K_M": BELOW, "Q4_1": ABOVE, "Q5_0": ABOVE, "Q5_K_S": LEFT_OF, "Q5_K_M": BELOW,
          "Q5_1": ABOVE, "Q6_K": ABOVE, "Q8_0": ABOVE, "auto-round": (-10, 13, "end"),
          "method best": (-10, -3, "end")}


def rows(document, heading):
    """Returns the cells of each table row in a section of a document."""
    text = (DOCS / document).read_text(encoding="utf-8")
    section = re.split(r"^## ", text, flags=re.M)
    section = next(part for part in section if part.startswith(heading))
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines]


def number(text):
    """Returns the number at the end of a cell, as of 'AutoAWQ 25.7898'."""
    return float(text.replace(",", "").split()[-1])


def points():
    """Returns (series, label, bytes, perplexity) of each point, and the size and perplexity of fp16."""
    found = []
    for cells in rows("formats.md", "Figures"):
        if re.fullmatch(r"Q\w+", cells[0]):
            found.append((GGUF, cells[0], int(cells[1].replace(",", "")), number(cells[4] or cells[3])))
    sizes = {cells[0]: int(cells[1].replace(",", "")) for cells in rows("benchmarks.md", "Sizes")[2:]}
    size = sizes["wiki-7m, AWQ"]
    table = {tuple(cells[:3]): cells for cells in rows("benchmarks.md", "Perplexity") if len(cells) == 5}
    awq = table["wiki-7m", "2048", "AWQ"]
    found.append((NIBBLE, "plain rounding", size, number(table["wiki-7m", "2048", "plain rounding"][3])))
    found.append((PEER, "AutoAWQ", size, number(awq[4])))
    found.append((NIBBLE, "AWQ", size, number(awq[3])))
    beside = rows("method-best.md", "Beside other quantizers")
    start = next(i for i, cells in enumerate(beside) if cells[0].startswith("wiki-7m"))
    same = {cells[1]: cells for cells in beside[start:start + 4]}
    for label, steps in (("auto-round", "200 steps"), ("auto-round, 1000 steps", "1000 steps")):
        found.append((PEER, label, size, number(same["auto-round, " + steps][2])))
    found.append((NIBBLE, "method best", size, number(same["method best"][2])))
    return found, (sizes["wiki-7m, fp16"], number(table["wiki-7m", "2048", "fp16"][3]))


def x(size):
    return LEFT + (size / 1e6 - SMALLEST) / (LARGEST - SMALLEST) * (WIDTH - LEFT - RIGHT)


def y(perplexity):
    return TOP + (HIGHEST - perplexity) / (HIGHEST - LOWEST) * (HEIGHT - TOP - BOTTOM)


def rounded(figure):
    """Returns a figure with three digits after the point; a half is rounded up."""
    return decimal.Decimal(str(figure)).quantize(decimal.Decimal("0.001"), decimal.ROUND_HALF_UP)


def text(at_x, at_y, what, anchor="start", colour="#222222", size=13, more=""):
    return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"{more}>{what}</text>'


def draw():
    found, (fp16_size, fp16) = points()
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="Helvetica, Arial, sans-serif"'
           ' role="img" aria-labelledby="title">',
           '<title id="title">Perplexity of wiki-7m on the wikitext-2 test part against file size</title>',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           text(LEFT, 26, "wiki-7m: perplexity on wikitext-2 against file size", size=16)]
    for value in range(math.ceil(LOWEST), math.floor(HIGHEST) + 1):
        out.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        out.append(text(LEFT - 10, y(value) + 4, value, "end"))
    for value in range(math.ceil(SMALLEST), math.floor(LARGEST) + 1):
        out.append(text(x(value * 1e6), HEIGHT - BOTTOM + 20, f"{value} MB", "middle"))
    out.append(f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}M{LEFT} {TOP}V{HEIGHT - BOTTOM}" stroke="#222222" fill="none"/>')
    out.append(text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 12, "size of the files", "middle"))
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    out.append(text(20, middle, "perplexity (lower is better)", "middle", more=f' transform="rotate(-90 20 {middle:.1f})"'))
    out.append(f'<path d="M{LEFT} {y(fp16):.1f}H{WIDTH - RIGHT}" stroke="#222222" stroke-dasharray="6 4"/>')
    out.append(text(LEFT + 8, y(fp16) - 7, f"fp16, {fp16_size / 1e6:.2f} MB: {rounded(fp16)}"))
    for colour, label, size, perplexity in found:
        if perplexity > HIGHEST:
            continue
        at_x, at_y = x(size), y(perplexity)
        if colour == GGUF:
            mark = f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="5" fill="{colour}">'
        else:
            mark = f'<path d="M{at_x:.1f} {at_y - 6:.1f}l6 6-6 6-6-6z" fill="{colour}">'
        out.append(f"{mark}<title>{label}: {size:,} bytes, perplexity {perplexity:.4f}</title></{'circle' if colour == GGUF else 'path'}>")
        dx, dy, anchor = PLACES.get(label, (10, 5, "start"))
        shown = label if colour == GGUF else f"{label}: {rounded(perplexity)}"
        out.append(text(at_x + dx, at_y + dy, shown, anchor, colour, 12))
    right = WIDTH - RIGHT - 205
    out.append(f'<path d="M{right - 14} {TOP + 8}l6 6-6 6-6-6z" fill="{NIBBLE}"/>')
    out.append(text(right, TOP + 18, "4-bit safetensors by Nibble", colour=NIBBLE, size=12))
    out.append(f'<path d="M{right - 14} {TOP + 28}l6 6-6 6-6-6z" fill="{PEER}"/>')
    out.append(text(right, TOP + 38, "AutoAWQ, auto-round: the same layout", colour=PEER, size=12))
    out.append(f'<circle cx="{right - 14}" cy="{TOP + 54}" r="5" fill="{GGUF}"/>')
    out.append(text(right, TOP + 58, "GGUF by Nibble, with importance", colour=GGUF, size=12))
    out.append("</svg>\n")
    (DOCS / "perplexity.svg").write_text("\n".join(out), encoding="utf-8")


if __name__ == "__main__":
    draw()
