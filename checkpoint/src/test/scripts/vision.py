"""Makes tiny random models of several modalities, and what transformers computes of a text alone, as architectures.py does.

    python checkpoint/src/test/scripts/vision.py checkpoint/src/test/resources/vision

The committed files were made with torch 2.13.0 and transformers 5.17.0. `-renamed` is the model before it with the names
that save_original_format=False writes.
"""

import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from architectures import CONFIGS, TOKENS, fill, logits


def main(folder):
    out = pathlib.Path(folder) / "gemma3"
    renamed = pathlib.Path(folder) / "gemma3-renamed"
    config = Gemma3Config(
        text_config=CONFIGS["gemma3"].to_dict(),
        vision_config=dict(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
        ),
        mm_tokens_per_image=1,
        boi_token_index=258,
        eoi_token_index=259,
        image_token_index=260,
    )
    model = Gemma3ForConditionalGeneration(config).float().eval()
    fill(model, 7)
    for target, original in ((out, True), (renamed, False)):
        shutil.rmtree(target, ignore_errors=True)
        model.half().save_pretrained(target, save_original_format=original)
        (target / "generation_config.json").unlink(missing_ok=True)
    model = Gemma3ForConditionalGeneration.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(0, 256, (TOKENS,), generator=torch.Generator().manual_seed(107))
    single = logits(model, ids)
    expected = logits(model.double(), ids)
    error = (single - expected).abs().max()
    save_file(
        {"ids": ids, "logits": expected.float().contiguous(), "fp32_error": error.float()[None]},
        out / "expected.safetensors",
    )
    print(f"largest logit {expected.abs().max():.2f}, fp32 differs by {error:.2e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
