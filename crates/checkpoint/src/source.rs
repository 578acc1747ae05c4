//! Files and folders that hold a network, and what kind each is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_kernel::Dimension;
use pfgmpp_pickle::Id;
use pfgmpp_store::Window;

use crate::checkpoint::{Folder, read_described};
use crate::fit::{self, Shapes};
use crate::foreign::{self, Contents, Diffusers, ForeignError, Module, Renaming};
use crate::parts::{read_weights, weights_shapes};
use crate::torch::{TorchError, TorchFile};
use crate::used::{NETWORK, may_be_left};
use crate::{Checkpoint, CheckpointConfig, CheckpointError, Tensors, read_tensors};
use crate::{sniff, tensors};

/// What a reader is told beside the file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The dimension D that the network was trained at, where the file does not record it.
    pub d: Option<Dimension>,
    /// A `config.json` that describes the network, for files that hold weights only; it needs no checksum.
    pub config: Option<PathBuf>,
    /// Where in the file the weights stand, such as `state.ema`, for files that hold several: the names of the
    /// dictionaries around them, and the beginning of their own names.
    pub key: Option<String>,
    /// Bits that [`Model::load_with`](crate::Model::load_with) rounds each weight to, from 2 to 16, the same spacing for all of one tensor.
    pub weight_bits: Option<u32>,
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
            match Folder::find(path) {
                Ok(_) => return Ok(Self::Checkpoint(own)),
                Err(CheckpointError::Missing { .. }) => {}
                Err(e) => return Err(e),
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
                remedy: None,
                message: sniff::sniff(&file).unwrap_or_else(|| {
                    let extension = path.extension().unwrap_or_default();
                    let written = ["yaml", "yml"].iter().any(|yaml| extension == *yaml);
                    match written {
                        true => "a configuration or sweep, not a checkpoint: name the folder of the run that was made of it",
                        false => "not a checkpoint: a pickle, a file of torch.save or a safetensors file is needed",
                    }
                    .into()
                }),
                path: own,
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
                let checkpoint = Checkpoint::load_noting(path, device, &mut notes)?;
                refuse_options(path, &checkpoint.config, options)?;
                checkpoint
            }
            Self::Torch(path) => read_torch(path, options, device, &mut notes)?,
            Self::Safetensors(path) => read_safetensors(path, options, device)?,
            Self::Diffusers(path) => read_diffusers(path, options, device, &mut notes)?,
        };
        if !matches!(self, Self::Checkpoint(_)) {
            check_values(&checkpoint.weights, self.path())?;
        }
        Ok(Loaded { checkpoint, notes })
    }

    /// The file or folder that was named.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Checkpoint(path)
            | Self::Diffusers(path)
            | Self::Torch(path)
            | Self::Safetensors(path) => path,
        }
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
                let found = foreign::find(&file, None, &mut Vec::new());
                let read = found.and_then(|contents| read_all(&file, &contents.tensors()?, device));
                read.map_err(CheckpointError::foreign(path))
            }
            Self::Diffusers(path) => match Diffusers::find(path)?.and_then(|found| found.weights) {
                Some(weights) => read_weights(&weights, device),
                None => Err(CheckpointError::Missing { path: path.clone() }),
            },
        }
    }
}

pub(crate) fn open_torch(path: &Path) -> Result<TorchFile, CheckpointError> {
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
    let given = options.config.as_ref().map(|_| given_config(path, options));
    let given = given.transpose()?;
    let outline = read_outline(&file, options, given, notes);
    let (file, config, tensors) = outline.map_err(CheckpointError::foreign(path))?;
    let Some(config) = config else {
        return Err(CheckpointError::foreign(path)(ForeignError::NoConfig));
    };
    let shapes = shapes_of(&file, &tensors).map_err(CheckpointError::foreign(path))?;
    fit::check(&config, shapes, path)?;
    let weights = read_all(&file, &tensors, device).map_err(CheckpointError::foreign(path))?;
    named_and_cut(config, weights, path)
}

fn read_safetensors(
    path: &Path,
    options: &LoadOptions,
    device: &Device,
) -> Result<Checkpoint, CheckpointError> {
    let config = given_config(path, options)?;
    if options.key.is_none() {
        fit::check(&config, renamed(tensors::shapes(path)?), path)?;
    }
    let weights = read_tensors(path, device)?.0;
    let weights = match &options.key {
        Some(key) => foreign::select(weights, key).map_err(CheckpointError::foreign(path))?,
        None => weights,
    };
    named_and_cut(config, weights, path)
}

/// A checkpoint of weights under their names here, without estimates of variances.
fn named_and_cut(
    config: CheckpointConfig,
    weights: Tensors,
    path: &Path,
) -> Result<Checkpoint, CheckpointError> {
    let weights = foreign::named_as_here(weights);
    let weights = foreign::without_variances(&config, weights);
    let weights = weights.map_err(|source| CheckpointError::Weights {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(Checkpoint { config, weights })
}

pub(crate) fn renamed(shapes: Shapes) -> Shapes {
    let renaming = Renaming::of(shapes.keys().map(String::as_str));
    let named = shapes.into_iter();
    named
        .map(|(name, shape)| (renaming.name(&name), shape))
        .collect()
}

fn shapes_of(file: &TorchFile, tensors: &BTreeMap<String, Id>) -> Result<Shapes, ForeignError> {
    let shape = |(name, id): (&String, &Id)| Ok((name.clone(), file.tensor(*id, name)?.shape));
    let shapes: Result<Shapes, TorchError> = tensors.iter().map(shape).collect();
    Ok(renamed(shapes?))
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
    let files = found.weights.as_ref().ok_or_else(missing)?;
    let shapes = weights_shapes(files)?;
    let last = shapes.get("model.conv_out.weight");
    let channels = last.and_then(|shape| shape.first().copied());
    found.check_out_channels(channels).map_err(foreign)?;
    fit::check(&config, shapes, files.path())?;
    named_and_cut(config, read_weights(files, device)?, files.path())
}

/// Refuses weights that are not numbers with a fraction, and ones that are not finite: nothing but such comes of them.
fn check_values(weights: &Tensors, path: &Path) -> Result<(), CheckpointError> {
    let mut names: Vec<&String> = weights.keys().filter(|name| !may_be_left(name)).collect();
    names.sort();
    for name in names {
        let bad = |problem: String| CheckpointError::Values {
            path: path.to_path_buf(),
            name: name.strip_prefix(NETWORK).unwrap_or(name).to_owned(),
            problem,
        };
        let tensor = &weights[name];
        if !tensor.dtype().is_float() {
            return Err(bad(format!(
                "holds whole numbers ({:?}), weights have fractions",
                tensor.dtype()
            )));
        }
        let values = tensor
            .flatten_all()
            .and_then(|t| t.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>());
        let values = values.map_err(|source| CheckpointError::Weights {
            path: path.to_path_buf(),
            source,
        })?;
        let infinite = values.iter().filter(|value| !value.is_finite()).count();
        if infinite > 0 {
            return Err(bad(format!(
                "holds {infinite} of {} values that are not finite numbers: training had diverged, or the file is damaged",
                values.len()
            )));
        }
    }
    Ok(())
}

/// The weights in a file of PyTorch, none of them read yet, and what their network is if the file is a module and no
/// other description is given.
type TorchOutline = (TorchFile, Option<CheckpointConfig>, BTreeMap<String, Id>);

fn read_outline(
    file: &Window,
    options: &LoadOptions,
    given: Option<CheckpointConfig>,
    notes: &mut Vec<String>,
) -> Result<TorchOutline, ForeignError> {
    if let Some(what) = sniff::sniff(file) {
        return Err(TorchError::Damaged(what).into());
    }
    let file = TorchFile::read(file)?;
    let contents = foreign::find(&file, options.key.as_deref(), notes)?;
    let config = match (&contents, given) {
        (_, Some(given)) => Some(given),
        (Contents::Module(module), None) => Some(describe(module, options, notes)?),
        (Contents::Tensors(_), None) => None,
    };
    let tensors = contents.tensors()?;
    Ok((file, config, tensors))
}

/// The weights in a file of PyTorch, and what their network is.
#[cfg(test)]
pub(crate) fn read_file(
    file: &Window,
    options: &LoadOptions,
    device: &Device,
    notes: &mut Vec<String>,
) -> Result<(Option<CheckpointConfig>, Tensors), ForeignError> {
    let (file, config, tensors) = read_outline(file, options, None, notes)?;
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
    tensors: &BTreeMap<String, Id>,
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
    let mut config = read_described(file)?;
    config.weights_sha256.clear();
    config.weights_crc32.clear();
    refuse_other_d(path, &config, options, &file.display().to_string())?;
    Ok(config)
}

/// A checkpoint of this program says everything itself.
fn refuse_options(
    path: &Path,
    config: &CheckpointConfig,
    options: &LoadOptions,
) -> Result<(), CheckpointError> {
    let refuse = |name: &'static str, value: String, because: String| {
        Err(CheckpointError::foreign(path)(ForeignError::Told {
            name,
            value,
            because,
        }))
    };
    refuse_other_d(path, config, options, "the checkpoint")?;
    if let Some(key) = &options.key {
        let because = "there is one network only".into();
        return refuse("key", key.clone(), because);
    }
    match &options.config {
        Some(file) => refuse(
            "config",
            file.display().to_string(),
            "the checkpoint has its own".into(),
        ),
        None => Ok(()),
    }
}

/// Refuses another D than that which the description of the network, `told_by`, records.
fn refuse_other_d(
    path: &Path,
    config: &CheckpointConfig,
    options: &LoadOptions,
    told_by: &str,
) -> Result<(), CheckpointError> {
    match options.d {
        Some(d) if d != config.d => Err(CheckpointError::foreign(path)(ForeignError::Told {
            name: "d",
            value: d.to_string(),
            because: format!("{told_by} records D = {}", config.d),
        })),
        _ => Ok(()),
    }
}
