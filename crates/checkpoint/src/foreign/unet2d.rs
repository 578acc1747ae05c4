//! The `config.json` of a `UNet2DModel` of diffusers.

use pfgmpp_nn::{
    ClassEmbedType, DownBlockType, NetworkConfig, ResampleType, TimeEmbeddingType, TimeScaleShift,
    UNet2DConfig, UpBlockType,
};
use serde_json::{Map, Value, json};

use super::ForeignError;
use super::options::Options;

/// Largest side of an image, and number of its channels.
const MAX_SIDE: usize = 4096;
/// Largest number of classes.
const MAX_CLASSES: usize = 1 << 16;
/// What diffusers' averages over training write beside the network's own options.
const OF_AVERAGES: [&str; 7] = [
    "decay",
    "min_decay",
    "optimization_step",
    "update_after_step",
    "use_ema_warmup",
    "inv_gamma",
    "power",
];

/// A network as its `config.json` describes it.
pub(super) struct UNet {
    pub(super) network: NetworkConfig,
    /// Channels, height and width of an image.
    pub(super) shape: [usize; 3],
    /// Channels that the last convolution gives: those of an image, or twice as many.
    pub(super) out_channels: usize,
    /// Number of classes, 0 for none.
    pub(super) label_dim: usize,
    /// Whether the noise level has a Fourier embedding.
    pub(super) fourier: bool,
}

/// Reads a configuration; defaults are those of diffusers.
pub(super) fn read(config: &Map<String, Value>) -> Result<UNet, ForeignError> {
    let mut options = Options::new(config, "config.json");
    let options = &mut options;
    let channels = options.size("in_channels", 3, 1..=MAX_SIDE)?;
    let out_channels = options.take("out_channels", 3)?;
    check_channels(channels, out_channels)?;
    let [height, width] = sides(options)?;
    let (label_dim, class_embed_type) = classes(options)?;
    let network = network(options, class_embed_type)?;
    refuse_others(options)?;
    Ok(UNet {
        fourier: network.time_embedding_type == TimeEmbeddingType::Fourier,
        network: NetworkConfig::UNet2D(network),
        shape: [channels, height, width],
        out_channels,
        label_dim,
    })
}

fn network(
    options: &mut Options,
    class_embed_type: Option<ClassEmbedType>,
) -> Result<UNet2DConfig, ForeignError> {
    let down_block_types = named(options, "down_block_types")?;
    let up_block_types = named(options, "up_block_types")?;
    // A list of channels for each level is not what diffusers takes either.
    Ok(UNet2DConfig {
        block_out_channels: options.take("block_out_channels", vec![224, 448, 672, 896])?,
        layers_per_block: options.take("layers_per_block", 2)?,
        down_block_types: blocks::<DownBlockType>(down_block_types)?,
        up_block_types: blocks::<UpBlockType>(up_block_types)?,
        attention_head_dim: options.take("attention_head_dim", Some(8))?,
        add_attention: options.take("add_attention", true)?,
        // Levels with a skip of the image count their groups themselves.
        norm_num_groups: options.take("norm_num_groups", Some(32))?.unwrap_or(32),
        norm_eps: options.take("norm_eps", 1e-5)?,
        freq_shift: options.take("freq_shift", 0)?,
        flip_sin_to_cos: options.take("flip_sin_to_cos", true)?,
        downsample_padding: options.take("downsample_padding", 1)?,
        dropout: options.take("dropout", 0.0)?,
        label_dropout: 0.0,
        resnet_time_scale_shift: options.one_of(
            "resnet_time_scale_shift",
            &[
                ("default", TimeScaleShift::Default),
                ("scale_shift", TimeScaleShift::ScaleShift),
            ],
        )?,
        downsample_type: options.one_of("downsample_type", &RESAMPLE)?,
        upsample_type: options.one_of("upsample_type", &RESAMPLE)?,
        mid_block_scale_factor: options.take("mid_block_scale_factor", 1.0)?,
        attn_norm_num_groups: options.take("attn_norm_num_groups", None)?,
        center_input_sample: options.take("center_input_sample", false)?,
        class_embed_type,
        time_embedding_type: options.one_of(
            "time_embedding_type",
            &[
                ("positional", TimeEmbeddingType::Positional),
                ("fourier", TimeEmbeddingType::Fourier),
            ],
        )?,
    })
}

const RESAMPLE: [(&str, ResampleType); 2] = [
    ("conv", ResampleType::Conv),
    ("resnet", ResampleType::Resnet),
];

/// Twice as many channels as there come in: the second half estimates variances.
fn check_channels(channels: usize, out: usize) -> Result<(), ForeignError> {
    if out == channels || Some(out) == channels.checked_mul(2) {
        return Ok(());
    }
    let what = match channels.checked_sub(out) {
        Some(more) => format!(
            "a network from {channels} to {out} channels, whose other {more} are a condition that the folder does not describe,"
        ),
        None => format!("a network from {channels} to {out} channels"),
    };
    Err(ForeignError::Unsupported(what))
}

/// One side, or height and width.
fn sides(options: &mut Options) -> Result<[usize; 2], ForeignError> {
    let sides: [usize; 2] = if options.is_list("sample_size") {
        options.need("sample_size")?
    } else {
        let side = options.need("sample_size")?;
        [side, side]
    };
    for size in sides {
        options.within("sample_size", size, &(1..=MAX_SIDE))?;
    }
    Ok(sides)
}

/// The number of classes, and how one is embedded.
fn classes(options: &mut Options) -> Result<(usize, Option<ClassEmbedType>), ForeignError> {
    let classes = options.size("num_class_embeds", 0, 0..=MAX_CLASSES)?;
    let kind: Option<String> = options.take("class_embed_type", None)?;
    match (kind.as_deref(), classes) {
        (None, classes) => Ok((classes, None)),
        (Some("timestep"), 0) => Err(ForeignError::Unsupported(
            "class_embed_type \"timestep\" in config.json without num_class_embeds, the number of classes,".into(),
        )),
        (Some("timestep"), classes) => Ok((classes, Some(ClassEmbedType::Timestep))),
        (Some(other), _) => {
            let what = format!("class_embed_type \"{other:.40}\" in config.json");
            Err(ForeignError::Unsupported(what))
        }
    }
}

fn named(options: &mut Options, name: &str) -> Result<Vec<String>, ForeignError> {
    options.need(name)
}

/// Blocks by the names that diffusers gives them, the prefix of an early version left out.
fn blocks<T: serde::de::DeserializeOwned>(names: Vec<String>) -> Result<Vec<T>, ForeignError> {
    let block = |name: String| {
        let known = name.strip_prefix("UNetRes").unwrap_or(&name);
        serde_json::from_value(known.into())
            .map_err(|_| ForeignError::Unsupported(format!("a UNet2DModel with {name:.60}")))
    };
    names.into_iter().map(block).collect()
}

/// Refuses what the network here does not do.
fn refuse_others(options: &mut Options) -> Result<(), ForeignError> {
    for (name, known) in [
        ("act_fn", vec![json!("silu"), json!("swish")]),
        ("mid_block_type", vec![json!("UNetMidBlock2D")]),
        ("time_embedding_dim", vec![Value::Null]),
    ] {
        options.expect(name, &known)?;
    }
    options.ignore(&["num_train_timesteps"]);
    options.ignore(&OF_AVERAGES);
    options.finish()
}
