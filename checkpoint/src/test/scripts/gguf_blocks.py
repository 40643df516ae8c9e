"""Makes ../resources/gguf_blocks.bin: random blocks of every GGUF type and what the `gguf` package decodes them to.

Needs numpy and gguf (0.19.0 made the file). Layout, little-endian: for each type its id, the blocks' bytes and the floats'
count as u32, then the blocks, then the floats.
"""
import pathlib
import struct

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Byte offsets of the fp16 scales in a block, which must be ordinary numbers; MXFP4 has exponents, which may be any.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0], T.MXFP4: []}
random = np.random.default_rng(6)
out = b""
for kind, scales in SCALES.items():
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (4 if elements == 256 else 8, size), dtype=np.uint8)
    for at in scales:
        d = (random.normal(size=len(blocks)) * 0.01).astype(np.float16)
        blocks[:, at:at + 2] = d.view(np.uint8).reshape(-1, 2)
    values = dequantize(blocks, kind).astype("<f4")
    out += struct.pack("<3I", kind.value, blocks.size, values.size) + blocks.tobytes() + values.tobytes()
path = pathlib.Path(__file__).parent.parent / "resources" / "gguf_blocks.bin"
path.write_bytes(out)
print(path, len(out))
