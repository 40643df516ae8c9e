#!/usr/bin/env python3
"""Loads a checkpoint with a program of others and writes what it computes: docs/compatibility.md says what for.

  measure.py LOADER TEXT MODEL=OUT.json …

LOADER is transformers, autoawq, gptqmodel or vllm; each wants a Python environment of its own. MODEL is a folder, TEXT a text file.
OUT gets the version, the ids of TEXT's first windows, the log-probability of each of their tokens, the perplexity, and a greedily
continued prompt; beside it, from the loaders that hand logits out, OUT.npy with the logits of the first 64 positions.
"""
import json
import math
import sys

WINDOWS, LENGTH, LOGITS, NEW = 2, 256, 64, 24
PROMPT = "The city of"


def windows(tokenizer, text):
    ids = tokenizer(text).input_ids
    return [ids[i * LENGTH:(i + 1) * LENGTH] for i in range(WINDOWS)]


def result(loader, version, blocks, logprobs, text):
    # As Nibble's recipe: the mean over windows of the mean over the predicted tokens of each.
    mean = sum(sum(block) / len(block) for block in logprobs) / len(logprobs)
    return dict(loader=loader, version=version, ids=blocks, logprobs=logprobs, perplexity=math.exp(-mean), greedy=text)


def continued(tokenizer, prompt, made):
    # With what stands before it in view: alone, the first piece would lose its space.
    def decode(ids):
        return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return decode(prompt + made)[len(decode(prompt)):]


def with_torch(loader, version, model, tokenizer, text, out):
    import numpy
    import torch

    blocks, logprobs = windows(tokenizer, text), []
    with torch.no_grad():
        for i, block in enumerate(blocks):
            logits = model(torch.tensor([block])).logits[0].float()
            if i == 0:
                numpy.save(out + ".npy", logits[:LOGITS].numpy())
            targets = torch.tensor(block[1:])
            logprobs.append(logits[:-1].log_softmax(-1)[range(LENGTH - 1), targets].tolist())
        prompt = tokenizer(PROMPT, return_tensors="pt")
        made = model.generate(input_ids=prompt.input_ids, attention_mask=prompt.attention_mask, max_new_tokens=NEW, do_sample=False)
    ids = prompt.input_ids[0].tolist()
    return result(loader, version, blocks, logprobs, continued(tokenizer, ids, made[0].tolist()[len(ids):]))


def transformers(path, text, out):
    import torch
    import transformers
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    return with_torch("transformers", transformers.__version__, model, transformers.AutoTokenizer.from_pretrained(path), text, out)


def autoawq(path, text, out):
    import torch
    import transformers
    import awq
    import awq.models.base as base
    import awq.modules.linear.gemm as gemm
    base.get_best_device = lambda: "cuda:0"  # only so that it does not ask for ipex, which has no wheels for this PyTorch
    gemm.TRITON_AVAILABLE = False  # no card: its own path in PyTorch
    model = awq.AutoAWQForCausalLM.from_quantized(path, device_map={"": "cpu"}, fuse_layers=False, torch_dtype=torch.float16)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    return with_torch("AutoAWQ", awq.__version__, model.model.eval(), tokenizer, text, out)


def gptqmodel(path, text, out):
    import gptqmodel
    import torch
    import transformers
    model = gptqmodel.GPTQModel.load(path, device="cpu", backend=gptqmodel.BACKEND.TORCH, dtype=torch.float16)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    return with_torch("GPTQModel", gptqmodel.__version__, model.model.eval(), tokenizer, text, out)


def vllm(path, text, out):
    import transformers
    import vllm
    llm = vllm.LLM(path, dtype="float16", max_model_len=512, enforce_eager=True, max_num_seqs=2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    blocks = windows(tokenizer, text)
    asked = [vllm.TokensPrompt(prompt_token_ids=block) for block in blocks]
    answers = llm.generate(asked, vllm.SamplingParams(max_tokens=1, prompt_logprobs=0, temperature=0))
    logprobs = [[position[token].logprob for position, token in list(zip(answer.prompt_logprobs, block))[1:]]
                for answer, block in zip(answers, blocks)]
    prompt = tokenizer(PROMPT).input_ids
    made = llm.generate([vllm.TokensPrompt(prompt_token_ids=prompt)], vllm.SamplingParams(max_tokens=NEW, temperature=0))
    return result("vLLM", vllm.__version__, blocks, logprobs, made[0].outputs[0].text)


def main(name, text, *models):
    with open(text, encoding="utf-8", newline="") as file:
        text = file.read()
    for path, out in (model.split("=") for model in models):
        try:
            found = dict(transformers=transformers, autoawq=autoawq, gptqmodel=gptqmodel, vllm=vllm)[name](path, text, out)
        except Exception as refusal:
            print(path, name, "REFUSED:", " ".join(str(refusal).split())[:600], flush=True)
            continue
        with open(out, "w", encoding="utf-8") as file:
            json.dump(found, file)
        print(path, found["loader"], found["version"], "perplexity %.4f" % found["perplexity"], repr(found["greedy"]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
