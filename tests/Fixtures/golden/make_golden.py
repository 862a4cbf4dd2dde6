#!/usr/bin/env python3
"""Makes the tiny checkpoints beside this script and what an independent implementation says about them.

Each folder gets config.json and model.safetensors (or shards), some also model.gguf, and golden.json: prompt ids, the logits of every
position and 16 greedy tokens, from plain forward passes written here (PyTorch, double precision, over the weights as stored). Needs PyTorch
alone; the same seeds give the same files.

    python3 make_golden.py
"""
import json
import math
import pathlib
import struct

import torch

HERE = pathlib.Path(__file__).parent
PROMPT = 40
GREEDY = 16


# ---- forward passes ------------------------------------------------------------------------------------------------

def heads_of(x, count):
    """[T, count * d] -> [count, T, d]"""
    return x.view(x.shape[0], count, -1).transpose(0, 1)


def attend(q, k, v, window):
    """Causal attention, q [H, T, d], k and v [KV, T, d] -> [T, H * d]"""
    repeat = q.shape[0] // k.shape[0]
    k, v = k.repeat_interleave(repeat, 0), v.repeat_interleave(repeat, 0)
    t = q.shape[1]
    distance = torch.arange(t)[:, None] - torch.arange(t)[None, :]
    hidden = (distance < 0) | (distance >= window if window else torch.zeros(t, t, dtype=torch.bool))
    scores = (q @ k.transpose(1, 2) / math.sqrt(q.shape[2])).masked_fill(hidden, -math.inf)
    return (torch.softmax(scores, -1) @ v).transpose(0, 1).reshape(t, -1)


def gpt2(config, w, ids):
    def norm(x, name):
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + config["layer_norm_epsilon"]) * w[name + ".weight"] + w[name + ".bias"]

    def linear(x, name):
        return x @ w[name + ".weight"] + w[name + ".bias"]

    def gelu_new(x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))

    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][: len(ids)]
    for i in range(config["n_layer"]):
        p = f"transformer.h.{i}."
        q, k, v = linear(norm(x, p + "ln_1"), p + "attn.c_attn").split(config["n_embd"], -1)
        n = config["n_head"]
        x = x + linear(attend(heads_of(q, n), heads_of(k, n), heads_of(v, n), 0), p + "attn.c_proj")
        x = x + linear(gelu_new(linear(norm(x, p + "ln_2"), p + "mlp.c_fc")), p + "mlp.c_proj")
    return norm(x, "transformer.ln_f")


def frequencies(config, d, context):
    """Rotary frequencies and the factor on cosine and sine, after transformers' modeling_rope_utils."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    base = scaling.get("rope_theta", config.get("rope_theta", 10000.0))
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    exponents = torch.arange(0, d, 2, dtype=torch.float64) / d
    plain = 1 / base ** exponents
    factor = scaling.get("factor", 1.0)
    if kind == "default":
        return plain, 1.0
    if kind == "linear":
        return plain / factor, 1.0
    if kind == "dynamic":
        trained = config["max_position_embeddings"]
        length = max(context, trained)
        base = base * ((factor * length / trained) - (factor - 1)) ** (d / (d - 2))
        return 1 / base ** exponents, 1.0
    if kind == "llama3":
        old = scaling["original_max_position_embeddings"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        out = []
        for f in plain.tolist():
            wavelength = 2 * math.pi / f
            if wavelength < old / high:
                out.append(f)
            elif wavelength > old / low:
                out.append(f / factor)
            else:
                smooth = (old / wavelength - low) / (high - low)
                out.append((1 - smooth) * f / factor + smooth * f)
        assert len({f == g for f, g in zip(out, plain.tolist())}) == 2
        return torch.tensor(out, dtype=torch.float64), 1.0
    assert kind == "yarn"
    old = scaling["original_max_position_embeddings"]

    def dimension(turns):
        return d * math.log(old / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(dimension(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(dimension(scaling.get("beta_slow", 1))), d - 1)
    ramp = ((torch.arange(d // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return plain / factor * ramp + plain * (1 - ramp), scaling.get("attention_factor", 0.1 * math.log(factor) + 1)


def llama(config, w, ids, context):
    n, kv = config["num_attention_heads"], config["num_key_value_heads"]
    d = config.get("head_dim") or config["hidden_size"] // n
    freqs, factor = frequencies(config, d, context)
    angles = torch.arange(len(ids), dtype=torch.float64)[:, None] * freqs
    cos, sin = torch.cos(angles) * factor, torch.sin(angles) * factor

    def norm(x, name):
        return x / torch.sqrt((x ** 2).mean(-1, keepdim=True) + config["rms_norm_eps"]) * w[name + ".weight"]

    def linear(x, name):
        y = x @ w[name + ".weight"].T
        return y + w[name + ".bias"] if name + ".bias" in w else y

    def rotate(x):
        a, b = x[..., : d // 2], x[..., d // 2:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def window(layer):
        size = config.get("sliding_window") or 0
        if config["model_type"] == "mistral":
            return size
        return size if config.get("use_sliding_window") and layer >= config["max_window_layers"] else 0

    x = w["model.embed_tokens.weight"][ids]
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = norm(x, p + "input_layernorm")
        q, k, v = (heads_of(linear(h, p + f"self_attn.{name}_proj"), count) for name, count in (("q", n), ("k", kv), ("v", kv)))
        if config["model_type"] == "qwen3":
            q, k = norm(q, p + "self_attn.q_norm"), norm(k, p + "self_attn.k_norm")
        x = x + linear(attend(rotate(q), rotate(k), v, window(i)), p + "self_attn.o_proj")
        h = norm(x, p + "post_attention_layernorm")
        gate = linear(h, p + "mlp.gate_proj")
        x = x + linear(gate * torch.sigmoid(gate) * linear(h, p + "mlp.up_proj"), p + "mlp.down_proj")
    return norm(x, "model.norm")


def hidden_states(config, weights, ids, context):
    """What stands behind the last norm, [T, hidden]."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    ids = torch.tensor(ids)
    return gpt2(config, w, ids) if config["model_type"] == "gpt2" else llama(config, w, ids, context)


def forward(config, weights, ids, context):
    tied = "transformer.wte.weight" if config["model_type"] == "gpt2" else "model.embed_tokens.weight"
    head = weights[tied if config["model_type"] == "gpt2" or config.get("tie_word_embeddings") else "lm_head.weight"]
    return hidden_states(config, weights, ids, context) @ head.double().T


# ---- random weights ------------------------------------------------------------------------------------------------

def shapes(config):
    """Names and shapes as Hugging Face keeps them."""
    out = {}
    if config["model_type"] == "gpt2":
        h, inner = config["n_embd"], config["n_inner"] or 4 * config["n_embd"]
        out["transformer.wte.weight"] = (config["vocab_size"], h)
        out["transformer.wpe.weight"] = (config["n_positions"], h)
        for i in range(config["n_layer"]):
            p = f"transformer.h.{i}."
            for name in ("ln_1", "ln_2"):
                out[p + name + ".weight"] = out[p + name + ".bias"] = (h,)
            for name, a, b in (("attn.c_attn", h, 3 * h), ("attn.c_proj", h, h), ("mlp.c_fc", h, inner), ("mlp.c_proj", inner, h)):
                out[p + name + ".weight"], out[p + name + ".bias"] = (a, b), (b,)
        out["transformer.ln_f.weight"] = out["transformer.ln_f.bias"] = (h,)
        return out
    h, inner, n, kv = (config[k] for k in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"))
    d = config.get("head_dim") or h // n
    out["model.embed_tokens.weight"] = (config["vocab_size"], h)
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        out[p + "input_layernorm.weight"] = out[p + "post_attention_layernorm.weight"] = (h,)
        for name, rows in (("q", n * d), ("k", kv * d), ("v", kv * d)):
            out[p + f"self_attn.{name}_proj.weight"] = (rows, h)
            if config["model_type"] == "qwen2":
                out[p + f"self_attn.{name}_proj.bias"] = (rows,)
        if config["model_type"] == "qwen3":
            out[p + "self_attn.q_norm.weight"] = out[p + "self_attn.k_norm.weight"] = (d,)
        out[p + "self_attn.o_proj.weight"] = (h, n * d)
        out[p + "mlp.gate_proj.weight"] = out[p + "mlp.up_proj.weight"] = (inner, h)
        out[p + "mlp.down_proj.weight"] = (h, inner)
    out["model.norm.weight"] = (h,)
    if not config.get("tie_word_embeddings"):
        out["lm_head.weight"] = (config["vocab_size"], h)
    return out


def random_weights(config, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes(config).items():
        values = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            values = values * 0.2 + (0 if name.endswith(".bias") else 1)
        elif "wte" in name or "wpe" in name or "embed" in name or "lm_head" in name:
            values = values * 0.5
        else:
            fan_in = shape[0] if config["model_type"] == "gpt2" else shape[1]
            values = values * (1.5 / math.sqrt(fan_in))
        weights[name] = values.to(dtype)
    return weights


# ---- files ---------------------------------------------------------------------------------------------------------

def raw(tensor):
    integers = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}[tensor.dtype]
    letter = "i" if tensor.dtype == torch.float32 else "h"
    values = tensor.contiguous().view(integers).flatten().tolist()
    return struct.pack(f"<{len(values)}{letter}", *values)


def write_safetensors(path, weights):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in weights.items():
        piece = raw(tensor)
        kind = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}[tensor.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_shards(folder, weights):
    names = list(weights)
    parts = [names[: len(names) // 2], names[len(names) // 2:]]
    where = {}
    for number, part in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        write_safetensors(folder / file, {name: weights[name] for name in part})
        where.update({name: file for name in part})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}, indent=1) + "\n")


def q8_0(tensor):
    """Blocks of 32: an f16 scale and 32 signed bytes. Returns the bytes and what they stand for, rounded to bf16."""
    blocks = tensor.float().reshape(-1, 32)
    scales = (blocks.abs().amax(1, keepdim=True) / 127).half()
    quants = torch.where(scales > 0, blocks / scales.float(), torch.zeros(())).round().clamp(-127, 127)
    data = b"".join(
        raw(scale) + struct.pack("<32b", *(int(q) for q in row.tolist())) for scale, row in zip(scales, quants))
    return data, (scales.float() * quants).bfloat16().reshape(tensor.shape)


def write_gguf(path, keys, tensors):
    """tensors: name -> tensor, or (shape, bytes) of a Q8_0 one."""
    def text(s):
        return struct.pack("<Q", len(s.encode())) + s.encode()

    def value(v, typed=True):
        if isinstance(v, bool):
            kind, body = 7, struct.pack("<?", v)
        elif isinstance(v, int):
            kind, body = 4, struct.pack("<I", v)
        elif isinstance(v, float):
            kind, body = 6, struct.pack("<f", v)
        elif isinstance(v, str):
            kind, body = 8, text(v)
        else:
            inner = [value(x) for x in v]
            kind = 9
            body = inner[0][:4] + struct.pack("<Q", len(v)) + b"".join(x[4:] for x in inner) if v else struct.pack("<IQ", 8, 0)
        return struct.pack("<I", kind) + body

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, v in keys.items():
        head += text(key) + value(v)
    data = b""
    for name, tensor in tensors.items():
        shape, kind, piece = (tensor[0], 8, tensor[1]) if isinstance(tensor, tuple) else (
            tensor.shape, {torch.float32: 0, torch.float16: 1, torch.bfloat16: 30}[tensor.dtype], raw(tensor))
        data += b"\0" * (-len(data) % 32)
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, len(data))
        data += piece
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)


GGUF_NAMES = {
    "wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm", "ln_1": "attn_norm", "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    name, suffix = name.rsplit(".", 1)
    name = name.removeprefix("transformer.").removeprefix("model.")
    layer = ""
    if name.startswith(("h.", "layers.")):
        _, number, name = name.split(".", 2)
        layer = f"blk.{number}."
    return f"{layer}{GGUF_NAMES[name]}.{suffix}"


def gguf_tensors(config, weights, quantise):
    out = {}
    for name, tensor in weights.items():
        if config["model_type"] == "gpt2" and tensor.dim() == 2 and ".h." in name:
            tensor = tensor.T.contiguous()
        if config["model_type"] in ("llama", "mistral"):
            for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
                if part in name:  # halves (i, i + d / 2) to neighbours (2i, 2i + 1)
                    n = config[heads]
                    tensor = tensor.reshape(n, 2, tensor.shape[0] // n // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
        if tensor.dim() == 1:
            out[gguf_name(name)] = tensor.float()
        elif quantise:
            out[gguf_name(name)] = (tensor.shape, q8_0(tensor)[0])
        else:
            out[gguf_name(name)] = tensor
    return out


def byte_letters():
    """The letters that byte-level encodings write the 256 bytes with."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) if b in plain else chr(256 + sum(c not in plain for c in range(b))) for b in range(256)]


def gguf_keys(config):
    family = {"mistral": "llama"}.get(config["model_type"], config["model_type"])
    gpt = family == "gpt2"
    merges = ["d e", "de f", "Ġ f", "i n", "r e", "t h"] if config["vocab_size"] > 262 else []
    tokens = [*byte_letters(), *(m.replace(" ", "") for m in merges)]
    tokens = (tokens + [f"<{i}>" for i in range(config["vocab_size"])])[: config["vocab_size"]]
    keys = {
        "general.architecture": family,
        f"{family}.context_length": config["n_positions" if gpt else "max_position_embeddings"],
        f"{family}.embedding_length": config["n_embd" if gpt else "hidden_size"],
        f"{family}.block_count": config["n_layer" if gpt else "num_hidden_layers"],
        f"{family}.feed_forward_length": 4 * config["n_embd"] if gpt else config["intermediate_size"],
        f"{family}.attention.head_count": config["n_head" if gpt else "num_attention_heads"],
    }
    if gpt:
        keys["gpt2.attention.layer_norm_epsilon"] = config["layer_norm_epsilon"]
    else:
        keys[f"{family}.attention.head_count_kv"] = config["num_key_value_heads"]
        keys[f"{family}.attention.layer_norm_rms_epsilon"] = config["rms_norm_eps"]
        keys[f"{family}.rope.freq_base"] = float((config.get("rope_parameters") or config)["rope_theta"])
        if config.get("head_dim"):
            keys[f"{family}.attention.key_length"] = keys[f"{family}.attention.value_length"] = config["head_dim"]
        scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
        kind = scaling.get("rope_type", scaling.get("type"))
        if kind in ("linear", "yarn"):
            keys[f"{family}.rope.scaling.type"] = kind
            keys[f"{family}.rope.scaling.factor"] = float(scaling["factor"])
        if kind == "yarn":
            keys[f"{family}.rope.scaling.original_context_length"] = scaling["original_max_position_embeddings"]
        if config["model_type"] == "mistral":
            keys["llama.attention.sliding_window"] = config["sliding_window"]
    keys["tokenizer.ggml.model"] = "gpt2"
    keys["tokenizer.ggml.pre"] = "gpt-2"
    keys["tokenizer.ggml.tokens"] = tokens
    keys["tokenizer.ggml.token_type"] = [1] * min(len(tokens), 262) + [3] * max(len(tokens) - 262, 0)
    keys["tokenizer.ggml.merges"] = merges
    keys["tokenizer.ggml.eos_token_id"] = config["vocab_size"] - 1
    return keys


# ---- the models ----------------------------------------------------------------------------------------------------

def llama_like(kind, **more):
    config = {
        "model_type": kind, "vocab_size": 67, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 66,
    }
    config.update(more)
    return {key: value for key, value in config.items() if value is not ...}


GPT2 = {
    "model_type": "gpt2", "vocab_size": 263, "n_positions": 64, "n_embd": 21, "n_layer": 2, "n_head": 3, "n_inner": None,
    "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "bos_token_id": 262, "eos_token_id": 262,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}

# name: config, and options: type of the weights, context to load with, kind of GGUF file beside it, shards, names without "model."
MODELS = {
    "gpt2": (GPT2, {"gguf": "plain"}),
    "llama-llama3": (llama_like("llama", num_attention_heads=6, num_key_value_heads=2, head_dim=8, rope_scaling=LLAMA3), {"gguf": "plain"}),
    "llama-linear": (llama_like("llama", rope_scaling={"type": "linear", "factor": 2.5}, tie_word_embeddings=False), {"shards": True, "gguf": "plain"}),
    "llama-yarn": (llama_like("llama", rope_theta=..., rope_parameters=YARN), {"gguf": "plain"}),
    "llama-dynamic": (llama_like("llama", max_position_embeddings=32, rope_scaling={"rope_type": "dynamic", "factor": 2.0}), {"context": 60}),
    "llama-bf16": (llama_like("llama", num_key_value_heads=1), {"dtype": torch.bfloat16}),
    "llama-q8": (llama_like("llama", hidden_size=64, intermediate_size=64), {"gguf": "q8"}),
    "mistral-window": (llama_like("mistral", hidden_size=30, num_attention_heads=3, num_key_value_heads=1, sliding_window=11), {"gguf": "plain"}),
    "qwen2-bias": (llama_like("qwen2", use_sliding_window=True, sliding_window=9, max_window_layers=1), {"bare": True}),
    "qwen2-f16": (llama_like("qwen2", use_sliding_window=False, sliding_window=9, max_window_layers=1), {"dtype": torch.float16, "gguf": "plain"}),
    "qwen3-norm": (llama_like("qwen3", hidden_size=25, head_dim=12, tie_word_embeddings=False), {"gguf": "plain"}),
}


def make(seed, name, config, options):
    """False where some greedy choice is so close that rounding could turn it: another seed is wanted."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    weights = random_weights(config, seed, options.get("dtype", torch.float32))
    kind = options.get("gguf")
    if kind:
        tensors = gguf_tensors(config, weights, kind == "q8")
        scaling = config.get("rope_scaling") or {}
        if scaling.get("rope_type") == "llama3":
            d = config["head_dim"]
            plain, _ = frequencies({**config, "rope_scaling": None}, d, 0)
            tensors["rope_freqs.weight"] = (plain / frequencies(config, d, 0)[0]).float()
        write_gguf(folder / "model.gguf", gguf_keys(config), tensors)
    if kind == "q8":
        weights = {n: q8_0(t)[1] if t.dim() == 2 else t for n, t in weights.items()}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if options.get("shards"):
        write_shards(folder, weights)
    else:
        bare = options.get("bare", False)
        write_safetensors(folder / "model.safetensors", {n.removeprefix("model.") if bare else n: t for n, t in weights.items()})

    context = options.get("context", config.get("max_position_embeddings") or config["n_positions"])
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, config["vocab_size"], (PROMPT,), generator=generator).tolist()
    logits = forward(config, weights, ids, context)
    text = list(ids)
    for _ in range(GREEDY):
        last = forward(config, weights, text, context)[-1]
        best = last.topk(2).values
        if best[0] - best[1] < 5e-3 * last.abs().max():
            return False
        text.append(int(last.argmax()))
    golden = {"context": context, "ids": ids, "greedy": text[PROMPT:], "logits": [[float(f"{v:.7g}") for v in row] for row in logits.tolist()]}
    (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir()):,} bytes, logits up to {logits.abs().max():.2f}")
    return True


if __name__ == "__main__":
    for number, (name, (config, options)) in enumerate(MODELS.items(), 1):
        next(seed for seed in range(1000 * number, 1000 * number + 100) if make(seed, name, config, options))
