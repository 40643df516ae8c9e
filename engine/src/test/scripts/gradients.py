"""Makes engine/src/test/resources/gradients.json: what PyTorch's autograd gives for the divergence of a quantized tiny model.

Run once, by hand, outside the build, from the repository's root, with PyTorch (CPU) and transformers installed:

    python engine/src/test/scripts/gradients.py checkpoint/src/test/resources/architectures engine/src/test/resources/gradients.json

The committed file was made with torch 2.15.0 and transformers 5.17.0, in fp64 (norms and rope are fp32 in transformers). The original
is the model of each folder, with its expected.safetensors' ids as two sequences of 12. The quantized model has the same norms, biases,
embedding and head, and linears of codes, zeros and scales by the formulas of `linear`. The loss is the mean over tokens of
KL(original || quantized). Codes have gradients as if they were real numbers. For each parameter there are the norm of its gradient
and its product with cos(0), cos(1), cos(2), ...
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from torch.func import functional_call
from transformers import AutoModelForCausalLM

GROUP = 32
LINEARS = ["q", "k", "v", "o", "gate", "up", "down"]
FUSED = {
    "qkv_proj": ["q", "k", "v"],
    "gate_up_proj": ["gate", "up"],
    "input_linear": ["gate", "up"],
    "output_linear": ["down"],
}


def linear(layer, index, out, inp):
    n = torch.arange(out)[:, None]
    k = torch.arange(inp)[None]
    codes = (7 * n + 5 * k + 3 * layer + index + (n * k) % 11) % 16
    g = torch.arange(inp // GROUP)[None]
    zeros = 6 + (n + g) % 4
    scales = (0.02 * (1 + ((n + 3 * g) % 5) / 8)).half().double()
    return (codes - zeros.repeat_interleave(GROUP, 1)).double(), scales


def gradients(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    ids = load_file(folder / "expected.safetensors")["ids"].reshape(2, 12)
    with torch.no_grad():
        original = torch.log_softmax(model(ids).logits, -1)
    weights = {name: value.detach().clone().requires_grad_(value.dim() == 1) for name, value in model.named_parameters()}
    c = model.config
    head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    mlp = getattr(c, "shared_intermediate_size", None) or c.intermediate_size
    rows = dict(q=c.num_attention_heads * head, k=c.num_key_value_heads * head, gate=mlp)
    rows.update(v=rows["k"], o=c.hidden_size, up=rows["gate"], down=c.hidden_size)
    columns = dict(q=c.hidden_size, k=c.hidden_size, v=c.hidden_size, o=rows["q"], gate=c.hidden_size, up=c.hidden_size)
    columns["down"] = mlp
    scales, shown = {}, {}
    for layer in range(c.num_hidden_layers):
        made = {}
        for index, name in enumerate(LINEARS):
            values, scale = linear(layer, index, rows[name], columns[name])
            values, scale = values.requires_grad_(True), scale.requires_grad_(True)
            made[name] = (values.reshape(*scale.shape, GROUP) * scale[..., None]).reshape(values.shape)
            scales[f"{layer}.{name}"], scales[f"{layer}.{name}.codes"] = scale, values
        for full in list(weights):
            if not full.startswith(f"model.layers.{layer}.") or not full.endswith(("_proj.weight", "_linear.weight")):
                continue
            short = full.split(".")[-2]
            parts = FUSED.get(short, [short.replace("_proj", "")])
            weights[full] = torch.cat([made[part] for part in parts])
    quantized = torch.log_softmax(functional_call(model, weights, (ids,)).logits, -1)
    divergence = (original.exp() * (original - quantized)).sum(-1).mean()
    for name, value in weights.items():
        if "norm" in name:
            shown[name.removeprefix("model.").removeprefix("layers.").removesuffix(".weight")] = value
    shown.update(scales)
    result = {"divergence": divergence.item()}
    for name, gradient in zip(shown, torch.autograd.grad(divergence, list(shown.values()))):
        flat = gradient.double().reshape(-1)
        result[name] = [flat.norm().item(), (flat * torch.arange(len(flat)).double().cos()).sum().item()]
    return result


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1])
    names = ["smollm", "llama-bias", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2", "gemma3", "smollm3"]
    names += ["granite", "granite4", "olmo2", "olmo3", "phi4-mini", "llama-yarn", "qwen3-window", "seed-oss", "cohere", "cohere2"]
    pathlib.Path(sys.argv[2]).write_text(json.dumps({n: gradients(root / n) for n in names}, indent=1) + "\n")
