"""Compares GGUF files that `nibble convert --format gguf --type F16|F32` wrote with their sources, by the `gguf` package.

    python gguf_architectures.py SOURCE_FOLDER FILE.gguf ...

Names are those of the package's own map from Hugging Face's; values those of the source: rows of query and key heads
interleaved for architecture llama, norms one more for gemma. Needs numpy, safetensors and gguf (0.19.0 was used).
"""
import json
import pathlib
import sys

import numpy as np
from gguf import GGUFReader, MODEL_ARCH_NAMES, MODEL_TENSORS, TENSOR_NAMES, get_tensor_name_map
from safetensors.numpy import load_file


def interleaved(values, heads):
    """As llama.cpp's converter permutes query and key rows."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def check(folder, path):
    config = json.loads((folder / "config.json").read_text())
    reader = GGUFReader(path)
    name = reader.fields["general.architecture"].contents()
    architecture = next(arch for arch, text in MODEL_ARCH_NAMES.items() if text == name)
    names = get_tensor_name_map(architecture, config["num_hidden_layers"])
    allowed = {TENSOR_NAMES[t] for t in MODEL_TENSORS[architecture]}
    found = {tensor.name: tensor for tensor in reader.tensors}
    source = load_file(folder / "model.safetensors")
    for hf, values in source.items():
        expected = names.get_name(hf, try_suffixes=(".weight", ".bias"))
        assert expected in found, (hf, expected)
        block = expected.rsplit(".", 1)[0].split(".")
        assert ".".join("{bid}" if part.isdigit() else part for part in block) in allowed, expected
        tensor = found.pop(expected)
        values = values.astype(np.float32)
        if name == "llama" and ("q_proj" in hf or "k_proj" in hf):
            heads = config["num_attention_heads"] if "q_proj" in hf else config["num_key_value_heads"]
            values = interleaved(values, heads)
        if name == "gemma" and hf.endswith("norm.weight"):
            values = values + np.float32(1)
        assert np.array_equal(np.asarray(tensor.data, np.float32).reshape(values.shape), values), hf
    assert not found, list(found)
    fields = {key: field.contents() for key, field in reader.fields.items() if key.startswith(name + ".")}
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    assert fields[name + ".attention.key_length"] == head_dim
    assert fields[name + ".embedding_length"] == config["hidden_size"]
    print(path.name, name, len(source), "tensors agree;", fields)


for path in sys.argv[2:]:
    check(pathlib.Path(sys.argv[1]), pathlib.Path(path))
