//! A residual network of linear layers, for data of few dimensions.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_kernel::ConditionSpec;
use serde::{Deserialize, Serialize};

use crate::config_error::{ConfigError, require, require_fraction};
use crate::layers::{Linear, Mapping, MappingSpec, NoiseEmbedding, Scheme};
use crate::memory::Trace;
use crate::network::{Context, Network, Signature};
use crate::ops;
use crate::tape::recorded;

/// Both branches of a sum have like variance, which this factor restores.
const SKIP_SCALE: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Initial weights of the network.
const SCHEME: Scheme = Scheme::Song;

/// Hyperparameters of [`Mlp`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Values of every hidden layer and of the noise embedding; an even number of at least 4.
    pub hidden_dim: usize,
    /// Residual blocks of two linear layers each.
    pub num_layers: usize,
    /// How the network sees the noise level.
    pub embedding_type: NoiseEmbedding,
    /// Probability with which a sample's label reads as zeros in training; 0 where it is left out.
    #[serde(default)]
    pub label_dropout: f64,
}

impl MlpConfig {
    /// Checks that a network of this configuration exists for the given sizes.
    ///
    /// # Errors
    ///
    /// The first value found outside its range.
    pub fn check(&self, signature: &Signature) -> std::result::Result<(), ConfigError> {
        signature.check()?;
        let even = |dim: usize| (4..=8192).contains(&dim) && dim.is_multiple_of(2);
        require(
            "hidden_dim",
            self.hidden_dim,
            "an even number from 4 to 8192",
            even,
        )?;
        require("num_layers", self.num_layers, "from 1 to 64", |layers| {
            (1..=64).contains(&layers)
        })?;
        require_fraction("label_dropout", self.label_dropout)
    }
}

/// A network without convolutions: every value of an image may depend on every other in any way.
///
/// ```text
/// h = first(x)
/// h = (h + linear1(silu(linear0(silu(h)) + affine(e)))) / sqrt(2)        num_layers times
/// out = last(silu(h))
/// ```
///
/// `e` is the embedding of noise level, labels and augmentation, as in [`SongUNet`](crate::SongUNet).
pub struct Mlp {
    signature: Signature,
    mapping: Mapping,
    first: Linear,
    layers: Vec<Residual>,
    last: Linear,
}

impl Mlp {
    /// Builds the network from parameters named relative to `vb`.
    ///
    /// # Errors
    ///
    /// A configuration that [`MlpConfig::check`] refuses, and parameters that are missing or of another shape.
    pub fn new(config: &MlpConfig, signature: Signature, vb: &VarBuilder) -> Result<Self> {
        config.check(&signature).map_err(candle_core::Error::wrap)?;
        let (hidden, pixels) = (
            config.hidden_dim,
            signature.resolution.iter().product::<usize>(),
        );
        let spec = MappingSpec {
            noise: config.embedding_type,
            noise_channels: hidden,
            embedding: hidden,
            label_dropout: config.label_dropout,
        };
        let (n_in, n_out) = (
            signature.in_channels * pixels,
            signature.out_channels * pixels,
        );
        let (first, last) = (SCHEME.layer(n_in, hidden, 1), SCHEME.last(hidden, n_out, 1));
        Ok(Self {
            signature,
            mapping: Mapping::new(spec, &signature, vb)?,
            first: Linear::new(n_in, hidden, first, &vb.pp("first"))?,
            layers: (0..config.num_layers)
                .map(|i| Residual::new(hidden, &vb.pp(format!("layer{i}"))))
                .collect::<Result<_>>()?,
            last: Linear::new(hidden, n_out, last, &vb.pp("last"))?,
        })
    }
}

impl Mlp {
    /// Counts what [`Network::forward`] gives of one sample.
    pub(crate) fn trace(&self, trace: &mut Trace) {
        let hidden = self.last.n_in();
        // Frequencies, sines beside cosines, two maps and two activations; the embedding stays.
        trace.scope(hidden, |trace| (0..6).for_each(|_| trace.output(hidden)));
        trace.output(hidden);
        for _ in &self.layers {
            trace.scope(hidden, |trace| Residual::trace(trace, hidden));
            trace.free(hidden);
        }
        // The gradient of a block's result, and of what came before it.
        trace.wait(2 * hidden);
        trace.output(hidden);
        let pixels: usize = self.signature.resolution.iter().product();
        trace.output(self.signature.out_channels * pixels);
        trace.outcome(self.signature.out_channels * pixels);
    }
}

impl Network for Mlp {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::classes(self.signature.label_dim)
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        self.signature.check_input(x, c_noise)?;
        let flat = x.flatten_from(1)?;
        let out = recorded(|| {
            let e = self.mapping.forward(c_noise, context)?;
            let mut h = self.first.forward(&flat)?;
            for layer in &self.layers {
                h = layer.forward(&h, &e)?;
            }
            self.last.forward(&ops::silu(&h)?)
        })?;
        let [height, width] = self.signature.resolution;
        out.reshape((x.dim(0)?, self.signature.out_channels, height, width))
    }
}

/// Two linear layers beside an identity.
struct Residual {
    linear0: Linear,
    affine: Linear,
    linear1: Linear,
}

impl Residual {
    fn new(hidden: usize, vb: &VarBuilder) -> Result<Self> {
        let n = hidden;
        let (init, last) = (SCHEME.layer(n, n, 1), SCHEME.last(n, n, 1));
        Ok(Self {
            linear0: Linear::new(n, n, init, &vb.pp("linear0"))?,
            affine: Linear::without_bias(n, n, init.weight, &vb.pp("affine"))?,
            linear1: Linear::new(n, n, last, &vb.pp("linear1"))?,
        })
    }

    /// Counts what [`Self::forward`] gives.
    fn trace(trace: &mut Trace, hidden: usize) {
        // A result beside what it is computed from and nobody else needs, three times: both maps of an
        // activation, and a sum with the embedding's part.
        for _ in 0..3 {
            trace.output(hidden);
            trace.output(hidden);
            trace.free(hidden);
        }
        trace.output(hidden);
    }

    /// `h [B, hidden]` under the embedding `e [B, hidden]`.
    fn forward(&self, h: &Tensor, e: &Tensor) -> Result<Tensor> {
        let inner = self.linear0.forward(&ops::silu(h)?)?;
        let inner = ops::add_scaled(&inner, &self.affine.forward(e)?, 1.0)?;
        let inner = self.linear1.forward(&ops::silu(&inner)?)?;
        ops::add_scaled(h, &inner, SKIP_SCALE)
    }
}
