"""Makes checkpoint/src/test/resources/architectures: a tiny random model of every architecture, and what transformers computes of it.

Run once, by hand, outside the build, from the repository's root, with PyTorch (CPU), transformers and tokenizers installed:

    python checkpoint/src/test/scripts/architectures.py checkpoint/src/test/resources/architectures

The committed files were made with torch 2.13.0 and transformers 5.17.0. For each model:

    config.json, model.safetensors   as save_pretrained writes them, weights rounded to fp16
    expected.safetensors             ids I64 [tokens], logits F32 [tokens, vocabulary]: the fp16 weights run in fp64 (norms and
                                     rope are fp32 in transformers whatever the model's type), eager attention;
                                     fp32_error F32 [1]: how far transformers' own fp32 run is from that

and, once, tokenizer.json: GPT-2's bytes as 256 tokens, without merges, split by Qwen2's expression.

Weights are large enough that every difference from Llama shows in the logits: `matters` asserts it.
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM
from transformers.models.gemma import GemmaConfig
from transformers.models.llama import LlamaConfig
from transformers.models.mistral import MistralConfig
from transformers.models.phi3 import Phi3Config
from transformers.models.qwen2 import Qwen2Config
from transformers.models.qwen3 import Qwen3Config

TOKENS = 24
SMALL = dict(
    vocab_size=264,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    bos_token_id=256,
    eos_token_id=257,
    pad_token_id=None,
)
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CONFIGS = {
    # SmolLM: Llama with tied embeddings, more layers than width; three query heads on one key/value head there.
    "smollm": LlamaConfig(**SMALL, tie_word_embeddings=True, rope_theta=100000.0),
    "llama-bias": LlamaConfig(**SMALL, attention_bias=True),
    "mistral": MistralConfig(**SMALL, sliding_window=7, head_dim=16),
    "qwen2": Qwen2Config(**SMALL, tie_word_embeddings=True, rope_theta=1000000.0),
    "qwen3": Qwen3Config(**SMALL, head_dim=16, rope_theta=1000000.0),
    "phi3": Phi3Config(**SMALL, sliding_window=9, original_max_position_embeddings=64),
    "gemma": GemmaConfig(**{**SMALL, "pad_token_id": 0}, head_dim=16),
}


def fill(model, seed):
    """Weights of deviation 0.8 / sqrt(in), gains around 1, biases of deviation 0.5; all exact in fp16."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.5 * noise
        elif parameter.dim() == 1:
            value = 0.25 * noise + (0 if model.config.model_type == "gemma" else 1)
        elif "embed_tokens" in name:
            value = noise * (0.1 if model.config.model_type == "gemma" else 0.5)
        else:
            value = 2.5 * noise / parameter.shape[1] ** 0.5
        parameter.data = value.half().float()


def logits(model, ids):
    with torch.no_grad():
        return model(ids[None]).logits[0]


def matters(model, ids, expected, change):
    """The logits move by far more than any test allows when a part of the architecture is taken away."""
    changed = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager").double().eval()
    changed.load_state_dict(model.state_dict())
    change(changed)
    moved = (logits(changed, ids) - expected).abs().max().item()
    assert moved > 0.1, moved
    return moved


def without(part):
    def change(model):
        for name, parameter in model.named_parameters():
            if part in name:
                parameter.data = torch.zeros_like(parameter) if "bias" in part else torch.ones_like(parameter)

    return change


def without_window(model):
    model.config.sliding_window = None
    for layer in model.model.layers:
        if hasattr(layer.self_attn, "sliding_window"):
            layer.self_attn.sliding_window = None


CHANGES = {
    "llama-bias": without("o_proj.bias"),
    "mistral": without_window,
    "qwen2": without("bias"),
    "qwen3": without("_norm.weight"),
    "phi3": without_window,
    "gemma": without("input_layernorm"),
    "smollm": without("input_layernorm"),
}


def tokenizer(path):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    made.save(str(path))


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(folder / "tokenizer.json")
    for seed, (name, config) in enumerate(CONFIGS.items()):
        out = folder / name
        shutil.rmtree(out, ignore_errors=True)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        fill(model, seed)
        ids = torch.randint(0, 256, (TOKENS,), generator=torch.Generator().manual_seed(100 + seed))
        model.half().save_pretrained(out)
        (out / "generation_config.json").unlink(missing_ok=True)
        # Read again: half() has rounded the rope frequencies too.
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
        single = logits(model, ids)
        expected = logits(model.double(), ids)
        moved = matters(model, ids, expected, CHANGES[name])
        error = (single - expected).abs().max()
        made = {"ids": ids, "logits": expected.float().contiguous(), "fp32_error": error.float()[None]}
        save_file(made, out / "expected.safetensors")
        print(
            f"{name}: {sum(p.numel() for p in model.parameters())} weights, largest logit {expected.abs().max():.2f}, "
            f"fp32 differs by {error:.2e}, without its own part by {moved:.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1])
