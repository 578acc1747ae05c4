"""Writes unet2d.safetensors beside this file: a small UNet2DModel of diffusers with inputs, outputs and every gradient.

    pip install torch diffusers safetensors && python make_unet2d.py [--seed 0] [--out .]
"""
import argparse
import json
import math
import pathlib

import torch
from diffusers import UNet2DModel
from safetensors.torch import save_file

a = argparse.ArgumentParser()
a.add_argument("--seed", type=int, default=0)
a.add_argument("--out", default=str(pathlib.Path(__file__).resolve().parent))
o = a.parse_args()

shared = dict(layers_per_block=1, norm_num_groups=2, norm_eps=1e-6, add_attention=True)
cases = {
    # As google/ddpm-cifar10-32, smaller.
    "unet2d": dict(
        sample_size=8, in_channels=3, out_channels=3, block_out_channels=[4, 8, 8], attention_head_dim=None, freq_shift=1,
        flip_sin_to_cos=False, downsample_padding=0, down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"], **shared),
    # Every option the other way.
    "unet2d_classes": dict(
        sample_size=8, in_channels=2, out_channels=3, block_out_channels=[4, 8], attention_head_dim=4, freq_shift=0,
        flip_sin_to_cos=True, downsample_padding=1, down_block_types=["DownBlock2D", "AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D", "UpBlock2D"], num_class_embeds=5, **shared),
    # As openai/diffusers-cd_imagenet64_l2, smaller, with heads that do not divide the channels and classes by number.
    "unet2d_resnet": dict(
        sample_size=8, in_channels=3, out_channels=3, block_out_channels=[4, 8, 8], attention_head_dim=3, freq_shift=0,
        flip_sin_to_cos=True, downsample_padding=1, resnet_time_scale_shift="scale_shift", downsample_type="resnet",
        upsample_type="resnet", down_block_types=["ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"], attn_norm_num_groups=4,
        mid_block_scale_factor=1.5, center_input_sample=True, class_embed_type="timestep", num_class_embeds=5, **shared),
    # Without a normalisation in front of the middle's attention.
    "unet2d_shift": dict(
        sample_size=4, in_channels=1, out_channels=1, block_out_channels=[4, 4], attention_head_dim=None, freq_shift=0,
        flip_sin_to_cos=True, downsample_padding=1, resnet_time_scale_shift="scale_shift",
        down_block_types=["DownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "UpBlock2D"], **shared),
    # As google/ncsnpp-celebahq-256, smaller: the attention of such levels has 32 groups whatever the width.
    "unet2d_skip": dict(
        sample_size=8, in_channels=3, out_channels=3, block_out_channels=[32, 32], attention_head_dim=None, freq_shift=0,
        flip_sin_to_cos=True, downsample_padding=1, time_embedding_type="fourier", mid_block_scale_factor=2**0.5,
        down_block_types=["SkipDownBlock2D", "AttnSkipDownBlock2D"], up_block_types=["AttnSkipUpBlock2D", "SkipUpBlock2D"],
        **shared),
}
for name, config in cases.items():
    torch.manual_seed(o.seed)
    net = UNet2DModel(**config).eval()
    with torch.no_grad():
        for key, p in net.named_parameters():
            scale = 0.8 / math.sqrt(p[0].numel()) if p.dim() > 1 else 0.3
            p.copy_(torch.randn_like(p) * scale + (1.0 if "norm" in key and "weight" in key else 0.0))
    b, side = 3, config["sample_size"]
    x = torch.randn(b, config["in_channels"], side, side, requires_grad=True)
    time = torch.tensor([0.0, 37.5, 999.0])
    classes = torch.tensor([0, 3, 4]) if "num_class_embeds" in config else None
    told = time
    if config.get("time_embedding_type") == "fourier":
        # Levels in place of steps: here the network is told ln(sigma/2), and its output is not divided by sigma.
        time = torch.tensor([0.05, 1.7, 300.0])
        told = (time / 2).log()
    out = net(x, time, class_labels=classes).sample
    if told is not time:
        out = out * time[:, None, None, None]
    probe = torch.randn_like(out)
    (out * probe).sum().backward()
    t = {k: v.detach().contiguous().clone() for k, v in net.state_dict().items()}
    # Wide ones would make a large file.
    small = max(config["block_out_channels"]) < 32
    t |= {f"grad.{k}": p.grad.contiguous().clone() for k, p in net.named_parameters() if small and p.requires_grad}
    t |= {"in.x": x.detach().clone(), "in.c_noise": told, "in.probe": probe, "out": out.detach().clone(), "grad.x": x.grad.clone()}
    if classes is not None:
        t["in.labels"] = torch.nn.functional.one_hot(classes, 5).float()
    save_file(t, pathlib.Path(o.out) / f"{name}.safetensors", metadata={"config": json.dumps(config)})
