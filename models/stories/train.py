#!/usr/bin/env python3
"""Trains the story model: a Llama of 254,528 parameters that tells short stories, and its tokenizer.

usage: train.py [--data DIRECTORY] [DIRECTORY]
       DIRECTORY   what is written goes there (default: beside this file)
       --data      where the sampled text is kept between runs (default: out/stories)

1. The teacher, stories260K, tells stories: it samples its own continuations at a temperature, from the token that begins a text.
2. Byte-pair merges learned from these stories make a vocabulary of 512 tokens.
3. A smaller model, in the shape that suits the machine, learns to continue the stories: Muon for the matrices, Adam for the rest.

Writes stories.bin (llama2.c's legacy layout), tok512.bin (llama2.c's tokenizer), eval_tokens.npy (text that was held back) and
train.log. Every random choice comes from SEED. Runs on one core.
Needs: pip install -r models/stories/requirements.txt, and the teacher below LPU_CONFORMANCE_DIR (default: ../shared beside the
repository).
"""

import argparse
import collections
import os
import re
import struct
import time
from pathlib import Path

# Before JAX is imported: one core is enough, and others may need the rest.
os.environ.setdefault("NPROC", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

SEED = 20241126

# The shape. Rows of every product are a multiple of 32 tiles, columns of 4 multipliers: q, k and v are 64 + 32 + 32 rows of 64, gate
# and up 448 rows of 64, down 64 rows of 224, the classifier 512 rows of 64. Heads of 16 fill four rows of tiles; there are as many
# key-value heads as streams.
DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 64, 224, 4, 4, 2, 512, 256
EPSILON = 1e-5

TEMPERATURE = 0.8
SAMPLED_ROWS, SAMPLED_AT_ONCE = 6400, 256
SAMPLED_TOKENS, SAMPLED_BLOCK = 288, 72
HELD_BACK = 64
SHIPPED, SHIPPED_TOKENS = 16, 224

STEPS = 1200
BATCH = 8
WARMUP = 60
MUON_RATE, MUON_MOMENTUM, WEIGHT_DECAY = 0.02, 0.95, 0.02
ADAM_RATE, ADAM_BETAS, ADAM_EPSILON = 4e-3, (0.9, 0.97), 1e-8
LOG_EVERY, SAVE_EVERY = 50, 300

BEGIN, FIRST_BYTE = 1, 3


# --- Files of llama2.c --------------------------------------------------------------------------------------------------------------


def read_model(path):
    """Shape and tensors of a checkpoint in the legacy layout, classifier tied to the embedding."""
    raw = path.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", raw[:28])
    values, at = np.frombuffer(raw, "<f4", offset=28), 0
    head = dim // heads
    shapes = {
        "embedding": (vocabulary, dim), "attention_norm": (layers, dim), "q": (layers, dim, dim),
        "k": (layers, kv_heads * head, dim), "v": (layers, kv_heads * head, dim), "o": (layers, dim, dim),
        "network_norm": (layers, dim), "gate": (layers, hidden, dim), "down": (layers, dim, hidden),
        "up": (layers, hidden, dim), "last_norm": (dim,),
    }
    tensors = {}
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        tensors[name] = values[at : at + count].reshape(shape)
        at += count
    assert at + context * head == len(values), "not the legacy layout, or the classifier is not tied"
    return (layers, heads, kv_heads), tensors


def write_model(path, p):
    order = ["embedding", "attention_norm", "q", "k", "v", "o", "network_norm", "gate", "down", "up", "last_norm"]
    head = DIM // HEADS
    angles = np.outer(np.arange(CONTEXT), 10000.0 ** (-np.arange(0, head, 2) / head))
    tensors = [np.asarray(p[name]) for name in order] + [np.cos(angles), np.sin(angles)]
    header = struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY, CONTEXT)
    path.write_bytes(header + b"".join(tensor.astype("<f4").tobytes() for tensor in tensors))


def read_tokenizer(path):
    raw, at, pieces = path.read_bytes(), 4, []
    while at < len(raw):
        length = struct.unpack_from("<i", raw, at + 4)[0]
        pieces.append(raw[at + 8 : at + 8 + length])
        at += 8 + length
    return pieces


def write_tokenizer(path, pieces):
    """The piece that is merged first has the highest score."""
    out = struct.pack("<i", max(map(len, pieces)))
    for token, piece in enumerate(pieces):
        out += struct.pack("<fi", -float(token), len(piece)) + piece
    path.write_bytes(out)


# --- The model, teacher and student alike -------------------------------------------------------------------------------------------


def norm(x, weights):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON) * weights


def turn(x, cosines, sines):
    """Rotary embedding of neighbours; `x` is (…, head), the angles (…, head / 2) with the same or broadcast axes."""
    pairs = x.reshape(*x.shape[:-1], -1, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    return jnp.stack([a * cosines - b * sines, a * sines + b * cosines], -1).reshape(x.shape)


def angles(positions, head):
    turns = positions[:, None] * 10000.0 ** (-np.arange(0, head, 2) / head)
    return jnp.cos(turns).astype(jnp.float32), jnp.sin(turns).astype(jnp.float32)


def forward(p, tokens, layers=LAYERS, heads=HEADS, kv_heads=KV_HEADS):
    """Logits behind every token of `tokens` (sequences × length)."""
    count, length = tokens.shape
    head = p["embedding"].shape[1] // heads
    cosines, sines = angles(np.arange(length), head)
    cosines, sines = cosines[None, :, None], sines[None, :, None]
    hidden = jnp.where(np.tril(np.ones((length, length), bool)), 0.0, -1e9)
    x = p["embedding"][tokens]
    for layer in range(layers):
        h = norm(x, p["attention_norm"][layer])
        q = turn((h @ p["q"][layer].T).reshape(count, length, heads, head), cosines, sines)
        k = turn((h @ p["k"][layer].T).reshape(count, length, kv_heads, head), cosines, sines)
        v = (h @ p["v"][layer].T).reshape(count, length, kv_heads, head)
        q = q.reshape(count, length, kv_heads, heads // kv_heads, head) * head**-0.5
        scores = jnp.einsum("btgsd,bugd->bgstu", q, k) + hidden
        mixed = jnp.einsum("bgstu,bugd->btgsd", jax.nn.softmax(scores, -1), v)
        x = x + mixed.reshape(count, length, heads * head) @ p["o"][layer].T
        h = norm(x, p["network_norm"][layer])
        x = x + (jax.nn.silu(h @ p["gate"][layer].T) * (h @ p["up"][layer].T)) @ p["down"][layer].T
    return norm(x, p["last_norm"]) @ p["embedding"].T


# --- The teacher's stories ----------------------------------------------------------------------------------------------------------


def sampler(p, layers, heads, kv_heads):
    """A function from a random key to SAMPLED_AT_ONCE sequences of SAMPLED_TOKENS tokens."""
    head = p["embedding"].shape[1] // heads
    shared, count = heads // kv_heads, SAMPLED_AT_ONCE
    all_cosines, all_sines = angles(np.arange(SAMPLED_TOKENS), head)

    def step(state, position):
        keys, values, token, key = state
        cosines, sines = all_cosines[position][None, None], all_sines[position][None, None]
        x = p["embedding"][token]
        unseen = jnp.where(jnp.arange(keys[0].shape[-1]) <= position, 0.0, -1e9)
        new_keys, new_values = [], []
        for layer in range(layers):
            h = norm(x, p["attention_norm"][layer])
            q = turn((h @ p["q"][layer].T).reshape(count, heads, head), cosines, sines)
            k = turn((h @ p["k"][layer].T).reshape(count, kv_heads, head), cosines, sines)
            v = (h @ p["v"][layer].T).reshape(count, kv_heads, 1, head)
            k = jax.lax.dynamic_update_slice(keys[layer], k[..., None], (0, 0, 0, position))
            v = jax.lax.dynamic_update_slice(values[layer], v, (0, 0, position, 0))
            new_keys.append(k)
            new_values.append(v)
            q = q.reshape(count, kv_heads, shared, head, 1) * head**-0.5
            weights = jax.nn.softmax((q * k[:, :, None]).sum(3) + unseen, -1)
            x = x + (weights @ v).reshape(count, heads * head) @ p["o"][layer].T
            h = norm(x, p["network_norm"][layer])
            x = x + (jax.nn.silu(h @ p["gate"][layer].T) * (h @ p["up"][layer].T)) @ p["down"][layer].T
        logits = norm(x, p["last_norm"]) @ p["embedding"].T
        key, now = jax.random.split(key)
        token = jax.random.categorical(now, logits / TEMPERATURE)
        return (new_keys, new_values, token, key), token

    @jax.jit
    def sample(key):
        keys = [jnp.zeros((count, kv_heads, head, 0)) for _ in range(layers)]
        values = [jnp.zeros((count, kv_heads, 0, head)) for _ in range(layers)]
        token, parts = jnp.full(count, BEGIN), []
        # Block by block, so that early tokens look at short memories only.
        for first in range(0, SAMPLED_TOKENS, SAMPLED_BLOCK):
            keys = [jnp.pad(old, ((0, 0), (0, 0), (0, 0), (0, SAMPLED_BLOCK))) for old in keys]
            values = [jnp.pad(old, ((0, 0), (0, 0), (0, SAMPLED_BLOCK), (0, 0))) for old in values]
            positions = jnp.arange(first, first + SAMPLED_BLOCK)
            (keys, values, token, key), tokens = jax.lax.scan(step, (keys, values, token, key), positions)
            parts.append(tokens)
        return jnp.concatenate(parts).T

    return sample


def tell(teacher, data, log):
    """Texts of the teacher: a list of rows, each the stories that came one after the other, the last one cut."""
    file = data / f"samples-{SEED}-{TEMPERATURE}-{SAMPLED_ROWS}x{SAMPLED_TOKENS}.npy"
    if file.is_file():
        tokens = np.load(file)
    else:
        shape, tensors = read_model(teacher / "stories260K.bin")
        sample = sampler({name: jnp.asarray(tensor) for name, tensor in tensors.items()}, *shape)
        start = time.time()
        parts = []
        for number in range(SAMPLED_ROWS // SAMPLED_AT_ONCE):
            parts.append(np.asarray(sample(jax.random.key(SEED + number)), np.uint16))
            if number % 8 == 0:
                done = (number + 1) * SAMPLED_AT_ONCE * SAMPLED_TOKENS
                log(f"sampled {done:,} tokens of the teacher, {done / (time.time() - start):,.0f} a second")
        tokens = np.concatenate(parts)
        np.save(file, tokens)
    pieces = read_tokenizer(teacher / "tok512.bin")
    rows = []
    for row in tokens:
        stories, previous = [b""], BEGIN
        for token in row:
            if token == BEGIN:
                stories.append(b"")
            else:
                piece = pieces[token]
                if re.fullmatch(rb"<0x[0-9A-F]{2}>", piece):
                    piece = bytes([int(piece[3:5], 16)])
                stories[-1] += piece[1:] if previous == BEGIN and piece.startswith(b" ") else piece
            previous = token
        rows.append([story.decode("utf-8", "ignore") for story in stories if story])
    log(f"{tokens.size:,} tokens in {len(rows):,} rows, {sum(map(len, rows)):,} stories, temperature {TEMPERATURE}")
    return rows


# --- The vocabulary -----------------------------------------------------------------------------------------------------------------

# No piece crosses these borders: a word with the space in front of it, a run of signs with the space in front of it, white space.
PARTS = re.compile(r" ?[A-Za-z]+| ?[^A-Za-z\s]+|\s")


def learn_pieces(rows):
    """The pieces of all tokens. Those of printable ASCII stand in the places of their bytes; the rest of the bytes are written as
    numbers, for what no story has said; then come the merges, the most frequent pair first."""
    counts = collections.Counter(part for row in rows for story in row for part in PARTS.findall(" " + story))
    words = {part: list(part) for part in sorted(counts) if part.isascii() and part.isprintable()}
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n"]
    pieces += [bytes([byte]) if 32 <= byte < 127 else b"<0x%02X>" % byte for byte in range(256)]
    while len(pieces) < VOCABULARY:
        pairs = collections.Counter()
        for part, symbols in words.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += counts[part]
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        pieces.append("".join(best).encode())
        for part, symbols in words.items():
            words[part] = merged(symbols, best)
    return pieces


def merged(symbols, pair):
    out, at = [], 0
    while at < len(symbols):
        if tuple(symbols[at : at + 2]) == pair:
            out.append(symbols[at] + symbols[at + 1])
            at += 2
        else:
            out.append(symbols[at])
            at += 1
    return out


def encoder(pieces):
    """From a story to its tokens, as llama2.c does it: always the pair whose merger came first."""
    ranks = {piece.decode(): token for token, piece in enumerate(pieces) if token >= FIRST_BYTE}
    known = {}

    def encode_part(part):
        symbols = list(part)
        while len(symbols) > 1:
            place = min(range(len(symbols) - 1), key=lambda at: ranks.get(symbols[at] + symbols[at + 1], VOCABULARY))
            if symbols[place] + symbols[place + 1] not in ranks:
                break
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        tokens = []
        for symbol in symbols:
            tokens += [ranks[symbol]] if symbol in ranks else [FIRST_BYTE + byte for byte in symbol.encode()]
        return tokens

    def encode(story):
        tokens = [BEGIN]
        for part in PARTS.findall(" " + story):
            if part not in known:
                known[part] = encode_part(part)
            tokens += known[part]
        return tokens

    return encode


def arrange(rows, encode):
    """Rows of CONTEXT + 1 tokens; what a row lacks is −1."""
    out = np.full((len(rows), CONTEXT + 1), -1, np.int32)
    for number, row in enumerate(rows):
        tokens = [token for story in row for token in encode(story)][: CONTEXT + 1]
        out[number, : len(tokens)] = tokens
    return out


# --- Training -----------------------------------------------------------------------------------------------------------------------


def begin(key):
    """Weights before training: what is added to the residual stream starts at zero."""
    keys = iter(jax.random.split(key, 8))

    def matrix(rows, columns):
        return jax.random.normal(next(keys), (LAYERS, rows, columns)) * columns**-0.5

    kv = KV_HEADS * DIM // HEADS
    return {
        "embedding": jax.random.normal(next(keys), (VOCABULARY, DIM)) * DIM**-0.5,
        "attention_norm": jnp.ones((LAYERS, DIM)), "network_norm": jnp.ones((LAYERS, DIM)), "last_norm": jnp.ones(DIM),
        "q": matrix(DIM, DIM), "k": matrix(kv, DIM), "v": matrix(kv, DIM), "o": jnp.zeros((LAYERS, DIM, DIM)),
        "gate": matrix(HIDDEN, DIM), "up": matrix(HIDDEN, DIM), "down": jnp.zeros((LAYERS, DIM, HIDDEN)),
    }


def loss(p, rows):
    """Mean of −ln p over all tokens that there are, but the first of each row."""
    tokens, targets = rows[:, :-1], rows[:, 1:]
    logits = forward(p, jnp.maximum(tokens, 0))
    chosen = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], -1)[..., 0]
    there = targets >= 0
    return jnp.sum((jax.nn.logsumexp(logits, -1) - chosen) * there) / jnp.sum(there)


def orthogonal(x):
    """Nearly the orthogonal matrix that is nearest to each of `x` (layers × rows × columns): five Newton-Schulz steps (K. Jordan's Muon)."""
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else jnp.swapaxes(x, 1, 2)
    x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-7)
    for _ in range(5):
        square = x @ jnp.swapaxes(x, 1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if wide else jnp.swapaxes(x, 1, 2)


def schedule(step):
    """From 0 to 1, then along a cosine to nothing."""
    warm = jnp.minimum(1.0, (step + 1) / WARMUP)
    return warm * 0.5 * (1 + jnp.cos(jnp.pi * step / STEPS))


@jax.jit
def update(p, first, second, step, rows):
    value, gradients = jax.value_and_grad(loss)(p, rows)
    rate = schedule(step)
    new_p, new_first, new_second = {}, {}, {}
    for name, gradient in gradients.items():
        weights = p[name]
        if weights.ndim == 3:
            momentum = MUON_MOMENTUM * first[name] + gradient
            direction = orthogonal(gradient + MUON_MOMENTUM * momentum)
            direction *= max(1.0, weights.shape[1] / weights.shape[2]) ** 0.5
            weights = weights * (1 - rate * MUON_RATE * WEIGHT_DECAY) - rate * MUON_RATE * direction
            new_first[name], new_second[name] = momentum, second[name]
        else:
            one, two = ADAM_BETAS
            new_first[name] = one * first[name] + (1 - one) * gradient
            new_second[name] = two * second[name] + (1 - two) * gradient**2
            mean, square = new_first[name] / (1 - one ** (step + 1)), new_second[name] / (1 - two ** (step + 1))
            weights = weights - rate * ADAM_RATE * mean / (jnp.sqrt(square) + ADAM_EPSILON)
        new_p[name] = weights
    return new_p, new_first, new_second, value


def train(rows, held_back, directory, log):
    p = begin(jax.random.key(SEED))
    zeros = {name: jnp.zeros_like(weights) for name, weights in p.items()}
    first, second = zeros, zeros
    held = jax.jit(loss)
    random = np.random.default_rng(SEED)
    order, at, losses, start = random.permutation(len(rows)), 0, [], time.time()
    for step in range(STEPS):
        if at + BATCH > len(order):
            order, at = random.permutation(len(rows)), 0
        p, first, second, value = update(p, first, second, step, rows[order[at : at + BATCH]])
        at += BATCH
        losses.append(float(value))
        if (step + 1) % LOG_EVERY == 0 or step == 0:
            seconds = time.time() - start
            text = f"step {step + 1:5}  {(step + 1) * BATCH * CONTEXT:10,} tokens  loss {np.mean(losses):.4f}"
            losses = []
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == STEPS:
                text += f"  held back {float(held(p, held_back)):.4f}"
                write_model(directory / "stories.bin", p)
            log(f"{text}  {seconds:.0f} s")
    return p


def continue_story(p, tokens, count):
    """The most likely continuation."""
    predict = jax.jit(lambda row, last: jnp.argmax(forward(p, row)[0, last]))
    row = np.zeros((1, len(tokens) + count), np.int32)
    row[0, : len(tokens)] = tokens
    for last in range(len(tokens) - 1, row.shape[1] - 1):
        row[0, last + 1] = predict(row, last)
    return row[0]


def text_of(tokens, pieces):
    out = b""
    for token in tokens:
        piece = b"" if token < FIRST_BYTE else pieces[token]
        out += bytes([int(piece[3:5], 16)]) if re.fullmatch(rb"<0x[0-9A-F]{2}>", piece) else piece
    return out.decode("utf-8", "replace").strip()


def main():
    here = Path(__file__).resolve().parent
    root = here.parent.parent
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=root / "out/stories")
    parser.add_argument("directory", type=Path, nargs="?", default=here)
    arguments = parser.parse_args()
    directory = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    arguments.data.mkdir(parents=True, exist_ok=True)
    teacher = Path(os.environ.get("LPU_CONFORMANCE_DIR", root.parent / "shared")) / "models/stories260K"
    lines = []

    def log(line):
        lines.append(line)
        print(line, flush=True)
        (directory / "train.log").write_text("\n".join(lines) + "\n")

    log(f"JAX {jax.__version__}, seed {SEED}")
    rows = tell(teacher, arguments.data, log)
    pieces = learn_pieces(rows[HELD_BACK:])
    write_tokenizer(directory / "tok512.bin", pieces)
    encode = encoder(pieces)
    tokens = arrange(rows, encode)
    log(f"vocabulary of {len(pieces)}, {(tokens >= 0).sum() / sum(len(s) for row in rows for s in row):.3f} tokens a character used")
    long = tokens[:HELD_BACK, :SHIPPED_TOKENS]
    np.save(directory / "eval_tokens.npy", long[(long >= 0).all(axis=1)][:SHIPPED].astype(np.uint16))
    shape = f"dim {DIM}, hidden {HIDDEN}, layers {LAYERS}, heads {HEADS}, key-value heads {KV_HEADS}, context {CONTEXT}"
    log(f"{shape}: {sum(weights.size for weights in begin(jax.random.key(0)).values()):,} parameters")
    log(f"{STEPS} steps of {BATCH} rows, {len(tokens) - HELD_BACK:,} rows to learn from, {HELD_BACK} held back")
    p = train(tokens[HELD_BACK:], tokens[:HELD_BACK], directory, log)
    write_model(directory / "stories.bin", p)
    for prompt in ["Once upon a time", "Tom and Lily", ""]:
        told = continue_story(p, encode(prompt)[: None if prompt else 1], 150)
        log(f"{prompt!r}: {text_of(told, pieces)!r}")


if __name__ == "__main__":
    main()
