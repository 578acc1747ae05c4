//! Named parameters of a network and their seeded initialisation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::constants::{is_computed, is_constant};

/// The parameters of one network, ordered by name.
///
/// A clone is another handle to the same parameters.
///
/// Each parameter draws its initial values from a ChaCha8 stream keyed by the seed and its name: they depend
/// on neither the order of construction nor the other parameters.
#[derive(Clone)]
pub struct Parameters {
    seed: u64,
    device: Device,
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    vars: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Tensor>,
}

/// Why tensors could not be loaded into a set of parameters.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    /// A parameter has no tensor.
    #[error("parameter {name} is missing from the given tensors")]
    Missing {
        /// Name of the parameter.
        name: String,
    },
    /// A tensor belongs to no parameter.
    #[error("tensor {name} is no parameter of this network")]
    Unexpected {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor has another shape than its parameter.
    #[error("parameter {name} has shape {want:?}, got {got:?}")]
    Shape {
        /// Name of the parameter.
        name: String,
        /// Shape of the parameter.
        want: Vec<usize>,
        /// Shape of the tensor.
        got: Vec<usize>,
    },
    /// The tensor backend failed.
    #[error(transparent)]
    Backend(#[from] candle_core::Error),
}

impl Parameters {
    /// An empty set; networks built from [`Self::builder`] fill it.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self {
            seed,
            device: device.clone(),
            content: Arc::default(),
        }
    }

    /// A builder of `f32` networks that creates each parameter at its first mention and shares it afterwards.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), DType::F32, self.device.clone())
    }

    /// All parameters in the order of their names.
    pub fn vars(&self) -> Vec<(String, Var)> {
        self.content()
            .vars
            .iter()
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect()
    }

    /// One parameter by its name.
    pub fn get(&self, name: &str) -> Option<Var> {
        self.content().vars.get(name).cloned()
    }

    /// Number of trained scalars; constants beside them ([`is_constant`]) are not counted.
    pub fn count(&self) -> usize {
        let content = self.content();
        let trained = content.vars.iter().filter(|(name, _)| !is_constant(name));
        trained.map(|(_, var)| var.elem_count()).sum()
    }

    /// The state dictionary: current values of all parameters, and the constants that published ones hold
    /// beside them.
    ///
    /// The tensors share their storage with the parameters: copy them to keep them through a training step.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let content = self.content();
        let vars = content
            .vars
            .iter()
            .map(|(name, var)| (name.clone(), var.as_detached_tensor()));
        let buffers = content
            .buffers
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.clone()));
        vars.chain(buffers).collect()
    }

    /// Sets every parameter to the tensor of its name.
    ///
    /// Constants (`resample_filter`) may be there or not; the network checked their values when it was built.
    ///
    /// # Errors
    ///
    /// A missing or unexpected tensor, or one of another shape; nothing is set then.
    pub fn load(
        &self,
        tensors: &HashMap<String, Tensor>,
    ) -> std::result::Result<(), ParametersError> {
        let content = self.content();
        if let Some(name) = tensors
            .keys()
            .find(|name| !is_computed(name) && !content.vars.contains_key(*name))
        {
            return Err(ParametersError::Unexpected { name: name.clone() });
        }
        let mut pairs = Vec::with_capacity(content.vars.len());
        for (name, var) in &content.vars {
            let tensor = tensors
                .get(name)
                .ok_or_else(|| ParametersError::Missing { name: name.clone() })?;
            if tensor.shape() != var.shape() {
                let (want, got) = (var.dims().to_vec(), tensor.dims().to_vec());
                return Err(ParametersError::Shape {
                    name: name.clone(),
                    want,
                    got,
                });
            }
            pairs.push((var, tensor.to_device(&self.device)?.to_dtype(DType::F32)?));
        }
        for (var, tensor) in pairs {
            var.set(&tensor)?;
        }
        Ok(())
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing that holds the lock leaves the maps half changed.
        self.content
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn initial(&self, shape: &Shape, name: &str, init: Init) -> Result<Tensor> {
        match init {
            Init::Const(value) => Tensor::full(value as f32, shape.clone(), &self.device),
            Init::Uniform { lo, up } => {
                let mut rng = stream(self.seed, name);
                let values: Vec<f32> = (0..shape.elem_count())
                    .map(|_| (lo + (up - lo) * unit(&mut rng)) as f32)
                    .collect();
                Tensor::from_vec(values, shape.clone(), &self.device)
            }
            Init::Randn { mean, stdev } => {
                let mut rng = stream(self.seed, name);
                let values: Vec<f32> = (0..shape.elem_count())
                    .map(|_| (mean + stdev * normal(&mut rng)) as f32)
                    .collect();
                Tensor::from_vec(values, shape.clone(), &self.device)
            }
            // Those of candle-nn's own layers.
            Init::Kaiming {
                dist,
                fan,
                non_linearity,
            } => {
                let fan = fan.for_shape(shape).max(1);
                let stdev = non_linearity.gain() / (fan as f64).sqrt();
                let bound = 3f64.sqrt() * stdev;
                let init = match dist {
                    NormalOrUniform::Normal => Init::Randn { mean: 0.0, stdev },
                    NormalOrUniform::Uniform => Init::Uniform {
                        lo: -bound,
                        up: bound,
                    },
                };
                self.initial(shape, name, init)
            }
        }
    }
}

impl SimpleBackend for Parameters {
    fn get(&self, shape: Shape, name: &str, init: Init, _: DType, _: &Device) -> Result<Tensor> {
        let mut content = self.content();
        let known = content
            .vars
            .get(name)
            .map(|var| var.as_tensor())
            .or(content.buffers.get(name));
        if let Some(tensor) = known {
            if tensor.shape() != &shape {
                bail!(
                    "parameter {name} has shape {:?}, asked for as {shape:?}",
                    tensor.shape()
                );
            }
            return Ok(tensor.clone());
        }
        if is_computed(name) {
            let tensor = resample_filter(&shape, &self.device)?;
            content.buffers.insert(name.to_owned(), tensor.clone());
            return Ok(tensor);
        }
        let tensor = self.initial(&shape, name, init)?;
        let var = Var::from_tensor(&tensor)?;
        let tensor = var.as_tensor().clone();
        content.vars.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.get(name) {
            Some(var) => Ok(var.into_inner()),
            None => bail!("parameter {name} does not exist yet, and its shape is not known"),
        }
    }

    /// Always true: a name that does not exist yet is created.
    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// A generator of its own for everything that has a name.
pub(crate) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name));
    rng
}

/// Uniform in [0, 1) with 53 bits.
fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal by the method of Box and Muller, the cosine only: weights are drawn once.
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}

/// The 64-bit FNV-1a hash: the same on every platform and in every version, unlike the standard library's.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The binomial filter that fills `shape` `[1, 1, k, k]`: what published state dictionaries carry as
/// `resample_filter`.
fn resample_filter(shape: &Shape, device: &Device) -> Result<Tensor> {
    let (_, _, side, _) = shape.dims4()?;
    let row = (1..side).fold(vec![1.0], |row: Vec<f64>, _| {
        let sums = row.windows(2).map(|pair| pair[0] + pair[1]);
        [1.0].into_iter().chain(sums).chain([1.0]).collect()
    });
    let total = row.iter().sum::<f64>().powi(2);
    let values: Vec<f32> = (0..shape.elem_count())
        .map(|i| (row[i / side % side] * row[i % side] / total) as f32)
        .collect();
    Tensor::from_vec(values, shape.clone(), device)
}
