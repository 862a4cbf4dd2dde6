#!/usr/bin/env python3
"""Makes embeddings.json beside this script: for some of the checkpoints here the mean of the final hidden states of a prompt, scaled to length 1,
by the plain forward passes of make_golden.py (PyTorch, double precision, over the weights as stored). Needs PyTorch alone.

    python3 make_embeddings.py
"""
import json
import struct

import torch

from make_golden import HERE, hidden_states


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8: 8 + size])
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    out = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            raw = torch.frombuffer(bytearray(data[8 + size + first: 8 + size + last]), dtype=types[entry["dtype"]])
            out[name] = raw.reshape(entry["shape"])
    return out


golden = {}
for name in ("gpt2", "llama-bf16", "mistral-window", "qwen3-norm"):
    folder = HERE / name
    config = json.loads((folder / "config.json").read_text())
    known = json.loads((folder / "golden.json").read_text())
    mean = hidden_states(config, read_safetensors(folder / "model.safetensors"), known["ids"], known["context"]).mean(0)
    golden[name] = {"context": known["context"], "ids": known["ids"], "embedding": [float(f"{v:.8g}") for v in (mean / mean.norm()).tolist()]}
(HERE / "embeddings.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
