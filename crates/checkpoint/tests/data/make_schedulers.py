"""Writes schedulers.json beside this file: configurations as diffusers saves them, and what its schedulers make of them.

    pip install torch diffusers && python make_schedulers.py

discrete: noise levels sqrt((1 - alpha_bar) / alpha_bar) at some steps, all arithmetic in the scheduler's own 32 bits.
continuous: at some levels, the scale of the network's input, what it is told, and (c_skip, c_out) of its output.
"""
import json
import pathlib
import tempfile

import diffusers
import torch

STEPS = [0, 1, 7, 499, 998, 999]
LEVELS = [0.002, 0.05, 0.7, 9.0, 80.0]


def saved(scheduler):
    with tempfile.TemporaryDirectory() as folder:
        scheduler.save_pretrained(folder)
        # Python writes -Infinity into JSON, which JSON does not know: the text as it is.
        return (pathlib.Path(folder) / "scheduler_config.json").read_text()


discrete = []
for name, options in [
    ("DDPMScheduler", dict(beta_schedule="sigmoid")),
    ("DDPMScheduler", dict(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")),
    ("DDIMScheduler", dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)),
    ("PNDMScheduler", dict(trained_betas=[0.001 + 0.00001 * i for i in range(1000)])),
    ("DPMSolverMultistepScheduler", {}),
    ("DPMSolverSinglestepScheduler", {}),
    ("UniPCMultistepScheduler", {}),
    ("DEISMultistepScheduler", {}),
    ("EulerDiscreteScheduler", dict(use_karras_sigmas=True)),
    ("EulerAncestralDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {}),
    ("KDPM2DiscreteScheduler", {}),
    ("DDPMParallelScheduler", {}),
    ("DDIMInverseScheduler", {}),
]:
    scheduler = getattr(diffusers, name)(**options)
    alpha_bar = scheduler.alphas_cumprod.double()
    levels = ((1 - alpha_bar) / alpha_bar).sqrt()
    discrete.append(dict(config=saved(scheduler), steps=STEPS, levels=[levels[i].item() for i in STEPS]))

continuous = []
for name, options in [
    ("EDMEulerScheduler", dict(sigma_data=0.4, rho=5.0)),
    ("EDMDPMSolverMultistepScheduler", {}),
    ("CMStochasticIterativeScheduler", {}),
]:
    scheduler = getattr(diffusers, name)(**options)
    rows = []
    for level in LEVELS:
        sigma = torch.tensor(level, dtype=torch.float64)
        one = torch.ones((), dtype=torch.float64)
        if name.startswith("CM"):
            c_skip, c_out = scheduler.get_scalings_for_boundary_condition(sigma)
            told = float(scheduler.sigma_to_t(level))
            c_in = 1 / (level**2 + scheduler.config.sigma_data**2) ** 0.5
        else:
            c_skip = scheduler.precondition_outputs(one, 0 * one, sigma)
            c_out = scheduler.precondition_outputs(0 * one, one, sigma)
            told = float(scheduler.precondition_noise(sigma))
            c_in = float(scheduler.precondition_inputs(one, sigma))
        rows.append([level, c_in, told, float(c_skip), float(c_out)])
    continuous.append(dict(config=saved(scheduler), rows=rows))

path = pathlib.Path(__file__).resolve().parent / "schedulers.json"
path.write_text(json.dumps(dict(discrete=discrete, continuous=continuous), indent=1) + "\n")
