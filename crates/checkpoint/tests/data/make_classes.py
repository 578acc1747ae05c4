"""Writes edm-classes.pkl: the network of edm.pkl with three classes.

    python make_classes.py

Needs nothing but Python: the pickle is read as a description, in which every class and function is a name. The number of
classes is changed, the layer for labels is added, with numbers of another layer made larger, and all is written back.
"""
import collections
import copyreg
import pathlib
import pickle
import struct
import sys
import types

HERE = pathlib.Path(__file__).resolve().parent
CLASSES, WIDTH, SCALE = 3, 4, 20.0


class Made:
    """What a call in the pickle would make: its arguments, and what is set afterwards."""

    args, state, called = (), None, False

    def __new__(cls, *args):
        made = object.__new__(cls)
        made.items = {}
        return made

    def __init__(self, *args):
        self.args, self.called = args, True

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        self.items[key] = value

    def __reduce_ex__(self, protocol):
        items = iter(self.items.items()) if self.items else None
        if self.called:
            return type(self), self.args, self.state, None, items
        return copyreg.__newobj__, (type(self), *self.args), self.state, None, items


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        # Pickling imports the packages above a module too.
        for end in [i for i, c in enumerate(module + ".") if c == "."]:
            sys.modules.setdefault(module[:end], types.ModuleType(module[:end]))
        home = sys.modules[module]
        if not hasattr(home, name):
            setattr(home, name, type(name, (Made,), {"__module__": module}))
        return getattr(home, name)


def view(parameter, shape):
    """A parameter of that shape with the first numbers of another one, SCALE times as large."""
    tensor, *rest = parameter.args
    storage, _, _, _, *more = tensor.args
    (saved,) = storage.args
    count = 1
    for size in tensor.args[2]:
        count *= size
    numbers = struct.unpack(f"<{count}f", saved[-4 * count:])
    saved = saved[:-4 * count] + struct.pack(f"<{count}f", *(SCALE * number for number in numbers))
    stride = (shape[1], 1) if len(shape) == 2 else (1,)
    return type(parameter)(type(tensor)(type(storage)(saved), 0, shape, stride, *more), *rest)


def state_of(module):
    return module.args[0]["state"]


snapshot = Reader(open(HERE / "edm.pkl", "rb")).load()
precond = state_of(snapshot["ema"])
network = state_of(precond["_modules"]["model"])
layer = network["_modules"]["map_layer0"]
parameters = state_of(layer)["_parameters"]
state = dict(
    state_of(layer), in_features=CLASSES, out_features=WIDTH,
    _init_kwargs=dict(in_features=CLASSES, out_features=WIDTH),
    _parameters=dict(weight=view(parameters["weight"], (WIDTH, CLASSES)), bias=view(parameters["bias"], (WIDTH,))),
)
network["_modules"]["map_label"] = type(layer)(dict(layer.args[0], state=state))
network.pop("map_label", None)
precond["label_dim"] = CLASSES
for own in (precond, network):
    own["_init_kwargs"]["label_dim"] = CLASSES
(HERE / "edm-classes.pkl").write_bytes(pickle.dumps(snapshot, protocol=4))
