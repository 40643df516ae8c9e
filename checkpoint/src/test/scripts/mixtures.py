"""Makes tiny random mixtures of experts beside the models of architectures.py, with the same files.

    python checkpoint/src/test/scripts/mixtures.py checkpoint/src/test/resources/architectures

The committed files were made with torch 2.13.0 and transformers 5.17.0. expected.safetensors has one tensor more:

    greedy I64 [tokens + 64]   ids and the 64 likeliest tokens behind them, by the fp64 run; each is likelier
                               than the next by 1e-3 at least

`-mxfp4` is gpt-oss as it is published: experts in MXFP4, in blocks and scales that are made here. transformers reads
them back for the expected numbers.

`-fp8` is DeepSeek-V3 as it is published: linears in e4m3, with a scale for each block of rows and columns. The expected
numbers are of the weights that these two give.

`-fused` is the model before it as transformers writes it with save_original_format=False: experts of a layer in one
tensor.
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Mxfp4Config, PreTrainedConfig
from transformers.models.deepseek_v2 import DeepseekV2Config
from transformers.models.deepseek_v3 import DeepseekV3Config
from transformers.models.gpt_oss import GptOssConfig
from transformers.models.llama4 import Llama4TextConfig
from transformers.models.mixtral import MixtralConfig
from transformers.models.olmoe import OlmoeConfig
from transformers.models.phimoe import PhimoeConfig
from transformers.models.qwen2_moe import Qwen2MoeConfig
from transformers.models.qwen3_moe import Qwen3MoeConfig

from architectures import SMALL, TOKENS, fill, logits, matters

SMALL = {**SMALL, "max_position_embeddings": 128}
GREEDY = 64
LATENT = dict(
    {**SMALL, "rms_norm_eps": 1e-6, "num_key_value_heads": 4},
    kv_lora_rank=32,
    qk_nope_head_dim=16,
    qk_rope_head_dim=8,
    v_head_dim=8,
    n_routed_experts=8,
    num_experts_per_tok=3,
    moe_intermediate_size=32,
)


def yarn(mscale):
    """Rope that scales scores too."""
    return {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "beta_fast": 4.0,
        "beta_slow": 1.0,
        "mscale": mscale,
        "mscale_all_dim": mscale,
    }


CONFIGS = {
    "mixtral": MixtralConfig(
        **{**SMALL, "intermediate_size": 32}, num_local_experts=5, num_experts_per_tok=2, head_dim=16),
    # A layer with one MLP between those with experts, which are not normalized.
    "qwen2-moe": Qwen2MoeConfig(
        **{**SMALL, "num_hidden_layers": 3},
        num_experts=6,
        num_experts_per_tok=3,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=64,
        mlp_only_layers=[1],
    ),
    "qwen3-moe": Qwen3MoeConfig(
        **SMALL, head_dim=16, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32, norm_topk_prob=True
    ),
    # DeepSeek-V2-Lite: queries from the residual stream, a first layer with one MLP, yarn that scales scores too.
    "deepseek2-lite": DeepseekV2Config(
        **LATENT,
        q_lora_rank=None,
        first_k_dense_replace=1,
        n_shared_experts=2,
        routed_scaling_factor=1.0,
        rope_parameters=yarn(0.707),
    ),
    # DeepSeek-V2: queries from a narrow vector, experts from the best groups, their outputs scaled.
    "deepseek2": DeepseekV2Config(
        **LATENT,
        q_lora_rank=32,
        n_shared_experts=1,
        topk_method="group_limited_greedy",
        n_group=4,
        topk_group=2,
        routed_scaling_factor=2.5,
    ),
    # DeepSeek-V3: experts chosen by sigmoids with a bias, of the groups whose two best have the largest sums.
    "deepseek3": DeepseekV3Config(
        **LATENT,
        q_lora_rank=32,
        n_shared_experts=1,
        n_group=4,
        topk_group=2,
        norm_topk_prob=True,
        routed_scaling_factor=2.5,
        first_k_dense_replace=1,
        rope_parameters=yarn(1.0),
    ),
    # Two layers with a window, one without; the prompt is longer than the length that rope was made for.
    "gpt-oss": GptOssConfig(
        **{**SMALL, "intermediate_size": 32, "num_hidden_layers": 3},
        num_local_experts=4,
        num_experts_per_tok=2,
        head_dim=16,
        sliding_window=8,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 150000.0,
            "factor": 8.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 16,
        },
    ),
    # Every other layer has experts, the last one no rope; the text is longer than chunks, and than the floor of queries' growth.
    "llama4": Llama4TextConfig(
        **{**SMALL, "intermediate_size": 32, "num_hidden_layers": 4},
        intermediate_size_mlp=64,
        head_dim=16,
        num_local_experts=6,
        num_experts_per_tok=2,
        interleave_moe_layer_step=2,
        attention_chunk_size=9,
        floor_scale=8,
        attn_scale=0.5,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "olmoe": OlmoeConfig(**{**SMALL, "intermediate_size": 32}, num_experts=6, num_experts_per_tok=3),
    # Short factors at every length here: transformers 5.17 computes no others, see docs/mixtures.md.
    "phimoe": PhimoeConfig(
        **{**SMALL, "intermediate_size": 32},
        num_local_experts=6,
        num_experts_per_tok=2,
        attention_bias=True,
        lm_head_bias=True,
        sliding_window=100,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0, 1.25, 1.5, 2.0],
            "long_factor": [1.5, 2.0, 3.0, 4.0],
            "short_mscale": 1.25,
            "long_mscale": 1.25,
            "original_max_position_embeddings": 96,
        },
    ),
}


# Of weights whose 64 tokens are clear, whose experts are, and whose fp32 run is as near as those of the other models.
SEEDS = {"mixtral": 0, "qwen2-moe": 2, "qwen3-moe": 5, "olmoe": 1, "gpt-oss": 0, "gpt-oss-mxfp4": 1, "deepseek2": 5, "deepseek3": 2, "deepseek3-fp8": 4, "phimoe": 4, "llama4": 2}


def fill_experts(model, seed):
    """As fill, but with the deviation that a matrix of each expert would have."""
    fill(model, seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 3 and model.config.model_type == "gpt_oss":
            # Transposed, so fill has taken the right extent. Wide enough that gate and up are clamped now and then.
            parameter.data = (parameter.data * 1.5).half().float()
        elif parameter.dim() == 3 and model.config.model_type == "llama4_text":
            # Transposed as well; inputs are multiplied by scores below 1.
            parameter.data = (parameter.data * 1.25).half().float()
        elif parameter.dim() == 3:
            factor = (parameter.shape[1] / parameter.shape[2]) ** 0.5
            parameter.data = (parameter.data * factor).half().float()
        elif name.endswith(("router.weight", "mlp.gate.weight")):
            parameter.data = (parameter.data * 0.3).half().float()
    generator = torch.Generator().manual_seed(seed)
    for bias in corrections(model).values():
        bias.copy_(0.2 * torch.randn(bias.shape, generator=generator))


def corrections(model):
    """What DeepSeek-V3 adds to scores where it chooses, in fp32 also where all else is in fp16."""
    return {name: buffer for name, buffer in model.named_buffers() if name.endswith("e_score_correction_bias")}


def halves(model):
    """The model in fp16, with its corrections in fp32."""
    kept = {name: bias.clone() for name, bias in corrections(model).items()}
    model.half()
    for name, bias in kept.items():
        model.get_submodule(name.rpartition(".")[0]).e_score_correction_bias = bias
    return model


def without_router(model):
    """Experts are chosen in the reverse order; where there are sinks, they take next to nothing."""
    if isinstance(model, PreTrainedConfig):
        return
    for layer in model.model.layers:
        if hasattr(layer.self_attn, "sinks"):
            layer.self_attn.sinks.data.fill_(-50)
    for bias in corrections(model).values():
        bias.zero_()
    for name, parameter in model.named_parameters():
        if name.endswith(("mlp.gate.weight", "feed_forward.router.weight")) or name.endswith("mlp.router.weight") and model.config.model_type == "phimoe":
            parameter.data = torch.flip(parameter.data, (0,))


def steady(model, ids):
    """How far logits move if what layers give is off by 0.4 %, more than in fp16: far where another expert is chosen."""
    expected = logits(model, ids)
    moved = 0
    for run in range(20):
        noise = torch.Generator().manual_seed(run)

        def shake(module, inputs, out):
            first = out[0] if isinstance(out, tuple) else out
            first = first * (1 + 4e-3 * torch.randn(first.shape, generator=noise).to(first))
            return (first, *out[1:]) if isinstance(out, tuple) else first

        handles = [
            part.register_forward_hook(shake)
            for layer in model.model.layers
            for part in (layer, layer.self_attn, layer.post_attention_layernorm)
        ]
        moved = max(moved, (logits(model, ids) - expected).abs().max().item())
        for handle in handles:
            handle.remove()
    return moved


E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def mxfp4(weight):
    """Blocks and scales of [.., out, in]: the power of two of a block's largest value, each value to the nearest."""
    values = weight.float().unflatten(-1, (-1, 32))
    largest = values.abs().amax(-1).clamp(min=2.0**-100)
    exponent = torch.floor(torch.log2(largest)) - 2
    scaled = values / 2.0 ** exponent[..., None]
    codes = (scaled.abs()[..., None] - E2M1).abs().argmin(-1) + 8 * (scaled < 0)
    blocks = codes[..., 0::2] | codes[..., 1::2] << 4
    return blocks.to(torch.uint8), (exponent + 127).to(torch.uint8)


def publish(model, out):
    """Writes gpt-oss with experts in MXFP4."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            blocks, scales = mxfp4(tensor.transpose(1, 2))
            tensors[name + "_blocks"] = blocks.contiguous()
            tensors[name + "_scales"] = scales.contiguous()
        else:
            tensors[name] = tensor.bfloat16().contiguous()
    model.config.save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    config["dtype"] = "bfloat16"
    config["quantization_config"] = {
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
        "quant_method": "mxfp4",
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


FP8_BLOCK = (16, 24)


def fp8(model, out):
    """Writes DeepSeek-V3 with linears in e4m3, the last blocks of a row cut off, and rounds those of the model."""
    model.config.save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    config["quantization_config"] = {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": list(FP8_BLOCK),
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {}
    for name, tensor in model.state_dict().items():
        layer = name.rpartition(".")[0]
        if tensor.dim() < 2 or name in ("model.embed_tokens.weight", "lm_head.weight") or layer.endswith("mlp.gate"):
            tensors[name] = tensor.float() if name.endswith("correction_bias") else tensor.half()
        elif tensor.dim() == 3:
            for index, matrix in enumerate(tensor):
                parts = matrix.chunk(2) if "gate_up" in name else [matrix]
                names = ["gate_proj", "up_proj"] if "gate_up" in name else ["down_proj"]
                for part, of in zip(parts, names):
                    rounded(part, f"{layer}.{index}.{of}.weight", tensors)
        else:
            rounded(tensor, name, tensors)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def rounded(weight, name, tensors):
    rows, columns = FP8_BLOCK
    scales = torch.empty(-(-weight.shape[0] // rows), -(-weight.shape[1] // columns))
    codes = torch.empty(weight.shape, dtype=torch.float8_e4m3fn)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            at = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            scales[i, j] = weight[at].abs().max() / 448
            codes[at] = (weight[at] / scales[i, j]).to(torch.float8_e4m3fn)
            weight[at] = codes[at].float() * scales[i, j]
    tensors[name] = codes
    tensors[name + "_scale_inv"] = scales


def greedy(model, ids):
    for _ in range(GREEDY):
        best = logits(model, ids)[-1].topk(2)
        assert best.values[0] - best.values[1] > 1e-3, best
        ids = torch.cat([ids, best.indices[:1]])
    return ids


def main(folder, *names):
    folder = pathlib.Path(folder)
    published = [("gpt-oss-mxfp4", CONFIGS["gpt-oss"]), ("deepseek3-fp8", CONFIGS["deepseek3"])]
    for name, config in [*CONFIGS.items(), *published]:
        if names and name not in names:
            continue
        seed = SEEDS.get(name, 0)
        out = folder / name
        shutil.rmtree(out, ignore_errors=True)
        config._experts_implementation = "eager"
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        out.mkdir(parents=True)
        fill_experts(model, 50 + seed)
        ids = torch.randint(0, 256, (TOKENS,), generator=torch.Generator().manual_seed(150 + seed))
        if name.endswith("-fp8"):
            with torch.no_grad():
                fp8(model, out)
        else:
            if name.endswith("-mxfp4"):
                publish(model, out)
            else:
                halves(model).save_pretrained(out)
            how = {"quantization_config": Mxfp4Config(dequantize=True)} if name.endswith("-mxfp4") else {}
            model = AutoModelForCausalLM.from_pretrained(
                out, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager", **how
            ).float().eval()
        single = logits(model, ids)
        expected = logits(model.double(), ids)
        moved = matters(model, ids, expected, without_router)
        error = (single - expected).abs().max()
        made = {
            "ids": ids,
            "logits": expected.float().contiguous(),
            "fp32_error": error.float()[None],
            "greedy": greedy(model, ids),
        }
        save_file(made, out / "expected.safetensors")
        if name == "mixtral":
            fused = folder / (name + "-fused")
            shutil.rmtree(fused, ignore_errors=True)
            model16 = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float16)
            model16.save_pretrained(fused, save_original_format=False)
            shutil.copy(out / "expected.safetensors", fused)
            (fused / "generation_config.json").unlink(missing_ok=True)
        (out / "generation_config.json").unlink(missing_ok=True)
        print(
            f"{name}: {sum(p.numel() for p in model.parameters())} weights, largest logit {expected.abs().max():.2f}, "
            f"fp32 differs by {error:.2e}, with the router's rows turned over by {moved:.2f}, "
            f"with layers off by 0.4 % by {steady(model, ids):.2f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
