"""Evaluates networks that were written for EDM's code or for diffusers, and compares with what this program makes of them.

    pip install torch diffusers safetensors && python pytorch.py edm|diffusers FOLDER

FOLDER holds a folder for each network: `network`, as it was written, and `probe.safetensors` with x, sigma, labels and
denoised. Prints one line of JSON: the largest difference within a sample as a part of its largest value, by network.

The networks of EDM's layout are written here from their description (Karras et al. 2022, appendices; Song et al. 2021,
appendix H; Dhariwal and Nichol 2021); the names and shapes of their parameters are those of the published checkpoints, and
weights are loaded strictly.
"""
import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn


class Linear(nn.Module):
    def __init__(self, c_in, c_out, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in))
        self.bias = nn.Parameter(torch.empty(c_out)) if bias else None

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Conv(nn.Module):
    """A convolution, none where kernel is 0, behind a halving or doubling, or before a halving where it says so."""

    def __init__(self, c_in, c_out, kernel, change=None, taps=(1, 1), conv_first=False):
        super().__init__()
        self.change, self.conv_first, self.kernel = change, conv_first, kernel
        if kernel:
            self.weight, self.bias = nn.Parameter(torch.empty(c_out, c_in, kernel, kernel)), nn.Parameter(torch.empty(c_out))
        if change:
            taps = torch.tensor(taps, dtype=torch.float32)
            self.register_buffer("resample_filter", (torch.outer(taps, taps) / taps.sum() ** 2)[None, None])

    def resample(self, x, pad):
        taps = self.resample_filter.expand(x.shape[1], 1, -1, -1)
        if self.change == "down":
            return F.conv2d(x, taps, stride=2, padding=pad, groups=x.shape[1])
        return F.conv_transpose2d(x, 4 * taps, stride=2, padding=pad, groups=x.shape[1])

    def forward(self, x):
        pad = (self.resample_filter.shape[-1] - 1) // 2 if self.change else 0
        if self.conv_first:
            # The filter sees what the convolution gives outside of the image.
            x = F.conv2d(x, self.weight, padding=self.kernel // 2 + pad)
            return self.resample(x, 0) + self.bias[:, None, None]
        if self.change:
            x = self.resample(x, pad)
        return F.conv2d(x, self.weight, self.bias, padding=self.kernel // 2) if self.kernel else x


class Norm(nn.Module):
    def __init__(self, c, eps):
        super().__init__()
        self.groups, self.eps = min(32, c // 4), eps
        self.weight, self.bias = nn.Parameter(torch.empty(c)), nn.Parameter(torch.empty(c))

    def forward(self, x):
        return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)


class Block(nn.Module):
    def __init__(self, c_in, c_out, emb, song, heads=0, change=None, taps=(1, 1)):
        super().__init__()
        eps = 1e-6 if song else 1e-5
        self.c_in, self.song, self.heads, self.scale = c_in, song, heads, math.sqrt(0.5) if song else 1.0
        self.norm0, self.conv0 = Norm(c_in, eps), Conv(c_in, c_out, 3, change, taps)
        self.affine = Linear(emb, c_out if song else 2 * c_out)
        self.norm1, self.conv1 = Norm(c_out, eps), Conv(c_out, c_out, 3)
        self.skip = None
        if c_in != c_out or change:
            self.skip = Conv(c_in, c_out, 1 if song or c_in != c_out else 0, change, taps)
        if heads:
            self.norm2, self.qkv, self.proj = Norm(c_out, eps), Conv(c_out, 3 * c_out, 1), Conv(c_out, c_out, 1)

    def forward(self, x, e):
        h, e = self.conv0(F.silu(self.norm0(x))), self.affine(e)[:, :, None, None]
        if self.song:
            h = self.norm1(h + e)
        else:
            scale, shift = e.chunk(2, 1)
            h = self.norm1(h) * (1 + scale) + shift
        x = (self.conv1(F.silu(h)) + (self.skip(x) if self.skip else x)) * self.scale
        if self.heads:
            b, c, *size = x.shape
            # Channels stand in the order of head, channel within the head, and query, key or value.
            q, k, v = self.qkv(self.norm2(x)).reshape(b * self.heads, c // self.heads, 3, -1).unbind(2)
            w = (q.transpose(1, 2) @ k / math.sqrt(c // self.heads)).softmax(-1)
            x = (self.proj((v @ w.transpose(1, 2)).reshape(x.shape)) + x) * self.scale
        return x


class Fourier(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.register_buffer("freqs", torch.empty(c // 2))

    def forward(self, c_noise):
        angle = c_noise[:, None] * 2 * math.pi * self.freqs
        return torch.cat([angle.cos(), angle.sin()], 1)


class Positional(nn.Module):
    def __init__(self, c, last):
        super().__init__()
        self.half, self.last = c // 2, last

    def forward(self, c_noise):
        angle = c_noise[:, None] * 10000.0 ** (-torch.arange(self.half) / (self.half - int(self.last)))
        return torch.cat([angle.cos(), angle.sin()], 1)


class Network(nn.Module):
    """SongUNet and DhariwalUNet, which differ in their blocks, their mapping and in what stands at the ends."""

    def __init__(self, kind, side, c_in, c_out, label_dim, augment_dim, model_channels, channel_mult, channel_mult_emb,
                 num_blocks, attn_resolutions, embedding_type="positional", channel_mult_noise=1, encoder_type="standard",
                 decoder_type="standard", resample_filter=(1, 1), **training):
        super().__init__()
        assert set(training) <= {"dropout", "label_dropout"}, training
        self.song, self.label_dim = kind == "SongUNet", label_dim
        emb, noise, taps = model_channels * channel_mult_emb, model_channels * channel_mult_noise, resample_filter
        block = lambda c_in, c_out, **kw: Block(c_in, c_out, emb, self.song, taps=taps, **kw)
        heads = lambda res, c: (1 if self.song else c // 64) if res in attn_resolutions else 0
        self.map_noise = Fourier(noise) if embedding_type == "fourier" else Positional(noise, self.song)
        self.map_augment = Linear(augment_dim, noise, bias=False) if augment_dim else None
        self.map_label = Linear(label_dim, noise if self.song else emb, bias=self.song) if label_dim else None
        self.map_layer0, self.map_layer1 = Linear(noise, emb), Linear(emb, emb)
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        c, aux, skips = c_in, c_in, []
        for level, mult in enumerate(channel_mult):
            res = side >> level
            if level == 0:
                c = model_channels if self.song else model_channels * mult
                self.enc[f"{res}x{res}_conv"] = Conv(c_in, c, 3)
            else:
                self.enc[f"{res}x{res}_down"] = block(c, c, change="down")
                if encoder_type == "skip":
                    self.enc[f"{res}x{res}_aux_down"] = Conv(aux, aux, 0, "down", taps)
                    self.enc[f"{res}x{res}_aux_skip"] = Conv(aux, c, 1)
                if encoder_type == "residual":
                    self.enc[f"{res}x{res}_aux_residual"] = Conv(aux, c, 3, "down", taps, conv_first=True)
                    aux = c
            skips.append(c)
            for i in range(num_blocks):
                to = model_channels * mult
                self.enc[f"{res}x{res}_block{i}"] = block(c, to, heads=heads(res, to))
                c = to
                skips.append(c)
        for level, mult in reversed(list(enumerate(channel_mult))):
            res = side >> level
            if level == len(channel_mult) - 1:
                self.dec[f"{res}x{res}_in0"] = block(c, c, heads=1 if self.song else c // 64)
                self.dec[f"{res}x{res}_in1"] = block(c, c)
            else:
                self.dec[f"{res}x{res}_up"] = block(c, c, change="up")
            for i in range(num_blocks + 1):
                to = model_channels * mult
                attends = not self.song or i == num_blocks
                self.dec[f"{res}x{res}_block{i}"] = block(c + skips.pop(), to, heads=heads(res, to) if attends else 0)
                c = to
            if self.song and (decoder_type == "skip" or level == 0):
                if decoder_type == "skip" and level < len(channel_mult) - 1:
                    self.dec[f"{res}x{res}_aux_up"] = Conv(c_out, c_out, 0, "up", taps)
                self.dec[f"{res}x{res}_aux_norm"] = Norm(c, 1e-6)
                self.dec[f"{res}x{res}_aux_conv"] = Conv(c, c_out, 3)
        if not self.song:
            self.out_norm, self.out_conv = Norm(c, 1e-5), Conv(c, c_out, 3)

    def embed(self, c_noise, labels):
        e = self.map_noise(c_noise)
        if self.song:
            # This family has sines in front.
            e = torch.cat(e.chunk(2, 1)[::-1], 1)
            if self.map_label:
                e = e + self.map_label(labels * math.sqrt(self.label_dim))
            return F.silu(self.map_layer1(F.silu(self.map_layer0(e))))
        e = self.map_layer1(F.silu(self.map_layer0(e)))
        return F.silu(e + self.map_label(labels) if self.map_label else e)

    def forward(self, x, c_noise, labels):
        e, aux, skips = self.embed(c_noise, labels), x, []
        for name, layer in self.enc.items():
            if name.endswith("aux_down"):
                aux = layer(aux)
            elif name.endswith("aux_skip"):
                x = skips[-1] = x + layer(aux)
            elif name.endswith("aux_residual"):
                x = skips[-1] = aux = (x + layer(aux)) / math.sqrt(2)
            else:
                x = layer(x, e) if isinstance(layer, Block) else layer(x)
                skips.append(x)
        image, normed = None, None
        for name, layer in self.dec.items():
            if name.endswith("aux_up"):
                image = layer(image)
            elif name.endswith("aux_norm"):
                normed = layer(x)
            elif name.endswith("aux_conv"):
                out = layer(F.silu(normed))
                image = out if image is None else image + out
            else:
                if x.shape[1] != layer.c_in:
                    x = torch.cat([x, skips.pop()], 1)
                x = layer(x, e)
        return image if self.song else self.out_conv(F.silu(self.out_norm(x)))


class Precond(nn.Module):
    """The preconditionings of Karras et al. 2022, table 1, by the names of their classes."""

    def __init__(self, class_name, img_resolution, img_channels, label_dim, model_type, **kw):
        super().__init__()
        own = {k: kw.pop(k) for k in list(kw)
               if k in ("sigma_data", "sigma_min", "sigma_max", "beta_d", "beta_min", "M", "C_1", "C_2", "pfgmpp", "D")}
        self.kind, self.own, self.channels = class_name, own, img_channels
        out = img_channels * (2 if class_name == "iDDPMPrecond" else 1)
        self.model = Network(model_type, img_resolution, img_channels, out, label_dim, **kw)
        if class_name == "iDDPMPrecond":
            self.register_buffer("u", torch.empty(own["M"] + 1))

    def check_levels(self):
        """The levels of iDDPM, by the recursion that defines them."""
        m, u = self.own["M"], [0.0]
        bar = lambda j: math.sin(math.pi / 2 * j / m / (self.own["C_2"] + 1)) ** 2
        for j in range(m, 0, -1):
            u.append(math.sqrt((u[-1] ** 2 + 1) / max(bar(j - 1) / bar(j), self.own["C_1"]) - 1))
        want = torch.tensor(u[::-1], dtype=torch.float64)
        assert torch.allclose(self.u.double(), want, rtol=1e-5, atol=1e-6), (self.u - want).abs().max()

    def forward(self, x, sigma, labels):
        own, ones = self.own, torch.ones_like(sigma)
        if self.kind == "EDMPrecond":
            sd = own["sigma_data"]
            norm = (sigma ** 2 + sd ** 2).sqrt()
            skip, out, scale, noise = sd ** 2 / norm ** 2, sigma * sd / norm, 1 / norm, sigma.log() / 4
        elif self.kind == "VEPrecond":
            skip, out, scale, noise = ones, sigma, ones, (sigma / 2).log()
        else:
            skip, out, scale = ones, -sigma, 1 / (sigma ** 2 + 1).sqrt()
            if self.kind == "VPPrecond":
                low, rise = own["beta_min"], own["beta_d"]
                noise = (own["M"] - 1) * ((low ** 2 + 2 * rise * (1 + sigma ** 2).log()).sqrt() - low) / rise
            else:
                self.check_levels()
                noise = own["M"] - 1 - (self.u.double()[None, :-1] - sigma[:, None]).abs().argmin(1)
        wide = lambda t: t[:, None, None, None]
        f = self.model((wide(scale) * x).float(), noise.float(), labels)[:, :self.channels].double()
        return wide(skip) * x + wide(out) * f


def edm(folder, probe):
    with safe_open(folder / "network", "pt") as file:
        about = file.metadata()
    network = Precond(about["class_name"], **json.loads(about["init_kwargs"])).eval()
    network.load_state_dict(load_file(folder / "network"), strict=True)
    return network(probe["x"].double(), probe["sigma"], probe.get("labels"))


def diffusers(folder, probe):
    import diffusers as package

    place = str(folder / "network")
    network = package.UNet2DModel.from_pretrained(place, subfolder="unet").eval()
    kind = json.loads((folder / "network/scheduler/scheduler_config.json").read_text())["_class_name"]
    scheduler = getattr(package, kind).from_pretrained(place, subfolder="scheduler")
    labels = probe["labels"].argmax(1) if "labels" in probe else None
    x, sigma = probe["x"].double(), probe["sigma"]
    wide = lambda t: t[:, None, None, None]
    run = lambda x, time: network(x.float(), time.float(), class_labels=labels).sample.double()
    if kind == "ScoreSdeVeScheduler":
        return x + wide(sigma) ** 2 * run(x, sigma)
    if kind == "EDMEulerScheduler":
        one = lambda x, s, f: scheduler.precondition_outputs(x, f, s)
        scaled = torch.stack([scheduler.precondition_inputs(x[i], sigma[i]) for i in range(len(x))])
        f = run(scaled, torch.stack([scheduler.precondition_noise(s) for s in sigma]))
        return torch.stack([one(x[i], sigma[i], f[i]) for i in range(len(x))])
    if kind == "CMStochasticIterativeScheduler":
        skip, out = scheduler.get_scalings_for_boundary_condition(sigma)
        scaled = x / wide((sigma ** 2 + scheduler.config.sigma_data ** 2).sqrt())
        return wide(skip) * x + wide(out) * run(scaled, 250 * sigma.log())
    # The scheduler's own table has 32 bits: it says which step a level is, and the probe the level.
    levels = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt().double()
    time = (levels[None] - sigma[:, None]).abs().argmin(1)
    assert torch.allclose(levels[time], sigma, rtol=1e-3), (levels[time], sigma)
    norm = wide((1 + sigma ** 2).sqrt())
    f = run(x / norm, time)
    pipeline = package.DDPMPipeline.from_pretrained(place)
    if labels is None:
        pipeline.set_progress_bar_config(disable=True)
        images = pipeline(batch_size=2, num_inference_steps=2, output_type="np").images
        assert images.shape[0] == 2 and math.isfinite(images.sum()), images
    return {
        "epsilon": lambda: x - wide(sigma) * f,
        "sample": lambda: f,
        "v_prediction": lambda: (x / norm - wide(sigma) * f) / norm,
    }[scheduler.config.prediction_type]()


def main(kind, folder):
    errors = {}
    for case in sorted(pathlib.Path(folder).iterdir()):
        probe = load_file(case / "probe.safetensors")
        with torch.no_grad():
            got = {"edm": edm, "diffusers": diffusers}[kind](case, probe).flatten(1)
        want = probe["denoised"].double().flatten(1)
        errors[case.name] = ((got - want).abs().amax(1) / want.abs().amax(1)).max().item()
    print(json.dumps(errors))


main(*sys.argv[1:])
