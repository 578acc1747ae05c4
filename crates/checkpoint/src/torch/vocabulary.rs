//! The functions and classes that checkpoints name. Everything else ends the reading.

/// Whether `module.name` is one that the description of a checkpoint may name.
pub(super) fn is_known(module: &str, name: &str) -> bool {
    match module {
        "torch._utils" => name.starts_with("_rebuild_"),
        "torch._tensor" => name == "_rebuild_from_type_v2",
        "torch.storage" => ["_load_from_bytes", "TypedStorage", "UntypedStorage"].contains(&name),
        "torch.nn.parameter" => ["Parameter", "Buffer"].contains(&name),
        // Storages, dtypes, sizes and devices.
        "torch" | "torch.cuda" => is_torch(name),
        "collections" => ["OrderedDict", "defaultdict"].contains(&name),
        "builtins" | "__builtin__" => is_builtin(name),
        "numpy" => ["dtype", "ndarray"].contains(&name),
        "numpy.core.multiarray" | "numpy._core.multiarray" => {
            ["scalar", "_reconstruct"].contains(&name)
        }
        "_codecs" => name == "encode",
        "dnnlib" | "dnnlib.util" => name == "EasyDict",
        "torch_utils.persistence" => name == "_reconstruct_persistent_obj",
        "pathlib" | "pathlib._local" => {
            ["PosixPath", "WindowsPath", "PurePosixPath"].contains(&name)
        }
        // Classes of modules: they are walked, never made.
        _ => module.starts_with("torch.nn.modules.") || is_network(name),
    }
}

fn is_torch(name: &str) -> bool {
    let dtypes = [
        "float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64",
        "bool", "half", "float", "double", "long", "int",
    ];
    name.ends_with("Storage") || dtypes.contains(&name) || ["Size", "device"].contains(&name)
}

fn is_builtin(name: &str) -> bool {
    let types = [
        "dict",
        "set",
        "frozenset",
        "list",
        "tuple",
        "int",
        "float",
        "bool",
        "str",
        "bytes",
        "bytearray",
        "object",
        "complex",
        "slice",
        "range",
    ];
    types.contains(&name)
}

/// Networks of this family, in whatever module their authors put them.
fn is_network(name: &str) -> bool {
    let classes = [
        "EDMPrecond",
        "VPPrecond",
        "VEPrecond",
        "iDDPMPrecond",
        "SongUNet",
        "DhariwalUNet",
        "UNetBlock",
        "PositionalEmbedding",
        "FourierEmbedding",
        "Linear",
        "Conv2d",
        "GroupNorm",
        "AttentionOp",
    ];
    classes.contains(&name)
}
