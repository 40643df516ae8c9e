"""Compares GGUF files of nibble with those of llama.cpp's own converter, tensor by tensor and key by key.

    python gguf_converter.py LLAMA_CPP_FOLDER REFERENCE.gguf FILE.gguf ...

The reference is made by LLAMA_CPP_FOLDER/convert_hf_to_gguf.py --outtype f32 of a model with fp32 weights; the other
file by `nibble convert MODEL OUT --format gguf --type F32`. Keys of the tokenizer and of general.* are left out: other scripts
compare those. Needs numpy. Used with llama.cpp's converter of 2026 and tiny models of architectures.py's configs.
"""
import sys

import numpy as np


def main(folder, *files):
    sys.path.insert(0, folder + "/gguf-py")
    from gguf import GGUFReader

    for reference, path in zip(files[::2], files[1::2], strict=True):
        expected, found = GGUFReader(reference), GGUFReader(path)
        ours = {tensor.name: tensor for tensor in found.tensors}
        assert {tensor.name for tensor in expected.tensors} == set(ours), set(ours)
        for tensor in expected.tensors:
            other = ours[tensor.name]
            assert tensor.tensor_type == other.tensor_type, tensor.name
            assert np.array_equal(tensor.data, other.data), tensor.name
        keys = [
            {k: f.contents() for k, f in r.fields.items() if not k.startswith(("GGUF.", "tokenizer.", "general."))}
            for r in (expected, found)
        ]
        differ = {k for k in keys[0] | keys[1] if keys[0].get(k) != keys[1].get(k)}
        print(path, len(ours), "tensors agree; keys that differ:", sorted(differ))


main(*sys.argv[1:])
