"""Makes ../resources/gguf_mixes.txt: which type llama.cpp's own quantizer gives each tensor in each mix.

Usage: gguf_mixes.py FOLDER_OF_LIBLLAMA > gguf_mixes.txt      Needs numpy and gguf.

Tiny models of random weights are written as F16 GGUF files and quantized by llama_model_quantize, called through ctypes
(libllama 0.5.0, 2026-11-25); the types of what comes out are listed. GgufMixTest says how to read a line.
"""
import ctypes
import pathlib
import re
import sys
import tempfile

import gguf
import numpy as np

WORK = pathlib.Path(tempfile.mkdtemp())
LIBRARIES = [
    ctypes.CDLL(str(next(pathlib.Path(sys.argv[1]).glob(name))), mode=ctypes.RTLD_GLOBAL)
    for name in ("libggml-base*.so", "libggml.*so", "libllama.*so")
]
LLAMA = LIBRARIES[-1]
FILE_TYPES = dict(
    Q4_0=2, Q4_1=3, Q5_0=8, Q5_1=9, Q8_0=7, Q2_K=10, Q3_K_S=11, Q3_K_M=12, Q3_K_L=13, Q4_K_S=14, Q4_K_M=15, Q5_K_S=16,
    Q5_K_M=17, Q6_K=18, F16=1, BF16=32, F32=0,
)
WITH_IMPORTANCE = ("Q4_0", "Q5_0", "Q4_K_M", "Q2_K", "Q3_K_M")


class Parameters(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_int) for name in ("threads", "file_type", "output_type", "embedding_type")]
        + [(name, ctypes.c_bool) for name in ("requantize", "quantize_output", "copy", "pure", "keep_split", "dry_run")]
        + [(name, ctypes.c_void_p) for name in ("imatrix", "overrides", "tensor_overrides", "prune")]
        + [("max_buffer", ctypes.c_size_t)]
    )


class Importance(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


LLAMA.llama_model_quantize_default_params.restype = Parameters
LLAMA.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Parameters)]


def write(path, architecture, layers, heads, kv, head, hidden, mlp, tied, vocabulary=64):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(mlp)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    if architecture == "phi3":
        writer.add_rope_scaling_orig_ctx_len(128)
        writer.add_sliding_window(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"t{i}".encode() for i in range(vocabulary)])
    writer.add_token_scores([0.0] * vocabulary)
    writer.add_token_types([1] * vocabulary)
    random = np.random.default_rng(0)

    def add(name, *shape):
        kind = np.float32 if len(shape) == 1 else np.float16
        writer.add_tensor(name + ".weight", (random.standard_normal(shape) * 0.02).astype(kind))

    add("token_embd", vocabulary, hidden)
    add("output_norm", hidden)
    if not tied:
        add("output", vocabulary, hidden)
    for layer in range(layers):
        block = f"blk.{layer}."
        add(block + "attn_norm", hidden)
        add(block + "ffn_norm", hidden)
        if architecture == "phi3":
            add(block + "attn_qkv", (heads + 2 * kv) * head, hidden)
            add(block + "ffn_up", 2 * mlp, hidden)
        else:
            add(block + "attn_q", heads * head, hidden)
            add(block + "attn_k", kv * head, hidden)
            add(block + "attn_v", kv * head, hidden)
            add(block + "ffn_gate", mlp, hidden)
            add(block + "ffn_up", mlp, hidden)
        add(block + "attn_output", hidden, heads * head)
        add(block + "ffn_down", hidden, mlp)
        if architecture == "qwen3":
            add(block + "attn_q_norm", head)
            add(block + "attn_k_norm", head)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantized_types(source, mix, importance):
    parameters = LLAMA.llama_model_quantize_default_params()
    parameters.threads = 2
    parameters.file_type = FILE_TYPES[mix]
    if importance:
        matrices = [t for t in gguf.GGUFReader(source).tensors if len(t.shape) == 2]
        entries = (Importance * (len(matrices) + 1))()
        for entry, tensor in zip(entries, matrices):
            columns = int(tensor.shape[0])
            entry.name, entry.data, entry.size = tensor.name.encode(), (ctypes.c_float * columns)(*[1.0] * columns), columns
        parameters.imatrix = ctypes.cast(entries, ctypes.c_void_p)
    target = str(WORK / "quantized.gguf")
    assert LLAMA.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters)) == 0, mix
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(target).tensors}


def runs(types):
    counted = []
    for kind in types:
        if counted and counted[-1][0] == kind:
            counted[-1][1] += 1
        else:
            counted.append([kind, 1])
    return ",".join(f"{kind}*{count}" if count > 1 else kind for kind, count in counted)


MODELS = [  # architecture, layers, heads, key/value heads, head width, hidden, mlp, tied
    ("llama", layers, 4, kv, 64, 256, 512, tied) for layers in (8, 32, 80) for kv, tied in ((4, 0), (1, 0), (2, 1))
] + [
    ("qwen2", 80, 4, 4, 64, 256, 512, 0), ("qwen2", 28, 4, 2, 64, 256, 512, 1), ("qwen3", 36, 8, 2, 64, 256, 512, 1),
    ("qwen3", 80, 8, 2, 64, 256, 512, 0), ("phi3", 32, 4, 4, 64, 256, 512, 0), ("phi3", 40, 4, 1, 64, 256, 512, 0),
    ("phi3", 80, 8, 2, 64, 256, 512, 0), ("gemma", 18, 8, 1, 64, 256, 512, 1),
    # Rows that are no whole blocks of 256, or of 32; few layers.
    ("llama", 30, 3, 1, 64, 192, 576, 1), ("llama", 8, 9, 3, 64, 576, 1536, 0), ("llama", 8, 4, 4, 20, 80, 272, 0),
    ("llama", 8, 4, 4, 64, 256, 688, 0), ("llama", 7, 4, 2, 64, 256, 512, 0), ("llama", 3, 4, 2, 64, 256, 512, 0),
]

LLAMA.llama_backend_init()
for model in MODELS:
    source = str(WORK / "source.gguf")
    write(source, *model)
    for mix in FILE_TYPES:
        for importance in (False, True) if mix in WITH_IMPORTANCE else (False,):
            kinds = {}
            for name, kind in quantized_types(source, mix, importance).items():
                if "norm" in name:
                    assert kind == "F32"
                    continue
                layer = re.fullmatch(r"blk\.(\d+)\.(.*)\.weight", name)
                key, index = (layer[2], int(layer[1])) if layer else (name.removesuffix(".weight"), 0)
                kinds.setdefault(key, {})[index] = kind
            listed = [f"{key}={runs(by[i] for i in range(len(by)))}" for key, by in sorted(kinds.items())]
            print(*model, mix, "importance" if importance else "-", *listed, flush=True)
