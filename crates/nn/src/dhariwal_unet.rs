//! The U-Net of Dhariwal and Nichol: ADM.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use pfgmpp_kernel::ConditionSpec;

use crate::layers::{
    Conv2d, Frequencies, GroupNorm, Labels, Linear, Scheme, Style, beside, check_context,
};
use crate::memory::Trace;
use crate::network::{Context, Network, Signature};
use crate::ops::{self, Activation, Filter};
use crate::tape::recorded;
use crate::unet::{Blueprint, DecoderLevel, EncoderLevel, UNetConfig};

/// Offset of the variances.
const EPS: f64 = 1e-5;

/// Channels of one head of attention.
const HEAD_CHANNELS: usize = 64;

/// ADM: blocks whose second normalisation is scaled and shifted by the embedding, attention with heads of 64
/// channels.
///
/// Parameter names and shapes are those of the published networks.
///
/// Source: Dhariwal and Nichol 2021 (arXiv:2105.05233), as configured by Karras et al. 2022
/// (arXiv:2206.00364), table 1.
pub struct DhariwalUNet {
    signature: Signature,
    mapping: AdmMapping,
    first: Conv2d,
    encoder: Vec<EncoderLevel>,
    decoder: Vec<DecoderLevel>,
    norm: GroupNorm,
    last: Conv2d,
}

impl DhariwalUNet {
    /// Builds the network from parameters named relative to `vb`.
    ///
    /// # Errors
    ///
    /// A configuration that [`UNetConfig::check`] refuses, and parameters that are missing or of another shape.
    pub fn new(config: &UNetConfig, signature: Signature, vb: &VarBuilder) -> Result<Self> {
        config.check(&signature).map_err(candle_core::Error::wrap)?;
        let blueprint = Blueprint {
            config,
            side: signature.side().map_err(candle_core::Error::wrap)?,
            style: style(config),
            // None below 64 channels, as in the published networks.
            heads: |channels| channels / HEAD_CHANNELS,
            attend_everywhere: true,
        };
        let (c_in, c) = (
            signature.in_channels,
            config.model_channels * config.channel_mult[0],
        );
        let enc = vb.pp("enc");
        let (encoder, skips) = blueprint.encoder(c, &enc)?;
        let name = &encoder[0].name;
        let first = Scheme::Adm.layer(c_in, c, 3);
        let last = Scheme::Adm.last(c, signature.out_channels, 3);
        Ok(Self {
            signature,
            mapping: AdmMapping::new(config, &signature, vb)?,
            first: Conv2d::new(c_in, c, 3, first, &enc.pp(format!("{name}_conv")))?,
            encoder,
            decoder: blueprint.decoder(skips, &vb.pp("dec"))?,
            norm: GroupNorm::new(c, EPS, &vb.pp("out_norm"))?,
            last: Conv2d::new(c, signature.out_channels, 3, last, &vb.pp("out_conv"))?,
        })
    }

    /// Sizes of what the network takes and gives.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Counts what [`Network::forward`] gives of one sample; the embedding's few values are left out.
    pub(crate) fn trace(&self, trace: &mut Trace) {
        let mut pixels = self.signature.resolution.iter().product();
        trace.output(self.signature.in_channels * pixels);
        self.first.trace(trace, pixels);
        let mut skips = vec![self.first.c_out() * pixels];
        for level in &self.encoder {
            if let Some(down) = &level.down {
                pixels = down.trace(trace, pixels);
                skips.push(down.c_out() * pixels);
            }
            level.trace(trace, pixels, &mut skips);
        }
        trace.wait(skips.iter().sum());
        let mut values = 0;
        for level in &self.decoder {
            pixels = level.trace(trace, (pixels, values), &mut skips);
            values = level.c_out * pixels;
        }
        trace.output(self.norm.channels() * pixels);
        self.last.trace(trace, pixels);
        trace.outcome(self.signature.out_channels * pixels);
    }

    /// The network on channels-last images.
    fn evaluate(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let (e, mode) = (self.mapping.forward(c_noise, context)?, context.mode);
        let mut x = self.first.forward(x)?;
        let mut skips = vec![x.clone()];
        for level in &self.encoder {
            if let Some(down) = &level.down {
                x = down.forward(&x, &e, mode)?;
                skips.push(x.clone());
            }
            x = level.forward(x, &e, mode, &mut skips)?;
        }
        for level in &self.decoder {
            x = level.forward(x, &e, mode, &mut skips)?;
        }
        self.last.forward(&self.norm.forward(&x, Activation::Silu)?)
    }
}

impl Network for DhariwalUNet {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::classes(self.signature.label_dim)
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        self.signature.check_input(x, c_noise)?;
        let x = ops::to_channels_last(x)?;
        ops::to_channels_first(&recorded(|| self.evaluate(&x, c_noise, context))?)
    }
}

fn style(config: &UNetConfig) -> Style {
    Style {
        embedding: config.embedding(),
        eps: EPS,
        skip_scale: 1.0,
        adaptive_scale: true,
        resample_proj: false,
        filter: Filter::Box,
        dropout: config.dropout,
        scheme: Scheme::Adm,
    }
}

/// The embedding of noise level, augmentation and labels.
///
/// ```text
/// e = map_layer1(silu(map_layer0([cos, sin](c_noise) + map_augment(augment))))
/// out = silu(e + map_label(labels))
/// ```
struct AdmMapping {
    frequencies: Frequencies,
    augment: Option<Linear>,
    layer0: Linear,
    layer1: Linear,
    labels: Labels,
    label: Option<Linear>,
}

impl AdmMapping {
    fn new(config: &UNetConfig, signature: &Signature, vb: &VarBuilder) -> Result<Self> {
        let (c, wide) = (config.model_channels, config.embedding());
        let Signature {
            label_dim,
            augment_dim,
            ..
        } = *signature;
        let map = |n_in: usize, name: &str| {
            Linear::new(n_in, wide, Scheme::Adm.layer(n_in, wide, 1), &vb.pp(name))
        };
        let augment =
            || Linear::without_bias(augment_dim, c, Init::Const(0.0), &vb.pp("map_augment"));
        // He's normal law times sqrt(label_dim): a label moves the embedding by standard normals.
        let normal = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let label = || Linear::without_bias(label_dim, wide, normal, &vb.pp("map_label"));
        Ok(Self {
            frequencies: Frequencies::positional(c, 0, vb.dtype(), vb.device())?,
            augment: (augment_dim > 0).then(augment).transpose()?,
            layer0: map(c, "map_layer0")?,
            layer1: map(wide, "map_layer1")?,
            labels: Labels {
                label_dim,
                dropout: config.label_dropout,
            },
            label: (label_dim > 0).then(label).transpose()?,
        })
    }

    fn forward(&self, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let augment_dim = self.augment.as_ref().map_or(0, Linear::n_in);
        check_context(context, self.labels.label_dim, augment_dim)?;
        let (cos, sin) = self.frequencies.cos_sin(c_noise)?;
        let mut e = beside(&cos, &sin)?;
        if let (Some(map), Some(augment)) = (&self.augment, context.augment) {
            e = ops::add_scaled(&e, &map.forward(augment)?, 1.0)?;
        }
        let e = ops::silu(&self.layer0.forward(&e)?)?;
        let mut e = self.layer1.forward(&e)?;
        if let Some(map) = &self.label {
            let labels = self.labels.of(context, &e)?;
            e = ops::add_scaled(&e, &map.forward(&labels)?, 1.0)?;
        }
        ops::silu(&e)
    }
}
