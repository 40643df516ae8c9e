"""Makes ../resources/gguf_encoded.bin: rows of weights and the blocks the `gguf` package makes of them.

Needs numpy and gguf (0.19.0 made the file). Layout, little-endian: the rows as 1024 floats, then for each type its id and the
blocks' bytes as u32, then the blocks.
"""
import pathlib
import struct

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import quantize

random = np.random.default_rng(7)
rows = (random.standard_t(4, size=1024) * 0.03).astype(np.float32)
rows[:32] = 0
rows[32:64] = np.abs(rows[32:64]) + 0.5
rows[64:96] = -0.25
out = rows.astype("<f4").tobytes()
for kind in (T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.MXFP4):
    blocks = quantize(rows, kind)
    out += struct.pack("<2I", kind.value, blocks.size) + blocks.tobytes()
path = pathlib.Path(__file__).parent.parent / "resources" / "gguf_encoded.bin"
path.write_bytes(out)
print(path, len(out))
