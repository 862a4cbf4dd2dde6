#!/usr/bin/env python3
"""What PyTorch needs for a token on the same device: eager and CUDA-graph decoding of GPT-2-L's and Llama-3-8B's shapes with random
weights and a static KV cache, and transformers' assisted generation with a random pair of GPT-2-L's and the 40M draft's shapes. Writes
peers.json to FOLDER, where our own figures of the same run lie in results.jsonl.

peers.py FOLDER [--device cuda|cpu] [--tiny]   (needs torch; the assisted generation also transformers)
"""
import argparse
import json
import math
import os
import statistics
import time

import torch
import torch.nn.functional as F

GPT2_L = dict(layers=36, hidden=1280, heads=20, kv_heads=20, mlp=5120, vocabulary=50257, gated=False)
LLAMA_8B = dict(layers=32, hidden=4096, heads=32, kv_heads=8, mlp=14336, vocabulary=128256, gated=True)
CONTEXT, PROMPT = 512, 128


class Model:
    """A decoder of one token a pass; keys and values of all positions lie in fixed tensors, so that a pass can be recorded."""

    def __init__(self, shape, device, dtype):
        self.shape = shape
        hidden, heads, kv = shape["hidden"], shape["heads"], shape["kv_heads"]
        self.dim = hidden // heads

        def weight(*size):
            return torch.randn(*size, device=device, dtype=dtype) * 0.02

        self.embedding = weight(shape["vocabulary"], hidden)
        self.head = weight(shape["vocabulary"], hidden) if shape["gated"] else self.embedding  # GPT-2's is tied
        self.norm = torch.ones(hidden, device=device, dtype=dtype)
        self.zero = torch.zeros(hidden, device=device, dtype=dtype)
        self.positions = weight(CONTEXT, hidden)
        self.layers = []
        for _ in range(shape["layers"]):
            self.layers.append(dict(
                qkv=weight((heads + 2 * kv) * self.dim, hidden), out=weight(hidden, hidden),
                up=weight(shape["mlp"] * (2 if shape["gated"] else 1), hidden), down=weight(hidden, shape["mlp"]),
                keys=torch.zeros(kv, CONTEXT, self.dim, device=device, dtype=dtype),
                values=torch.zeros(kv, CONTEXT, self.dim, device=device, dtype=dtype)))
        angles = torch.arange(CONTEXT, device=device)[:, None] * (1e4 ** (-torch.arange(0, self.dim, 2, device=device) / self.dim))[None]
        self.cosine, self.sine = angles.cos().to(dtype), angles.sin().to(dtype)
        self.range = torch.arange(CONTEXT, device=device)
        self.token = torch.zeros(1, dtype=torch.long, device=device)
        self.position = torch.zeros(1, dtype=torch.long, device=device)

    def normed(self, x):
        if not self.shape["gated"]:
            return F.layer_norm(x, x.shape[-1:], self.norm, self.zero)
        return x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5).to(x.dtype) * self.norm

    def turned(self, x):
        if not self.shape["gated"]:
            return x
        cosine, sine = self.cosine[self.position], self.sine[self.position]
        first, second = x.chunk(2, -1)
        return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)

    def step(self):
        """One token: reads self.token at self.position, leaves the next ones there."""
        shape, dim = self.shape, self.dim
        heads, kv = shape["heads"], shape["kv_heads"]
        x = self.embedding[self.token]
        if not shape["gated"]:
            x = x + self.positions[self.position]
        mask = torch.where(self.range <= self.position, 0.0, -math.inf).to(x.dtype)
        for layer in self.layers:
            q, k, v = F.linear(self.normed(x), layer["qkv"]).split([heads * dim, kv * dim, kv * dim], -1)
            q = self.turned(q.view(heads, dim)).view(kv, heads // kv, dim)
            layer["keys"].index_copy_(1, self.position, self.turned(k.view(kv, dim))[:, None])
            layer["values"].index_copy_(1, self.position, v.view(kv, 1, dim))
            scores = q @ layer["keys"].transpose(1, 2) / math.sqrt(dim) + mask
            x = x + F.linear((scores.softmax(-1) @ layer["values"]).view(1, heads * dim), layer["out"])
            up = F.linear(self.normed(x), layer["up"])
            if shape["gated"]:
                gate, up = up.chunk(2, -1)
                up = F.silu(gate) * up
            else:
                up = F.gelu(up)
            x = x + F.linear(up, layer["down"])
        self.token.copy_(F.linear(self.normed(x), self.head).argmax(-1))
        self.position.add_(1)


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()


def per_token(model, step, device, tokens):
    """Median of five runs, milliseconds a token, PROMPT tokens being in the cache."""
    times = []
    for _ in range(6):
        model.position.fill_(PROMPT)
        finish(device)
        start = time.perf_counter()
        for _ in range(tokens):
            step()
        finish(device)
        times.append((time.perf_counter() - start) / tokens * 1e3)
    return statistics.median(times[1:])


def recorded(model):
    """The step as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            model.step()
    torch.cuda.current_stream().wait_stream(stream)
    model.position.fill_(PROMPT)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model.step()
    return graph.replay


def decoding(shape, device, dtype, tokens):
    model = Model(shape, device, dtype)
    found = {"eager_ms_per_token": per_token(model, model.step, device, tokens)}
    if device == "cuda":
        found["graph_ms_per_token"] = per_token(model, recorded(model), device, tokens)
    return found


def assisted(device, dtype, tokens, tiny):
    """transformers' generate, plain and with the draft as assistant. Random models seldom agree: the acceptance is that of chance."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError as error:
        return {"absent": str(error)}

    def build(hidden, layers, heads):
        config = GPT2Config(vocab_size=512 if tiny else 50257, n_positions=1024, n_embd=hidden,
                            n_layer=layers, n_head=heads, bos_token_id=0, eos_token_id=0)
        return GPT2LMHeadModel(config).to(device=device, dtype=dtype).eval()

    target, draft = (build(64, 2, 4), build(32, 1, 4)) if tiny else (build(1280, 36, 20), build(512, 4, 8))
    prompt = torch.randint(1, 500, (1, PROMPT), device=device)
    found = {"acceptance": "random weights: that of chance"}
    for name, extra in (("plain", {}), ("assisted", {"assistant_model": draft})):
        times = []
        for _ in range(4):
            finish(device)
            start = time.perf_counter()
            out = target.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, min_new_tokens=tokens,
                                  max_new_tokens=tokens, pad_token_id=0, **extra)
            finish(device)
            times.append((time.perf_counter() - start) / (out.shape[1] - PROMPT) * 1e3)
        found[name + "_ms_per_token"] = statistics.median(times[1:])
    return found


def measured(folder):
    """What the GPU checks found, by check."""
    path = os.path.join(folder, "results.jsonl")
    lines = open(path).read().splitlines() if os.path.exists(path) else []
    return {line["check"]: line.get("found", {}) for line in map(json.loads, lines)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="small shapes, to try the script")
    arguments = parser.parse_args()
    checks = measured(arguments.folder)
    dtype = torch.bfloat16 if arguments.device == "cuda" else torch.float32
    shapes = {"gpt2_large": GPT2_L, "llama_8b": LLAMA_8B}
    if arguments.tiny:
        small = {"layers": 2, "hidden": 64, "heads": 4, "mlp": 128, "vocabulary": 300}
        shapes = {name: {**shape, **small, "kv_heads": min(4, shape["kv_heads"] // 4)} for name, shape in shapes.items()}
    tokens = 8 if arguments.tiny else 128
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    peers = {"torch": torch.__version__, "device": name, "tiny": arguments.tiny}
    steps = [(name, lambda shape=shape: decoding(shape, arguments.device, dtype, tokens)) for name, shape in shapes.items()]
    steps.append(("transformers_assisted_gpt2_large_40m", lambda: assisted(arguments.device, dtype, tokens, arguments.tiny)))
    # Ours: what the GPU checks measured in the same run.
    ours = {"gpt2_large": "pass_gpt2_large", "llama_8b": "pass_llama_8b"}
    with torch.inference_mode():
        for name, step in steps:
            try:
                peers[name] = step()
            except RuntimeError as error:
                peers[name] = {"error": str(error).splitlines()[0]}
            found = checks.get(ours.get(name), {}).get("passes", {}).get("1")
            if found:
                peers[name]["ours_ms_per_token"] = found["with_decision_ms"]
            print(name, json.dumps(peers[name]))
            with open(os.path.join(arguments.folder, "peers.json"), "w") as out:
                json.dump(peers, out, indent=1)


if __name__ == "__main__":
    main()
