//! Files and folders that hold a network, and what kind each is.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_kernel::Dimension;

use crate::checkpoint::{Folder, read_config};
use crate::foreign::{self, Contents, Diffusers, ForeignError, Module};
use crate::pickle::Id;
use crate::torch::{TorchError, TorchFile};
use crate::window::Window;
use crate::{Checkpoint, CheckpointConfig, CheckpointError, Tensors, read_tensors};

/// What a reader is told beside the file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The dimension D that the network was trained at, where the file does not record it.
    pub d: Option<Dimension>,
    /// A `config.json` that describes the network, for files that hold weights only; it needs no checksum.
    pub config: Option<PathBuf>,
}

/// A checkpoint from any source.
pub struct Loaded {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What its file does not record and was assumed, a sentence each.
    pub notes: Vec<String>,
}

/// A file or folder that holds a network, its kind told from its contents.
///
/// Reading one never runs anything: pickles are read as descriptions, by a list of known classes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A checkpoint of this program: its folder, or the run folder that holds it.
    Checkpoint(PathBuf),
    /// A network in a folder of diffusers.
    Diffusers(PathBuf),
    /// A pickle of EDM or PFGM++ (`network-snapshot-*.pkl`), or a file of `torch.save` in either format.
    Torch(PathBuf),
    /// Weights in a safetensors file.
    Safetensors(PathBuf),
}

impl Source {
    /// Looks what `path` is.
    ///
    /// # Errors
    ///
    /// Nothing there, and files and folders that are none of the kinds.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let own = path.to_path_buf();
        let metadata = match std::fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(CheckpointError::Missing { path: own });
            }
            metadata => metadata.map_err(CheckpointError::io(path))?,
        };
        if metadata.is_dir() {
            if Folder::find(path).is_ok() {
                return Ok(Self::Checkpoint(own));
            }
            return match Diffusers::find(path)? {
                Some(_) => Ok(Self::Diffusers(own)),
                None => Err(CheckpointError::Missing { path: own }),
            };
        }
        let file = Window::open(path).map_err(CheckpointError::io(path))?;
        let mut head = [0; 9];
        let len = head.len().min(file.len() as usize);
        file.read_at(&mut head[..len], 0)
            .map_err(CheckpointError::io(path))?;
        match head {
            // A zip archive, or the protocol that every binary pickle starts with.
            [b'P', b'K', 3, 4, ..] | [0x80, 1..=5, ..] => Ok(Self::Torch(own)),
            // The length of a header, and the header's brace.
            [_, _, _, _, _, 0, 0, 0, b'{'] => Ok(Self::Safetensors(own)),
            _ => Err(CheckpointError::Foreign {
                path: own,
                message: "not a checkpoint: a pickle, a file of torch.save or a safetensors file is needed"
                    .into(),
            }),
        }
    }

    /// The kind of source, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Checkpoint(_) => "checkpoint",
            Self::Diffusers(_) => "diffusers folder",
            Self::Torch(_) => "PyTorch file",
            Self::Safetensors(_) => "safetensors file",
        }
    }

    /// Reads the network's configuration and weights.
    ///
    /// # Errors
    ///
    /// Damaged files, networks that [`NetworkConfig`](pfgmpp_nn::NetworkConfig) does not know, and weights without a
    /// configuration; [`CheckpointError::is_unsupported`] tells the second from the others.
    pub fn load(&self, options: &LoadOptions, device: &Device) -> Result<Loaded, CheckpointError> {
        let mut notes = Vec::new();
        let checkpoint = match self {
            Self::Checkpoint(path) => {
                let checkpoint = Checkpoint::load(path, device)?;
                refuse_options(path, &checkpoint.config, options)?;
                checkpoint
            }
            Self::Torch(path) => read_torch(path, options, device, &mut notes)?,
            Self::Safetensors(path) => {
                let config = given_config(path, options)?;
                let weights = foreign::named_as_here(read_tensors(path, device)?.0);
                Checkpoint { config, weights }
            }
            Self::Diffusers(path) => read_diffusers(path, options, device, &mut notes)?,
        };
        Ok(Loaded { checkpoint, notes })
    }

    /// All tensors by their own names, whatever network they belong to.
    ///
    /// # Errors
    ///
    /// Damaged files.
    pub fn tensors(&self, device: &Device) -> Result<Tensors, CheckpointError> {
        match self {
            Self::Checkpoint(path) => Ok(Checkpoint::load(path, device)?.weights),
            Self::Safetensors(path) => Ok(read_tensors(path, device)?.0),
            Self::Torch(path) => {
                let file = open_torch(path)?;
                let read = foreign::state_dict(&file).and_then(|contents| match contents {
                    Contents::Module(module) => read_all(&file, &module.tensors()?, device),
                    Contents::Tensors(tensors) => read_all(&file, &tensors, device),
                });
                read.map_err(CheckpointError::foreign(path))
            }
            Self::Diffusers(path) => match Diffusers::find(path)? {
                Some(found) => Self::open(&found.weights)?.tensors(device),
                None => Err(CheckpointError::Missing { path: path.clone() }),
            },
        }
    }
}

fn open_torch(path: &Path) -> Result<TorchFile, CheckpointError> {
    let file = Window::open(path).map_err(CheckpointError::io(path))?;
    TorchFile::read(&file).map_err(|e| CheckpointError::foreign(path)(e.into()))
}

fn read_torch(
    path: &Path,
    options: &LoadOptions,
    device: &Device,
    notes: &mut Vec<String>,
) -> Result<Checkpoint, CheckpointError> {
    let file = Window::open(path).map_err(CheckpointError::io(path))?;
    let (described, weights) =
        read_file(&file, options, device, notes).map_err(CheckpointError::foreign(path))?;
    let config = match described {
        Some(config) => config,
        None => given_config(path, options)?,
    };
    Ok(Checkpoint { config, weights })
}

fn read_diffusers(
    path: &Path,
    options: &LoadOptions,
    device: &Device,
    notes: &mut Vec<String>,
) -> Result<Checkpoint, CheckpointError> {
    let missing = || CheckpointError::Missing { path: path.into() };
    let foreign = |e| CheckpointError::foreign(path)(e);
    let found = Diffusers::find(path)?.ok_or_else(missing)?;
    let config = found.describe(notes).map_err(foreign)?;
    let checked = config.check().map_err(ForeignError::parameter);
    checked.map_err(foreign)?;
    refuse_options(path, &config, options)?;
    let weights = Source::open(&found.weights)?.tensors(device)?;
    found.check_out_channels(&weights).map_err(foreign)?;
    let weights = foreign::named_as_here(weights);
    let weights = foreign::without_variances(&config, weights);
    let weights = weights.map_err(|source| CheckpointError::Weights {
        path: found.weights,
        source,
    })?;
    Ok(Checkpoint { config, weights })
}

/// The weights in a file of PyTorch, and what its network is if it is a module and no other description is given.
pub(crate) fn read_file(
    file: &Window,
    options: &LoadOptions,
    device: &Device,
    notes: &mut Vec<String>,
) -> Result<(Option<CheckpointConfig>, Tensors), ForeignError> {
    let file = TorchFile::read(file)?;
    let (config, tensors) = match foreign::state_dict(&file)? {
        Contents::Module(module) if options.config.is_none() => {
            (Some(describe(&module, options, notes)?), module.tensors()?)
        }
        Contents::Module(module) => (None, module.tensors()?),
        Contents::Tensors(tensors) => (None, tensors),
    };
    let weights = foreign::named_as_here(read_all(&file, &tensors, device)?);
    let Some(config) = config else {
        return Ok((None, weights));
    };
    let weights =
        foreign::without_variances(&config, weights).map_err(|source| TorchError::Backend {
            name: "of the last convolution".into(),
            source,
        })?;
    Ok((Some(config), weights))
}

fn describe(
    module: &Module,
    options: &LoadOptions,
    notes: &mut Vec<String>,
) -> Result<CheckpointConfig, ForeignError> {
    let mut config = foreign::describe(module, options.d, notes)?;
    // Published constructors take resolutions that a network does not have, and attend nowhere for them.
    let [_, side, _] = config.data.shape;
    config.network.forget_absent_resolutions(side);
    config.check().map_err(ForeignError::parameter)?;
    Ok(config)
}

/// Reads tensors, which together cannot be larger than the file unless some share their elements.
fn read_all(
    file: &TorchFile,
    tensors: &std::collections::BTreeMap<String, Id>,
    device: &Device,
) -> Result<Tensors, ForeignError> {
    let mut views = Vec::with_capacity(tensors.len());
    let mut bytes = 0u64;
    for (name, id) in tensors {
        let view = file.tensor(*id, name)?;
        bytes = bytes.saturating_add(view.bytes() as u64);
        if bytes > 2 * file.len() {
            let problem = format!(
                "the tensors up to it take {bytes} bytes, the file has {}",
                file.len()
            );
            let name = name.clone();
            return Err(TorchError::Tensor { name, problem }.into());
        }
        views.push((name, view));
    }
    let mut read = Tensors::new();
    for (name, view) in views {
        read.insert(name.clone(), view.read(name, device)?);
    }
    Ok(read)
}

/// The configuration that was named beside weights.
fn given_config(path: &Path, options: &LoadOptions) -> Result<CheckpointConfig, CheckpointError> {
    let Some(file) = &options.config else {
        return Err(CheckpointError::foreign(path)(ForeignError::NoConfig));
    };
    let mut config = read_config(file)?;
    config.weights_sha256.clear();
    config.weights_crc32.clear();
    if let Some(d) = options.d {
        config.d = d;
    }
    Ok(config)
}

/// A checkpoint of this program says everything itself.
fn refuse_options(
    path: &Path,
    config: &CheckpointConfig,
    options: &LoadOptions,
) -> Result<(), CheckpointError> {
    let refuse = |name: &str, value: String, accepted: String| {
        Err(CheckpointError::foreign(path)(ForeignError::Setting {
            name: name.into(),
            value,
            accepted,
        }))
    };
    if let Some(d) = options.d
        && d != config.d
    {
        let accepted = format!("left out: the checkpoint records D = {}", config.d);
        return refuse("--d", d.to_string(), accepted);
    }
    match &options.config {
        Some(file) => refuse(
            "--config",
            file.display().to_string(),
            "left out: the checkpoint has its own".into(),
        ),
        None => Ok(()),
    }
}
