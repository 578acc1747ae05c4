"""Features of random weights by PyTorch, torchvision and transformers, and planes that PyTorch has resampled.

    pip install torch torchvision transformers safetensors numpy
    python make.py            # writes features.safetensors, resample.safetensors and weights.txt beside itself

No weights are stored: `draw` makes them of the names and shapes in weights.txt, and tests/features.rs has the same arithmetic.
The networks are those of torchvision and transformers. Inception-v3 of 2015 is torchvision's with the pools that FID has;
DINOv2 under its authors' names, with position embeddings of a larger grid, is transformers' with the embeddings
interpolated as the authors do, by a scale with an offset of 0.1.
"""

import pathlib
import tempfile

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torchvision.models import inception
from transformers import Dinov2Config, Dinov2Model

HERE = pathlib.Path(__file__).parent
MASK = (1 << 64) - 1


def uniform(name, num):
    """`num` numbers in [0, 1): SplitMix64 of the name's FNV-1a hash plus the place."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & MASK
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(seed) + numpy.arange(1, num + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(11)).astype(numpy.float64) / 2.0**53


def draw(name, shape):
    """A weight by its name: norms about 1, maps that keep the size of what they are given."""
    shape = tuple(shape)
    values = 2.0 * uniform(name, int(numpy.prod(shape))) - 1.0
    if name.endswith("running_var"):
        values = 1.0 + 0.5 * values
    elif name.endswith(("bias", "running_mean")):
        values = 0.1 * values
    elif name.endswith(("gamma", "lambda1")) or (len(shape) == 1 and name.endswith("weight")):
        values = 1.0 + 0.3 * values
    elif len(shape) == 4:
        values = (6.0 / (shape[1] * shape[2] * shape[3])) ** 0.5 * values
    elif len(shape) == 2 and name.endswith("weight"):
        values = (3.0 / shape[1]) ** 0.5 * values
    else:
        values = 0.5 * values
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape))


def picture(name, shape):
    """Bytes."""
    values = numpy.floor(256.0 * uniform(name, int(numpy.prod(shape))))
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape))


LISTED = []


def listed(network, name, shape):
    """Draws a weight of a network, and notes that it has it."""
    LISTED.append(" ".join([network, name, *map(str, shape)]))
    return draw(name, shape)


PICTURES = {"small": (1, 3, 32, 32), "large": (1, 3, 320, 310), "grey": (1, 1, 8, 8)}


def rgb(name):
    image = picture(name, PICTURES[name])
    return image.repeat(1, 3 // image.shape[1], 1, 1) / 255.0


def inception_features(network, image):
    x = 2.0 * F.interpolate(image, size=(299, 299), mode="bilinear", align_corners=False) - 1.0
    caught = []
    handle = network.avgpool.register_forward_hook(lambda module, given, result: caught.append(result))
    network(x)
    handle.remove()
    return caught[0].flatten(1)


def inception_v3(of_2015):
    """torchvision's network, or with 1,008 classes and the pools of 2015."""
    classes = 1008 if of_2015 else 1000
    network = inception.Inception3(num_classes=classes, aux_logits=False, init_weights=False)
    which = "inception.2015" if of_2015 else "inception.torchvision"
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(listed(which, name, tensor.shape))
    network.eval()
    if not of_2015:
        return network, F.avg_pool2d
    plain = F.avg_pool2d

    def within(x, **how):
        return plain(x, count_include_pad=False, **how)

    last = network.Mixed_7c._forward

    def maximum(x):
        F.avg_pool2d = lambda x, **how: F.max_pool2d(x, **how)
        result = last(x)
        F.avg_pool2d = within
        return result

    network.Mixed_7c._forward = maximum
    return network, within


def dino(gated, grid):
    """A small network of the same kind, which transformers builds."""
    config = Dinov2Config(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=14 * grid,
        use_swiglu_ffn=gated,
        attn_implementation="eager",
    )
    return Dinov2Model(config)


def saved_names(network, folder):
    """Weights under the names that transformers saves them under."""
    network.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


# Names of the Hub's transformers and of DINOv2's authors.
AUTHORS = {
    "embeddings.cls_token": "cls_token",
    "embeddings.mask_token": "mask_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "encoder.layer": "blocks",
    "attention.output.dense": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.weights_in": "mlp.w12",
    "mlp.weights_out": "mlp.w3",
    "layernorm": "norm",
}


def authors_name(name):
    for hub, own in AUTHORS.items():
        name = name.replace(hub, own)
    return name


def dino_features(network, image):
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    x = F.interpolate(image, size=(224, 224), mode="bicubic", align_corners=False, antialias=True)
    return network(pixel_values=(x - mean) / std).pooler_output


def kind_of(names, gated):
    return f"dinov2.{names}.{'gated' if gated else 'gelu'}"


def dino_of_the_hub(gated, folder):
    """Weights drawn under the Hub's names, of a grid of 16 patches."""
    names = saved_names(dino(gated, 16), folder)
    which = kind_of("hub", gated)
    drawn = {name: listed(which, name, tensor.shape) for name, tensor in names.items()}
    save_file(drawn, folder / "model.safetensors", metadata={"format": "pt"})
    return Dinov2Model.from_pretrained(folder, attn_implementation="eager").eval()


def dino_of_its_authors(gated, folder):
    """Weights drawn under the authors' names, with positions of a grid of 37 patches that are interpolated as they do."""
    names = saved_names(dino(gated, 16), folder)
    which = kind_of("authors", gated)
    drawn = {}
    for name, tensor in names.items():
        if ".attention.attention." in name:
            block, part = name.split(".attention.attention.")
            kind, what = part.split(".")
            if kind == "query":
                joined = listed(which, f"{authors_name(block)}.attn.qkv.{what}", (384, *tensor.shape[1:]))
                for place, own in enumerate(["query", "key", "value"]):
                    own = f"{block}.attention.attention.{own}.{what}"
                    drawn[own] = joined.chunk(3)[place].contiguous()
        elif name.endswith("position_embeddings"):
            positions = listed(which, "pos_embed", (1, 1 + 37 * 37, 128))
            grid = positions[:, 1:].reshape(1, 37, 37, 128).permute(0, 3, 1, 2)
            scale = (16 + 0.1) / 37
            grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
            drawn[name] = torch.cat([positions[:, :1], grid.permute(0, 2, 3, 1).reshape(1, 256, 128)], 1)
        else:
            drawn[name] = listed(which, authors_name(name), tensor.shape)
    save_file(drawn, folder / "model.safetensors", metadata={"format": "pt"})
    return Dinov2Model.from_pretrained(folder, attn_implementation="eager").eval()


def resampled():
    cases = {}
    for kind, (rows, columns), (height, width) in [
        ("linear.up", (5, 7), (11, 9)),
        ("linear.down", (13, 20), (6, 7)),
        ("smooth.up", (5, 7), (12, 9)),
        ("smooth.down", (23, 20), (6, 7)),
        ("smooth.both", (1, 2), (4, 1)),
        ("cubic.down", (37, 37), (16, 16)),
        ("cubic.up", (5, 5), (16, 16)),
    ]:
        plane = picture(kind, (1, 1, rows, columns)) / 255.0
        if kind.startswith("linear"):
            to = F.interpolate(plane, (height, width), mode="bilinear", align_corners=False)
        elif kind.startswith("smooth"):
            to = F.interpolate(plane, (height, width), mode="bicubic", align_corners=False, antialias=True)
        else:
            scale = (height + 0.1) / rows
            to = F.interpolate(plane, scale_factor=(scale, scale), mode="bicubic")
        cases[f"from.{kind}"] = plane[0, 0].contiguous()
        cases[f"to.{kind}"] = to[0, 0].contiguous()
    return cases


def main():
    torch.manual_seed(0)
    features = {}
    with torch.no_grad():
        plain = F.avg_pool2d
        for name, of_2015 in [("inception.2015", True), ("inception.torchvision", False)]:
            network, pool = inception_v3(of_2015)
            F.avg_pool2d = pool
            for image in ("small", "large"):
                features[f"{name}.{image}"] = inception_features(network, rgb(image))
            F.avg_pool2d = plain
        for name, build in [("hub", dino_of_the_hub), ("authors", dino_of_its_authors)]:
            for gated in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    network = build(gated, pathlib.Path(folder))
                    for image in PICTURES:
                        features[f"{kind_of(name, gated)}.{image}"] = dino_features(network, rgb(image))
    save_file({name: tensor.contiguous() for name, tensor in features.items()}, HERE / "features.safetensors")
    save_file(resampled(), HERE / "resample.safetensors")
    (HERE / "weights.txt").write_text("\n".join(LISTED) + "\n")
    for name, tensor in features.items():
        print(name, tuple(tensor.shape), float(tensor.std()), tensor.flatten()[:3].tolist())


if __name__ == "__main__":
    main()
