//! The functions and classes that checkpoints name, and those that only an attack names.

use pfgmpp_pickle::Regard;

/// What is made of `module.name`. Whatever it is, it is never run.
pub(super) fn regard(module: &str, name: &str) -> Regard {
    if is_known(module, name) {
        return Regard::Known;
    }
    if is_harmful(module, name) {
        return Regard::Refused;
    }
    Regard::PassedOver
}

/// Whether a call of `module.name` would do something beside making an object: a file that asks for one is
/// refused as a whole, so that nobody gives it to a program that runs it.
fn is_harmful(module: &str, name: &str) -> bool {
    let root = module.split('.').next().unwrap_or(module);
    if HARMFUL.contains(&root) {
        return true;
    }
    // Of these, classes lie beside weights; their functions do things.
    let is_function = !name.starts_with(|c: char| c.is_ascii_uppercase());
    match root {
        "builtins" | "__builtin__" | "operator" | "_operator" => true,
        "copyreg" | "copy_reg" => name != "_reconstructor",
        "torch" | "numpy" | "functools" | "itertools" => {
            // What Cython writes for a class restores its fields.
            let restores = name.starts_with("__pyx_unpickle_");
            is_function && !restores && !HARMLESS_FUNCTIONS.contains(&name)
        }
        _ => false,
    }
}

/// Modules of Python that reach the system, the network, or code.
const HARMFUL: [&str; 45] = [
    "os",
    "posix",
    "nt",
    "posixpath",
    "ntpath",
    "subprocess",
    "_posixsubprocess",
    "sys",
    "shutil",
    "pty",
    "socket",
    "ssl",
    "http",
    "urllib",
    "urllib2",
    "urllib3",
    "requests",
    "httpx",
    "aiohttp",
    "ftplib",
    "smtplib",
    "telnetlib",
    "webbrowser",
    "importlib",
    "imp",
    "runpy",
    "pkgutil",
    "zipimport",
    "code",
    "codeop",
    "ctypes",
    "cffi",
    "marshal",
    "pickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "tempfile",
    "multiprocessing",
    "asyncio",
    "pdb",
    "timeit",
    "bdb",
];

/// Functions that make an object beside weights and nothing else.
const HARMLESS_FUNCTIONS: [&str; 7] = [
    "partial",
    "count",
    "__randomstate_ctor",
    "__bit_generator_ctor",
    "__generator_ctor",
    "_frombuffer",
    "_unpickle_timedelta64",
];

/// Whether `module.name` is one whose description is understood here.
fn is_known(module: &str, name: &str) -> bool {
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
