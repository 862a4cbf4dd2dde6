#!/usr/bin/env python3
"""Trains the tiny hybrid in ../mtp, with its next-token-prediction block, and says how far the block's greedy guesses reach.

The model is a Qwen 3.5 in small: gated DeltaNets and one layer of attention over bytes, learned from this repository's own text. golden.json
holds prompts, the greedy text that follows, and for each number of committed tokens how many of three chained guesses of the block that text
confirms. All of it comes from the plain forward passes written here: PyTorch, double precision, over the weights as stored. Needs PyTorch
alone; a few minutes on one core.

    python3 make_mtp.py [STEPS]        # 0: the weights that are there stay
"""
import json
import math
import pathlib
import struct
import sys

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
OUT = HERE.parent / "mtp"
CONFIG = {
    "architectures": ["Qwen3_5ForCausalLM"], "model_type": "qwen3_5_text", "dtype": "bfloat16",
    "vocab_size": 272, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "mtp_num_hidden_layers": 1,
    "layer_types": ["linear_attention", "linear_attention", "full_attention"],
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu", "attention_bias": False,
    "linear_conv_kernel_dim": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
    "linear_value_head_dim": 16, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    "bos_token_id": 1, "eos_token_id": 2,
}
HIDDEN, EPSILON, FIRST_BYTE = CONFIG["hidden_size"], CONFIG["rms_norm_eps"], 3
DEPTH, TRIED, PROMPTS, PROMPT, GREEDY = 3, 24, 6, 48, 72


# ---- weights -------------------------------------------------------------------------------------------------------

def shapes():
    heads, kv, d = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["head_dim"]
    keys = CONFIG["linear_num_key_heads"] * CONFIG["linear_key_head_dim"]
    values = CONFIG["linear_num_value_heads"] * CONFIG["linear_value_head_dim"]
    value_heads, width = CONFIG["linear_num_value_heads"], CONFIG["intermediate_size"]
    shape = {"model.embed_tokens.weight": (CONFIG["vocab_size"], HIDDEN), "model.norm.weight": (HIDDEN,), "mtp.norm.weight": (HIDDEN,),
             "mtp.fc.weight": (HIDDEN, 2 * HIDDEN), "mtp.pre_fc_norm_embedding.weight": (HIDDEN,),
             "mtp.pre_fc_norm_hidden.weight": (HIDDEN,)}
    layers = {f"model.layers.{i}.": kind for i, kind in enumerate(CONFIG["layer_types"])} | {"mtp.layers.0.": "full_attention"}
    for p, kind in layers.items():
        shape |= {p + "input_layernorm.weight": (HIDDEN,), p + "post_attention_layernorm.weight": (HIDDEN,),
                  p + "mlp.gate_proj.weight": (width, HIDDEN), p + "mlp.up_proj.weight": (width, HIDDEN),
                  p + "mlp.down_proj.weight": (HIDDEN, width)}
        if kind == "full_attention":
            a = p + "self_attn."
            shape |= {a + "q_proj.weight": (2 * heads * d, HIDDEN), a + "k_proj.weight": (kv * d, HIDDEN),
                      a + "v_proj.weight": (kv * d, HIDDEN), a + "o_proj.weight": (HIDDEN, heads * d),
                      a + "q_norm.weight": (d,), a + "k_norm.weight": (d,)}
        else:
            a = p + "linear_attn."
            shape |= {a + "in_proj_qkv.weight": (2 * keys + values, HIDDEN), a + "in_proj_z.weight": (values, HIDDEN),
                      a + "in_proj_b.weight": (value_heads, HIDDEN), a + "in_proj_a.weight": (value_heads, HIDDEN),
                      a + "conv1d.weight": (2 * keys + values, 1, CONFIG["linear_conv_kernel_dim"]), a + "dt_bias": (value_heads,),
                      a + "A_log": (value_heads,), a + "norm.weight": (CONFIG["linear_value_head_dim"],),
                      a + "out_proj.weight": (HIDDEN, values)}
    return shape


def initial():
    torch.manual_seed(7)
    weights = {}
    for name, shape in shapes().items():
        if name.endswith("linear_attn.norm.weight"):
            value = torch.ones(shape)
        elif name.endswith("A_log"):
            value = torch.log(torch.linspace(0.5, 4, shape[0]))
        elif len(shape) == 1:
            value = torch.zeros(shape)
        else:
            value = torch.randn(shape) * (0.4 if "conv1d" in name else 0.05)
        weights[name] = value.requires_grad_()
    return weights


# ---- forward passes: x is [B, T, hidden] ---------------------------------------------------------------------------

def norm(x, weight):
    """RMSNorm whose weights are kept less 1."""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * (1 + weight)


def rotate(x):
    """x [B, H, T, d]: half of the dimensions turn, i with i + d / 4."""
    turning = int(x.shape[-1] * CONFIG["rope_parameters"]["partial_rotary_factor"])
    frequency = CONFIG["rope_parameters"]["rope_theta"] ** (-torch.arange(0, turning, 2, dtype=x.dtype) / turning)
    angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    a, b, rest = x[..., : turning // 2], x[..., turning // 2: turning], x[..., turning:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def attention(x, w, p):
    b, t, _ = x.shape
    heads, kv, d = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["head_dim"]
    q, gate = (x @ w[p + "q_proj.weight"].T).view(b, t, heads, 2 * d).split(d, -1)
    k = (x @ w[p + "k_proj.weight"].T).view(b, t, kv, d)
    v = (x @ w[p + "v_proj.weight"].T).view(b, t, kv, d).transpose(1, 2).repeat_interleave(heads // kv, 1)
    q = rotate(norm(q, w[p + "q_norm.weight"]).transpose(1, 2))
    k = rotate(norm(k, w[p + "k_norm.weight"]).transpose(1, 2)).repeat_interleave(heads // kv, 1)
    later = torch.ones(t, t, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(2, 3) / math.sqrt(d)).masked_fill(later, -math.inf)
    out = (torch.softmax(scores, -1) @ v).transpose(1, 2) * torch.sigmoid(gate)
    return out.reshape(b, t, -1) @ w[p + "o_proj.weight"].T


def one_by_one(q, k, v, beta, decay):
    """The recurrence as it is written: q and k [B, T, H, dk], v [B, T, H, dv], beta and the logarithm of the decay [B, T, H]."""
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    outputs = []
    for i in range(q.shape[1]):
        state = state * torch.exp(decay[:, i, :, None, None])
        missed = (v[:, i] - torch.einsum("bhkv,bhk->bhv", state, k[:, i])) * beta[:, i, :, None]
        state = state + k[:, i, :, :, None] * missed[:, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", state, q[:, i]))
    return torch.stack(outputs, 1)


def at_once(q, k, v, beta, decay):
    """The same for training: what each row writes solves (1 + A) u = beta v, A = beta exp(decay between) k k^T below the diagonal."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    beta, sums = beta.transpose(1, 2)[..., None], decay.transpose(1, 2).cumsum(-1)
    later = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).triu(1)
    between = torch.exp((sums[..., :, None] - sums[..., None, :]).masked_fill(later, -math.inf))
    a = (beta * between * (k @ k.transpose(2, 3))).tril(-1)
    written = torch.linalg.solve_triangular(a + torch.eye(a.shape[-1], dtype=a.dtype), beta * v, upper=False)
    return ((between * (q @ k.transpose(2, 3))) @ written).transpose(1, 2)


def recurrence(x, w, p):
    b, t, _ = x.shape
    key_heads, heads = CONFIG["linear_num_key_heads"], CONFIG["linear_num_value_heads"]
    dk, dv, taps = CONFIG["linear_key_head_dim"], CONFIG["linear_value_head_dim"], CONFIG["linear_conv_kernel_dim"]
    mixed = F.pad((x @ w[p + "in_proj_qkv.weight"].T).transpose(1, 2), (taps - 1, 0))
    mixed = F.silu(F.conv1d(mixed, w[p + "conv1d.weight"], groups=mixed.shape[1])).transpose(1, 2)
    q, k, v = mixed.split([key_heads * dk, key_heads * dk, heads * dv], -1)

    def unit(y):
        y = y.reshape(b, t, key_heads, dk)
        return (y * torch.rsqrt((y * y).sum(-1, keepdim=True) + 1e-6)).repeat_interleave(heads // key_heads, 2)

    q, k, v = unit(q) / math.sqrt(dk), unit(k), v.reshape(b, t, heads, dv)
    beta = torch.sigmoid(x @ w[p + "in_proj_b.weight"].T)
    decay = (-torch.exp(w[p + "A_log"]) * F.softplus(x @ w[p + "in_proj_a.weight"].T + w[p + "dt_bias"]))
    out = (at_once if x.requires_grad else one_by_one)(q, k, v, beta, decay)
    out = out * torch.rsqrt((out * out).mean(-1, keepdim=True) + EPSILON) * w[p + "norm.weight"]
    return (out.reshape(b, t, -1) * F.silu(x @ w[p + "in_proj_z.weight"].T)) @ w[p + "out_proj.weight"].T


def layer(x, w, p, kind):
    y = norm(x, w[p + "input_layernorm.weight"])
    x = x + (attention(y, w, p + "self_attn.") if kind == "full_attention" else recurrence(y, w, p + "linear_attn."))
    y = norm(x, w[p + "post_attention_layernorm.weight"])
    gated = F.silu(y @ w[p + "mlp.gate_proj.weight"].T) * (y @ w[p + "mlp.up_proj.weight"].T)
    return x + gated @ w[p + "mlp.down_proj.weight"].T


def states(w, ids):
    """The model's states behind its last norm."""
    x = w["model.embed_tokens.weight"][ids]
    for i, kind in enumerate(CONFIG["layer_types"]):
        x = layer(x, w, f"model.layers.{i}.", kind)
    return norm(x, w["model.norm.weight"])


def block(w, given, ids):
    """The block's states: row k from the state of position k and the token at k + 1."""
    embedding = norm(w["model.embed_tokens.weight"][ids], w["mtp.pre_fc_norm_embedding.weight"])
    pair = torch.cat([embedding, norm(given, w["mtp.pre_fc_norm_hidden.weight"])], -1)
    return norm(layer(pair @ w["mtp.fc.weight"].T, w, "mtp.layers.0.", "full_attention"), w["mtp.norm.weight"])


def logits(w, state):
    return state @ w["model.embed_tokens.weight"].T


# ---- training ------------------------------------------------------------------------------------------------------

def text():
    root = HERE.parent.parent.parent
    files = sorted([*root.glob("src/**/*.cs"), *root.glob("docs/*.md")])
    kept = [f.read_bytes() for f in files if "obj" not in f.parts and "bin" not in f.parts]
    return torch.tensor(list(b"\n".join(kept)), dtype=torch.long) + FIRST_BYTE


def loss_of(w, ids):
    """The model's, and of the block fed with the model's states and then with its own."""
    def of(state, targets):
        return F.cross_entropy(logits(w, state).flatten(0, 1), targets.flatten())

    s = states(w, ids)
    total = main = of(s[:, :-1], ids[:, 1:])
    for depth in range(1, DEPTH):
        s = block(w, s[:, :-1], ids[:, depth:])
        total = total + of(s[:, :-1], ids[:, depth + 1:])
    return total, main


def train(steps):
    data, w = text(), initial()
    optimizer = torch.optim.AdamW(w.values(), lr=4e-3, weight_decay=0.01, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(11)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * min(1, (step + 1) / 50) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        at = torch.randint(len(data) - 97, (24,), generator=generator)
        total, main = loss_of(w, torch.stack([data[i: i + 96] for i in at]))
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), 1.0)
        optimizer.step()
        if (step + 1) % 50 == 0:
            print(f"{step + 1}: {main.item():.3f} nats a byte, all {total.item():.3f}", flush=True)
    return {name: value.detach() for name, value in w.items()}


# ---- what comes of it ----------------------------------------------------------------------------------------------

def best(row):
    top = torch.topk(row, 2)
    return top.indices[0].item(), (top.values[0] - top.values[1]).item()


def reach(w, ids, s, length, follows):
    """How many chained guesses behind so many tokens the text confirms, and the least distance of a guess to the second best."""
    given, tokens, gap = s[:, : length - 1], ids[1:length], math.inf
    for depth in range(DEPTH):
        own = block(w, given, torch.tensor([tokens]))
        guess, distance = best(logits(w, own[0, -1]))
        gap = min(gap, distance)
        if guess != follows[depth]:
            return depth, gap
        given, tokens = torch.cat([given, own[:, -1:]], 1), tokens + [guess]
    return DEPTH, gap


def golden(w):
    """Of the prompts that are tried, those whose text the block guesses least: a text that repeats itself shows little."""
    data, cases = text(), []
    for number in range(TRIED):
        smallest = math.inf
        start = (2 * number + 1) * len(data) // (2 * TRIED)
        ids = data[start: start + PROMPT].tolist()
        for _ in range(GREEDY):
            token, gap = best(logits(w, states(w, torch.tensor([ids])))[0, -1])
            ids.append(token)
            smallest = min(smallest, gap)
        s = states(w, torch.tensor([ids]))
        accepted = []
        for length in range(PROMPT, PROMPT + GREEDY - DEPTH + 1):
            depth, gap = reach(w, ids, s, length, ids[length: length + DEPTH])
            accepted.append(depth)
            smallest = min(smallest, gap)
        # A tie decided by the last bit says nothing.
        if smallest > 1e-3:
            cases.append({"prompt": ids[:PROMPT], "greedy": ids[PROMPT:], "accepted": accepted, "smallest_gap": smallest})
    cases.sort(key=lambda case: sum(case["accepted"]))
    return {"depth": DEPTH, "cases": cases[:PROMPTS]}


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    weights = {}
    for name, entry in json.loads(raw[8: 8 + size]).items():
        start, end = entry["data_offsets"]
        words = torch.frombuffer(bytearray(raw[8 + size + start: 8 + size + end]), dtype=torch.int16)
        weights[name] = words.view(torch.bfloat16).view(entry["shape"])
    return weights


def write_safetensors(path, weights):
    header, data = {}, b""
    for name in sorted(weights):
        raw = weights[name].to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(weights[name].shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def tokenizer():
    """Ids from 3 on are bytes, shown in the alphabet of byte-level vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 256
    for byte in range(256):
        letters[byte] = chr(byte) if byte in printable else chr(extra)
        extra += byte not in printable
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2} | {letters[b]: b + FIRST_BYTE for b in range(256)}
    vocabulary |= {f"<x{i}>": i for i in range(len(vocabulary), CONFIG["vocab_size"])}
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                          "special": True} for i, c in enumerate(["<pad>", "<s>", "</s>"])],
        "normalizer": None, "pre_tokenizer": step, "post_processor": None, "decoder": step,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary, "merges": []},
    }


if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    trained = train(steps) if steps else read_safetensors(OUT / "model.safetensors")
    OUT.mkdir(exist_ok=True)
    write_safetensors(OUT / "model.safetensors", trained)
    (OUT / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    (OUT / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False) + "\n")
    with torch.no_grad():
        found = golden({name: value.to(torch.bfloat16).double() for name, value in trained.items()})
    (OUT / "golden.json").write_text(json.dumps(found) + "\n")
    counts = [sum(case["accepted"].count(n) for case in found["cases"]) for n in range(DEPTH + 1)]
    print(f"0 to {DEPTH} guesses confirmed: {counts}")
