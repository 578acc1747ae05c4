"""Writes song_skip.safetensors beside this file: a Song U-Net with skip encoder and skip decoder, inputs, outputs and every gradient.

    pip install torch safetensors && python make_song_skip.py [--seed 0] [--out .]

The network is written here as a function of its state dictionary, from the description in Song et al. 2021, appendix H.
"""
import argparse
import json
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

a = argparse.ArgumentParser()
a.add_argument("--seed", type=int, default=0)
a.add_argument("--out", default=str(pathlib.Path(__file__).resolve().parent))
o = a.parse_args()
torch.manual_seed(o.seed)

SIDE, IN, C, MULT, EMB, NOISE = 8, 2, 8, [1, 1, 1], 16, 16
ATTENTION = [4]
taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
FILTER = (torch.outer(taps, taps) / taps.sum() ** 2)[None, None]
state = {}


def parameter(name, *shape):
    """A parameter, made at its first mention."""
    if name not in state:
        scale = 0.8 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.3
        value = torch.randn(*shape) * scale
        if "norm" in name and name.endswith("weight"):
            value += 1.0
        state[name] = value.requires_grad_(True)
    return state[name]


def linear(name, x, n):
    return F.linear(x, parameter(f"{name}.weight", n, x.shape[1]), parameter(f"{name}.bias", n))


def conv(name, x, n, k):
    return F.conv2d(x, parameter(f"{name}.weight", n, x.shape[1], k, k), parameter(f"{name}.bias", n), padding=k // 2)


def norm(name, x):
    c = x.shape[1]
    return F.group_norm(x, min(32, c // 4), parameter(f"{name}.weight", c), parameter(f"{name}.bias", c), 1e-6)


def down(name, x):
    state.setdefault(f"{name}.resample_filter", FILTER)
    return F.conv2d(x, FILTER.expand(x.shape[1], 1, 4, 4), groups=x.shape[1], stride=2, padding=1)


def up(name, x):
    state.setdefault(f"{name}.resample_filter", FILTER)
    return F.conv_transpose2d(x, 4 * FILTER.expand(x.shape[1], 1, 4, 4), groups=x.shape[1], stride=2, padding=1)


def block(name, x, e, n, resample=None, attends=False):
    h, skip = F.silu(norm(f"{name}.norm0", x)), x
    if resample:
        h, skip = resample(f"{name}.conv0", h), resample(f"{name}.skip", skip)
    h = conv(f"{name}.conv0", h, n, 3) + linear(f"{name}.affine", e, n)[:, :, None, None]
    h = conv(f"{name}.conv1", F.silu(norm(f"{name}.norm1", h)), n, 3)
    if resample or x.shape[1] != n:
        skip = conv(f"{name}.skip", skip, n, 1)
    x = (h + skip) / math.sqrt(2)
    if attends:
        q, k, v = conv(f"{name}.qkv", norm(f"{name}.norm2", x), 3 * n, 1).flatten(2).unflatten(1, (n, 3)).unbind(2)
        w = (q.transpose(1, 2) @ k / math.sqrt(n)).softmax(-1)
        x = (conv(f"{name}.proj", (v @ w.transpose(1, 2)).reshape(x.shape), n, 1) + x) / math.sqrt(2)
    return x


def network(x, c_noise):
    half = NOISE // 2
    angle = c_noise[:, None] * 10000.0 ** (-torch.arange(half) / (half - 1))
    e = F.silu(linear("map_layer0", torch.cat([angle.sin(), angle.cos()], 1), EMB))
    e = F.silu(linear("map_layer1", e, EMB))
    aux, skips = x, []
    for level, mult in enumerate(MULT):
        res = SIDE >> level
        name = f"enc.{res}x{res}_"
        if level == 0:
            x = conv(name + "conv", x, C, 3)
        else:
            x = block(name + "down", x, e, x.shape[1], down)
            aux = down(name + "aux_down", aux)
            x = x + conv(name + "aux_skip", aux, x.shape[1], 1)
        skips.append(x)
        x = block(name + "block0", x, e, C * mult, attends=res in ATTENTION)
        skips.append(x)
    image = None
    for level, mult in reversed(list(enumerate(MULT))):
        res = SIDE >> level
        name = f"dec.{res}x{res}_"
        if image is None:
            x = block(name + "in0", x, e, x.shape[1], attends=True)
            x = block(name + "in1", x, e, x.shape[1])
        else:
            x = block(name + "up", x, e, x.shape[1], up)
            image = up(name + "aux_up", image)
        for i in range(2):
            x = torch.cat([x, skips.pop()], 1)
            x = block(f"{name}block{i}", x, e, C * mult, attends=i == 1 and res in ATTENTION)
        out = conv(name + "aux_conv", F.silu(norm(name + "aux_norm", x)), IN, 3)
        image = out if image is None else image + out
    return image


config = {"song_unet": dict(
    model_channels=C, channel_mult=MULT, channel_mult_emb=EMB // C, num_blocks=1, attn_resolutions=ATTENTION, dropout=0.0,
    embedding_type="positional", channel_mult_noise=NOISE // C, encoder_type="skip", decoder_type="skip",
    resample_filter=[1, 3, 3, 1])}
x = torch.randn(3, IN, SIDE, SIDE, requires_grad=True)
c_noise = torch.tensor([-1.5, 0.1, 1.0])
out = network(x, c_noise)
probe = torch.randn_like(out)
(out * probe).sum().backward()
t = {f"model.{k}": v.detach().clone() for k, v in state.items()}
t |= {f"grad.model.{k}": v.grad for k, v in state.items() if v.requires_grad}
t |= {"in.x": x.detach().clone(), "in.c_noise": c_noise, "in.probe": probe, "out": out.detach().clone(), "grad.x": x.grad}
save_file(t, pathlib.Path(o.out) / "song_skip.safetensors", metadata={"config": json.dumps(config)})
