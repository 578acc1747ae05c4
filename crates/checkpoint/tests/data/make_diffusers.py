"""Writes diffusers.bin beside this file: the weights of ../../../nn/tests/data/unet2d.safetensors as early diffusers saved them.

    pip install torch safetensors && python make_diffusers.py
"""
import pathlib

import torch
from safetensors.torch import load_file

here = pathlib.Path(__file__).resolve().parent
golden = load_file(here / "../../../nn/tests/data/unet2d.safetensors")
state = {k: v for k, v in golden.items() if not k.startswith(("grad.", "in.", "out"))}
for new, old in [(".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")]:
    state = {k.replace(new, old): v for k, v in state.items()}
torch.save(state, here / "diffusers.bin")
