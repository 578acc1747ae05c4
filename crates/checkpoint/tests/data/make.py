"""Writes the files beside this one: one small network in every format that PyTorch programs use for it.

    pip install torch safetensors numpy && python make.py

The classes hold parameters under the published names and are pickled in the published structure (persistent objects that
carry their source text, `_init_kwargs`, nested modules). They compute nothing. The weights are random.
"""
import collections
import io
import pathlib
import pickle
import sys
import types

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
SIDE, CHANNELS, WIDTH, MULT, ATTENTION = 8, 1, 4, [1, 2], 4
# A reader that ran this text would be noticed.
SOURCE = "raise SystemExit('the source text of a pickle was run')\n" + "# a long module\n" * 200


def module_of(name, **content):
    """A Python module of that name, so that pickles refer to it."""
    module = types.ModuleType(name)
    for key, value in content.items():
        value.__module__ = name
        setattr(module, key, value)
    sys.modules[name] = module
    return module


def _reconstruct_persistent_obj(meta):
    raise NotImplementedError("nothing here reads these files")


class EasyDict(dict):
    pass


module_of("torch_utils")
module_of("torch_utils.persistence", _reconstruct_persistent_obj=_reconstruct_persistent_obj)
module_of("dnnlib")
module_of("dnnlib.util", EasyDict=EasyDict)


class Persistent:
    """Pickled as a description: class name, source text, state."""

    def record(self, kwargs):
        self._init_args, self._init_kwargs = (), dict(kwargs)

    def __reduce__(self):
        meta = dict(type="class", version=6, module_src=SOURCE, class_name=type(self).__name__, state=dict(self.__dict__))
        return _reconstruct_persistent_obj, (meta,)

    __reduce_ex__ = lambda self, protocol: self.__reduce__()


class Linear(Persistent, nn.Module):
    def __init__(self, **kw):
        super().__init__()
        self.in_features, self.out_features = kw["in_features"], kw["out_features"]
        self.weight = nn.Parameter(torch.randn(kw["out_features"], kw["in_features"]) * 0.1)
        self.bias = nn.Parameter(torch.randn(kw["out_features"]) * 0.1) if kw.get("bias", True) else None
        self.record(kw)


class Conv2d(Persistent, nn.Module):
    def __init__(self, **kw):
        super().__init__()
        cin, cout, k = kw["in_channels"], kw["out_channels"], kw["kernel"]
        self.in_channels, self.out_channels, self.up, self.down = cin, cout, kw.get("up", False), kw.get("down", False)
        self.weight = nn.Parameter(torch.randn(cout, cin, k, k) * 0.1)
        self.bias = nn.Parameter(torch.randn(cout) * 0.1)
        box = torch.full([1, 1, 2, 2], 0.25) if self.up or self.down else None
        self.register_buffer("resample_filter", box)
        self.record(kw)


class GroupNorm(Persistent, nn.Module):
    def __init__(self, **kw):
        super().__init__()
        n = kw["num_channels"]
        self.num_groups, self.eps = min(32, n // 4), 1e-6
        self.weight, self.bias = nn.Parameter(1 + torch.randn(n) * 0.1), nn.Parameter(torch.randn(n) * 0.1)
        self.record(kw)


class PositionalEmbedding(Persistent, nn.Module):
    def __init__(self, **kw):
        super().__init__()
        self.num_channels, self.max_positions, self.endpoint = kw["num_channels"], 10000, True
        self.record(kw)


class UNetBlock(Persistent, nn.Module):
    def __init__(self, **kw):
        super().__init__()
        cin, cout, emb = kw["in_channels"], kw["out_channels"], kw["emb_channels"]
        up, down = kw.get("up", False), kw.get("down", False)
        self.in_channels, self.out_channels, self.skip_scale = cin, cout, np.sqrt(0.5)
        self.norm0 = GroupNorm(num_channels=cin)
        self.conv0 = Conv2d(in_channels=cin, out_channels=cout, kernel=3, up=up, down=down)
        self.affine = Linear(in_features=emb, out_features=cout)
        self.norm1 = GroupNorm(num_channels=cout)
        self.conv1 = Conv2d(in_channels=cout, out_channels=cout, kernel=3)
        self.skip = None
        if cin != cout or up or down:
            self.skip = Conv2d(in_channels=cin, out_channels=cout, kernel=1, up=up, down=down)
        if kw.get("attention", False):
            self.norm2 = GroupNorm(num_channels=cout)
            self.qkv = Conv2d(in_channels=cout, out_channels=3 * cout, kernel=1)
            self.proj = Conv2d(in_channels=cout, out_channels=cout, kernel=1)
        self.record(kw)


class SongUNet(Persistent, nn.Module):
    def __init__(self, **kw):
        super().__init__()
        emb = 4 * WIDTH
        self.label_dropout = 0
        self.map_noise = PositionalEmbedding(num_channels=WIDTH)
        self.map_label = Linear(in_features=kw["label_dim"], out_features=WIDTH) if kw["label_dim"] else None
        self.map_augment = Linear(in_features=9, out_features=WIDTH, bias=False)
        self.map_layer0 = Linear(in_features=WIDTH, out_features=emb)
        self.map_layer1 = Linear(in_features=emb, out_features=emb)
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        block = lambda cin, cout, **more: UNetBlock(in_channels=cin, out_channels=cout, emb_channels=emb, **more)
        self.enc[f"{SIDE}x{SIDE}_conv"] = Conv2d(in_channels=CHANNELS, out_channels=WIDTH, kernel=3)
        c, skips = WIDTH, [WIDTH]
        for level, mult in enumerate(MULT):
            res, cout = SIDE >> level, WIDTH * mult
            if level:
                self.enc[f"{res}x{res}_down"] = block(c, c, down=True)
                skips.append(c)
            self.enc[f"{res}x{res}_block0"] = block(c, cout, attention=res == ATTENTION)
            c = cout
            skips.append(c)
        for level, mult in reversed(list(enumerate(MULT))):
            res, cout = SIDE >> level, WIDTH * mult
            if level == len(MULT) - 1:
                self.dec[f"{res}x{res}_in0"] = block(c, c, attention=True)
                self.dec[f"{res}x{res}_in1"] = block(c, c)
            else:
                self.dec[f"{res}x{res}_up"] = block(c, c, up=True)
            for i in range(2):
                attention = i == 1 and res == ATTENTION
                self.dec[f"{res}x{res}_block{i}"] = block(c + skips.pop(), cout, attention=attention)
                c = cout
        self.dec[f"{SIDE}x{SIDE}_aux_norm"] = GroupNorm(num_channels=c)
        self.dec[f"{SIDE}x{SIDE}_aux_conv"] = Conv2d(in_channels=c, out_channels=CHANNELS, kernel=3)
        self.record(kw)


class EDMPrecond(Persistent, nn.Module):
    def __init__(self, **kw):
        super().__init__()
        self.img_resolution, self.img_channels, self.label_dim = kw["img_resolution"], kw["img_channels"], kw["label_dim"]
        self.use_fp16, self.sigma_min, self.sigma_max, self.sigma_data = False, 0, float("inf"), 0.5
        own = ["img_resolution", "img_channels", "label_dim", "use_fp16", "model_type", "pfgmpp", "pfgm", "D"]
        inner = {k: v for k, v in kw.items() if k not in own}
        self.model = SongUNet(img_resolution=SIDE, in_channels=CHANNELS, out_channels=CHANNELS, label_dim=kw["label_dim"], **inner)
        self.record(kw)


class EDMLoss(Persistent):
    def __init__(self, **kw):
        self.P_mean, self.P_std, self.sigma_data = -1.2, 1.2, 0.5
        self.record(kw)


networks = module_of("training.networks", Linear=Linear, Conv2d=Conv2d, GroupNorm=GroupNorm, UNetBlock=UNetBlock,
                     PositionalEmbedding=PositionalEmbedding, SongUNet=SongUNet, EDMPrecond=EDMPrecond)
module_of("training.loss", EDMLoss=EDMLoss)

torch.manual_seed(0)
arguments = dict(
    img_resolution=SIDE, img_channels=CHANNELS, label_dim=0, use_fp16=False, model_type="SongUNet", augment_dim=9,
    embedding_type="positional", encoder_type="standard", decoder_type="standard", channel_mult_noise=1,
    resample_filter=[1, 1], model_channels=WIDTH, channel_mult=MULT, num_blocks=1, attn_resolutions=[ATTENTION], dropout=0.13,
)
net = EDMPrecond(**arguments).eval().requires_grad_(False)
state = {name: t.detach().clone().contiguous() for name, t in net.state_dict().items()}
save_file(state, HERE / "weights.safetensors")

data = EasyDict(path="/somewhere/digits-8x8.zip", use_labels=False, resolution=SIDE, max_size=1437)
snapshot = dict(ema=net, loss_fn=EDMLoss(), augment_pipe=None, dataset_kwargs=data)
(HERE / "edm.pkl").write_bytes(pickle.dumps(snapshot, protocol=4))

# PFGM++ saves whole modules with torch.save, and hands D to the preconditioning.
net._init_kwargs = dict(arguments, pfgm=False, pfgmpp=True, D=128)
optimizer = dict(state={0: dict(step=3, exp_avg=torch.zeros(2, 2))}, param_groups=[dict(lr=1e-3, betas=[0.9, 0.999], params=[0])])
training = dict(optimizer_state=optimizer, step=np.int64(7168).item(), ema=net)
torch.save(training, HERE / "training-state.pt")
torch.save(training, HERE / "training-state-legacy.pt", _use_new_zipfile_serialization=False)
torch.save(collections.OrderedDict(state), HERE / "state-dict.pth")

# Every element type, and views that are not contiguous.
base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
kinds = dict(
    f64=base.double() / 7, f32=base / 7, f16=(base / 7).half(), bf16=(base / 7).bfloat16(), i64=base.long() - 5,
    i32=base.int(), i16=base.short(), u8=base.byte(), scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
    parameter=nn.Parameter(base.clone()),
)
odd = dict(
    transposed=base.transpose(0, 2), part=base[1:, :, 1:3], strided=base.flatten()[3::5],
    channels_last=torch.arange(48.0).reshape(2, 2, 3, 4).to(memory_format=torch.channels_last),
)
torch.save({**kinds, **odd}, HERE / "kinds.pt")
torch.save({**kinds, **odd}, HERE / "kinds-legacy.pt", _use_new_zipfile_serialization=False)
save_file({k: v.detach().contiguous().clone() for k, v in {**kinds, **odd}.items()}, HERE / "kinds.safetensors")
for file in sorted(HERE.glob("*")):
    print(f"{file.stat().st_size:8} {file.name}")
