"""Makes checkpoint/src/test/resources/architectures: a tiny random model of every architecture, and what transformers computes of it.

Run once, by hand, outside the build, from the repository's root, with PyTorch (CPU), transformers and tokenizers installed:

    python checkpoint/src/test/scripts/architectures.py checkpoint/src/test/resources/architectures [name of a model]...

The committed files were made with torch 2.13.0 and transformers 5.17.0. For each model:

    config.json, model.safetensors   as save_pretrained writes them, weights rounded to fp16
    expected.safetensors             ids I64 [tokens], logits F32 [tokens, vocabulary]: the fp16 weights run in fp64 (norms and
                                     rope are fp32 in transformers whatever the model's type), eager attention;
                                     fp32_error F32 [1]: how far transformers' own fp32 run is from that;
                                     greedy I64 [64]: the likeliest text behind ids, where the model has room for it

and, once, tokenizer.json: GPT-2's bytes as 256 tokens, without merges, split by Qwen2's expression.

Weights are large enough that every difference from Llama shows in the logits: `matters` asserts it.
"""

import copy
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedConfig
from transformers.models.cohere import CohereConfig
from transformers.models.cohere2 import Cohere2Config
from transformers.models.gemma import GemmaConfig
from transformers.models.gemma2 import Gemma2Config
from transformers.models.gemma3 import Gemma3TextConfig
from transformers.models.granite import GraniteConfig
from transformers.models.granitemoehybrid import GraniteMoeHybridConfig
from transformers.models.llama import LlamaConfig
from transformers.models.mistral import MistralConfig
from transformers.models.olmo2 import Olmo2Config
from transformers.models.olmo3 import Olmo3Config
from transformers.models.phi3 import Phi3Config
from transformers.models.qwen2 import Qwen2Config
from transformers.models.qwen3 import Qwen3Config
from transformers.models.seed_oss import SeedOssConfig
from transformers.models.smollm3 import SmolLM3Config

TOKENS = 24
WRITTEN = 64
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
LONGER = {**SMALL, "max_position_embeddings": 128}
COHERE = {key: value for key, value in LONGER.items() if key not in ("rms_norm_eps", "pad_token_id")} | {
    "pad_token_id": 0,
    "layer_norm_eps": 1e-5,
}
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
    "gemma2": Gemma2Config(
        **{**LONGER, "pad_token_id": 0},
        head_dim=16,
        sliding_window=7,
        query_pre_attn_scalar=24,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0,
    ),
    "gemma3": Gemma3TextConfig(
        **{**LONGER, "pad_token_id": 0, "num_hidden_layers": 3},
        head_dim=16,
        sliding_window=7,
        query_pre_attn_scalar=24,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0},
            "full_attention": {"rope_type": "linear", "rope_theta": 100000.0, "factor": 4.0},
        },
    ),
    "smollm3": SmolLM3Config(**LONGER, no_rope_layers=[1, 0], tie_word_embeddings=True),
    "granite": GraniteConfig(
        **LONGER,
        embedding_multiplier=3.0,
        attention_multiplier=0.25,
        residual_multiplier=0.5,
        logits_scaling=2.0,
        mlp_bias=True,
    ),
    "granite4": GraniteMoeHybridConfig(
        **LONGER,
        shared_intermediate_size=64,
        num_local_experts=0,
        layer_types=["full_attention", "full_attention"],
        position_embedding_type="rope",
        embedding_multiplier=3.0,
        attention_multiplier=0.25,
        residual_multiplier=0.5,
        logits_scaling=2.0,
        mamba_n_heads=8,
    ),
    "olmo2": Olmo2Config(**LONGER),
    "olmo3": Olmo3Config(
        **LONGER,
        sliding_window=7,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 32,
                "attention_factor": 1.3,
                "beta_fast": 4.0,
                "beta_slow": 1.0,
            },
        },
    ),
    # Rope passes its original length while the text is written, and takes the other factors from there.
    "phi4-mini": Phi3Config(
        **{**LONGER, "hidden_size": 64},
        tie_word_embeddings=True,
        original_max_position_embeddings=64,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.75,
            "short_factor": [1.0, 1.25, 1.5, 2.0, 2.5, 3.0],
            "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
        },
    ),
    "llama-yarn": LlamaConfig(
        **LONGER,
        mlp_bias=True,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "original_max_position_embeddings": 64,
            "mscale": 1.5,
            "mscale_all_dim": 0.5,
            "truncate": False,
        },
    ),
    "qwen3-window": Qwen3Config(
        **LONGER, head_dim=16, use_sliding_window=True, sliding_window=7, max_window_layers=1
    ),
    "cohere": CohereConfig(**COHERE, logit_scale=0.25),
    # Layers without a window have no rope either.
    "cohere2": Cohere2Config(
        **{**COHERE, "num_hidden_layers": 3},
        logit_scale=0.5,
        sliding_window=7,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "seed-oss": SeedOssConfig(**LONGER, head_dim=16, attention_out_bias=True),
    # Command R+: a LayerNorm of each head, with gains of its own.
    "cohere-plus": CohereConfig(**COHERE, logit_scale=0.25, use_qk_norm=True),
}


def fill(model, seed):
    """Weights of deviation 0.8 / sqrt(in), gains around 1, biases of deviation 0.5; all exact in fp16."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.5 * noise
        elif parameter.dim() == 1 or name.endswith("_norm.weight"):
            value = 0.25 * noise + (0 if "gemma" in model.config.model_type else 1)
        elif "embed_tokens" in name:
            value = noise * (0.1 if "gemma" in model.config.model_type else 0.5)
        else:
            value = 2.5 * noise / parameter.shape[1] ** 0.5
        parameter.data = value.half().float()


def logits(model, ids):
    with torch.no_grad():
        return model(ids[None]).logits[0]


def greedy(model, ids):
    """The likeliest text behind the prompt, with a cache; None where a choice hangs on what rounding can move."""
    ids = ids[None]
    cache = None
    written = []
    with torch.no_grad():
        for _ in range(WRITTEN):
            result = model(ids, past_key_values=cache, use_cache=True)
            cache = result.past_key_values
            best = result.logits[0, -1].topk(2)
            if best.values[0] - best.values[1] < 1e-3:
                return None
            written.append(best.indices[0])
            ids = best.indices[:1][None]
    return torch.stack(written)


def matters(model, ids, expected, change):
    """The logits move by far more than any test allows when a part of the architecture is taken away."""
    config = copy.deepcopy(model.config)
    change(config)
    changed = AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
    changed.load_state_dict(model.state_dict())
    change(changed)
    moved = (logits(changed, ids) - expected).abs().max().item()
    assert moved > 0.1, moved
    return moved


def with_config(**keys):
    def change(model):
        if isinstance(model, PreTrainedConfig):
            for key, value in keys.items():
                setattr(model, key, value)

    return change


def with_rope(**keys):
    def change(model):
        if isinstance(model, PreTrainedConfig):
            model.rope_parameters.update(keys)

    return change


def without(part):
    def change(model):
        if isinstance(model, PreTrainedConfig):
            return
        for name, parameter in model.named_parameters():
            if part in name:
                parameter.data = torch.zeros_like(parameter) if "bias" in part else torch.ones_like(parameter)

    return change


def without_window(model):
    if isinstance(model, PreTrainedConfig):
        return
    model.config.sliding_window = None
    if hasattr(model.config, "layer_types"):
        model.config.layer_types = ["full_attention"] * model.config.num_hidden_layers
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
    "gemma2": without("post_feedforward_layernorm"),
    "gemma3": without("k_norm"),
    "smollm3": with_config(no_rope_layers=[1, 1]),
    "granite": with_config(residual_multiplier=1.0),
    "granite4": with_config(attention_multiplier=1.0),
    "olmo2": without("q_norm"),
    "olmo3": with_config(layer_types=["full_attention", "full_attention"]),
    "phi4-mini": with_rope(partial_rotary_factor=0.5, short_factor=[1.0] * 4, long_factor=[1.0] * 4),
    "llama-yarn": with_rope(truncate=True, mscale=1.0),
    "qwen3-window": with_config(layer_types=["full_attention", "full_attention"]),
    "cohere": without("input_layernorm"),
    "cohere-plus": without("q_norm"),
    "cohere2": with_config(layer_types=["full_attention"] * 3),
    "seed-oss": without("o_proj.bias"),
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


def main(folder, *names):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(folder / "tokenizer.json")
    for seed, (name, config) in enumerate(CONFIGS.items()):
        if names and name not in names:
            continue
        out = folder / name
        shutil.rmtree(out, ignore_errors=True)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        fill(model, seed)
        model.half().save_pretrained(out)
        (out / "generation_config.json").unlink(missing_ok=True)
        # Read again: half() has rounded the rope frequencies too.
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
        writes = config.max_position_embeddings >= TOKENS + WRITTEN
        for attempt in range(20):
            ids = torch.randint(
                0, 256, (TOKENS,), generator=torch.Generator().manual_seed(100 + seed + 1000 * attempt)
            )
            single = logits(model.float(), ids)
            expected = logits(model.double(), ids)
            written = greedy(model, ids) if writes else None
            if not writes or written is not None and (single - expected).abs().max() < 4e-5:
                break
        moved = matters(model, ids, expected, CHANGES[name])
        error = (single - expected).abs().max()
        made = {"ids": ids, "logits": expected.float().contiguous(), "fp32_error": error.float()[None]}
        if writes:
            made["greedy"] = written
        save_file(made, out / "expected.safetensors")
        print(
            f"{name}: {sum(p.numel() for p in model.parameters())} weights, largest logit {expected.abs().max():.2f}, "
            f"fp32 differs by {error:.2e}, without its own part by {moved:.2f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
