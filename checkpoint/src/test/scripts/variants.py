"""Makes ../resources/architectures/variants.jsonl: what transformers computes when a model of this folder is said otherwise.

Needs torch, transformers (5.17.0 made the file, 2026-11-25) and safetensors. Each line is a model of the folder, a change of its
config.json (null removes a key, "null" sets it to null), a change of its tensors, and the logits of transformers in fp64
after the last of the ids: the first eight, and the sum of all magnitudes. VariantsTest reads it.
"""
import json
import pathlib
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

FOLDER = pathlib.Path(__file__).parent.parent / "resources" / "architectures"
IDS = [256, 5, 77, 130, 9, 42, 200, 3, 17, 101, 250, 66, 91, 180, 33, 7, 121, 64, 2, 211]
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def without_model(tensors):
    return {name.removeprefix("model."): tensor for name, tensor in tensors.items()}


def model_twice(tensors):
    return {"model." + name: tensor for name, tensor in tensors.items()}


def reversed_head(tensors):
    return tensors | {HEAD: tensors[EMBEDDING].flip(0)}


def same_head(tensors):
    return tensors | {HEAD: tensors[EMBEDDING].clone()}


def only_head(tensors):
    return {(HEAD if name == EMBEDDING else name): tensor for name, tensor in tensors.items()}


def without_head_bias(tensors):
    return {name: tensor for name, tensor in tensors.items() if name != "lm_head.bias"}


def without_attention_biases(tensors):
    return {name: tensor for name, tensor in tensors.items() if ".self_attn." not in name or not name.endswith("bias")}


def unchanged(tensors):
    return tensors


def rope(**scaling):
    return {"rope_parameters": None, "rope_theta": 100000.0, "rope_scaling": scaling}


# Both lists of factors are one: transformers 5.17 takes phimoe's short ones at any length.
BEYOND = dict(
    rope_type="longrope",
    rope_theta=10000.0,
    short_factor=[1.0, 1.25, 1.5, 2.0],
    long_factor=[1.0, 1.25, 1.5, 2.0],
    short_mscale=1.25,
    long_mscale=0.75,
    original_max_position_embeddings=12,
)

VARIANTS = [
    ("smollm", {"architectures": ["LLaMAForCausalLM"]}, unchanged),
    ("smollm", {"architectures": []}, unchanged),
    ("smollm", {"architectures": "null"}, unchanged),
    ("smollm", {"architectures": None}, unchanged),
    ("smollm", {"architectures": ["LlamaForCausalLM", "OtherForCausalLM"]}, unchanged),
    ("smollm", {"architectures": ["LlamaModel"]}, without_model),
    ("mistral", {}, without_model),
    ("qwen3", {}, without_model),
    ("smollm", {}, model_twice),
    ("smollm", {}, reversed_head),
    ("gemma", {}, reversed_head),
    ("smollm", {}, same_head),
    ("smollm", {}, only_head),
    ("smollm", rope(type="linear", factor=4.0), unchanged),
    ("smollm", rope(rope_type="linear", factor=4.0), unchanged),
    ("smollm", rope(rope_type="llama3", **LLAMA3), unchanged),
    ("smollm", rope(rope_type="dynamic", factor=2.0), unchanged),
    ("smollm", {"rope_parameters": dict(rope_type="llama3", rope_theta=100000.0, **LLAMA3)}, unchanged),
    ("smollm", {"rope_parameters": dict(rope_type="linear", rope_theta=100000.0, factor=4.0)}, unchanged),
    ("smollm", {"rope_parameters": dict(type="linear", rope_theta=100000.0, factor=4.0)}, unchanged),
    (
        "smollm",
        rope(rope_type="llama3", **LLAMA3)
        | {"rope_parameters": dict(rope_type="llama3", rope_theta=100000.0, **LLAMA3)},
        unchanged,
    ),
    ("smollm", rope(type="default") | {"rope_parameters": dict(rope_type="default", rope_theta=100000.0)}, unchanged),
    ("smollm", {"rope_theta": 500.0}, unchanged),
    ("smollm", {"rope_parameters": None, "rope_theta": 500.0, "rope_scaling": {}}, unchanged),
    ("smollm", {"rope_parameters": None}, unchanged),
    ("smollm", {"hidden_act": "swish"}, unchanged),
    ("smollm", {"sliding_window": 4}, unchanged),
    ("smollm", {"torch_dtype": "bfloat16"}, unchanged),
    ("smollm", {"head_dim": None}, unchanged),
    ("smollm", {"head_dim": "null"}, unchanged),
    ("smollm", {"mlp_bias": None, "attention_bias": None, "hidden_act": None, "max_position_embeddings": None}, unchanged),
    ("mistral", {"sliding_window": None}, unchanged),
    ("mistral", {"sliding_window": "null"}, unchanged),
    ("mistral", {"sliding_window": 3}, unchanged),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0, "layer_types": None}, unchanged),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2, "layer_types": None}, unchanged),
    ("qwen2", {"use_sliding_window": False, "sliding_window": 5, "layer_types": None}, unchanged),
    ("phi3", {"sliding_window": "null"}, unchanged),
    ("gemma", {"tie_word_embeddings": None}, unchanged),
    ("gemma", {"use_bidirectional_attention": False}, unchanged),
    ("phimoe", {"router_jitter_noise": 0.4, "architectures": ["PhiMoEForCausalLM"]}, unchanged),
    ("phimoe", {"router_jitter_noise": 0.0}, unchanged),
    ("phimoe", {"lm_head_bias": False}, without_head_bias),
    ("phimoe", {"attention_bias": None}, without_attention_biases),
    ("phimoe", {"sliding_window": 5}, unchanged),
    ("deepseek3", {"norm_topk_prob": False, "topk_method": "noaux_tc", "scoring_func": "sigmoid"}, unchanged),
    ("deepseek3", {"n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0}, unchanged),
    ("phimoe", {"rope_parameters": BEYOND, "original_max_position_embeddings": None}, unchanged),
]


def main():
    lines = []
    for model, change, tensors in VARIANTS:
        with tempfile.TemporaryDirectory() as folder:
            config = json.loads((FOLDER / model / "config.json").read_text())
            for key, value in change.items():
                config.pop(key, None)
                if value is not None:
                    config[key] = None if value == "null" else value
            pathlib.Path(folder, "config.json").write_text(json.dumps(config))
            changed = tensors(load_file(FOLDER / model / "model.safetensors"))
            save_file({k: v.contiguous() for k, v in changed.items()}, folder + "/model.safetensors", {"format": "pt"})
            # The usual product of experts has no fp64.
            how = {"experts_implementation": "eager"} if model in ("phimoe", "deepseek3") else {}
            loaded, info = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, **how)
            assert not info["missing_keys"] and not info["unexpected_keys"], (model, change, info)
            with torch.no_grad():
                last = loaded.double().eval()(torch.tensor([IDS])).logits[0, -1]
        lines.append(json.dumps({
            "model": model,
            "config": change,
            "tensors": tensors.__name__,
            "ids": IDS,
            "first": [round(value, 6) for value in last[:8].tolist()],
            "magnitude": round(last.abs().sum().item(), 4),
        }))
    (FOLDER / "variants.jsonl").write_text("\n".join(lines) + "\n")


main()
