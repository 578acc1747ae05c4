//! The `config.json` of a `UNet2DModel` of diffusers.

use pfgmpp_nn::{DownBlockType, NetworkConfig, UNet2DConfig, UpBlockType};
use serde_json::{Map, Value, json};

use super::ForeignError;
use super::options::Options;

/// Largest side of an image, and number of its channels.
const MAX_SIDE: usize = 4096;
/// Largest number of classes.
const MAX_CLASSES: usize = 1 << 16;

/// A network as its `config.json` describes it.
pub(super) struct UNet {
    pub(super) network: NetworkConfig,
    /// Channels, height and width of an image.
    pub(super) shape: [usize; 3],
    /// Channels that the last convolution gives: those of an image, or twice as many.
    pub(super) out_channels: usize,
    /// Number of classes, 0 for none.
    pub(super) label_dim: usize,
}

/// Reads a configuration; defaults are those of diffusers.
pub(super) fn read(config: &Map<String, Value>) -> Result<UNet, ForeignError> {
    let mut options = Options::new(config, "config.json");
    let network = UNet2DConfig {
        block_out_channels: options.take("block_out_channels", vec![224, 448, 672, 896])?,
        layers_per_block: options.take("layers_per_block", 2)?,
        down_block_types: down_blocks(options.need("down_block_types")?)?,
        up_block_types: up_blocks(options.need("up_block_types")?)?,
        attention_head_dim: options.take("attention_head_dim", Some(8))?,
        add_attention: options.take("add_attention", true)?,
        norm_num_groups: options.take("norm_num_groups", 32)?,
        norm_eps: options.take("norm_eps", 1e-5)?,
        freq_shift: options.take("freq_shift", 0)?,
        flip_sin_to_cos: options.take("flip_sin_to_cos", true)?,
        downsample_padding: options.take("downsample_padding", 1)?,
        dropout: options.take("dropout", 0.0)?,
        label_dropout: 0.0,
    };
    let channels = options.size("in_channels", 3, 1..=MAX_SIDE)?;
    let out: usize = options.take("out_channels", 3)?;
    // Twice as many: the second half estimates variances.
    if out != channels && Some(out) != channels.checked_mul(2) {
        let what = format!("a network from {channels} to {out} channels");
        return Err(ForeignError::Unsupported(what));
    }
    // One side, or height and width.
    let [height, width] = if options.is_list("sample_size") {
        options.need("sample_size")?
    } else {
        let side = options.need("sample_size")?;
        [side, side]
    };
    for size in [height, width] {
        options.within("sample_size", size, &(1..=MAX_SIDE))?;
    }
    let label_dim = options.size("num_class_embeds", 0, 0..=MAX_CLASSES)?;
    refuse_others(options)?;
    Ok(UNet {
        network: NetworkConfig::UNet2D(network),
        shape: [channels, height, width],
        out_channels: out,
        label_dim,
    })
}

fn down_blocks(names: Vec<String>) -> Result<Vec<DownBlockType>, ForeignError> {
    let kind = |name: String| match name.as_str() {
        "DownBlock2D" => Ok(DownBlockType::DownBlock2D),
        "AttnDownBlock2D" => Ok(DownBlockType::AttnDownBlock2D),
        _ => Err(unknown_block(&name)),
    };
    names.into_iter().map(kind).collect()
}

fn up_blocks(names: Vec<String>) -> Result<Vec<UpBlockType>, ForeignError> {
    let kind = |name: String| match name.as_str() {
        "UpBlock2D" => Ok(UpBlockType::UpBlock2D),
        "AttnUpBlock2D" => Ok(UpBlockType::AttnUpBlock2D),
        _ => Err(unknown_block(&name)),
    };
    names.into_iter().map(kind).collect()
}

fn unknown_block(name: &str) -> ForeignError {
    ForeignError::Unsupported(format!("a UNet2DModel with {name:.60}"))
}

/// Refuses what the network here does not do.
fn refuse_others(mut options: Options) -> Result<(), ForeignError> {
    for (name, known) in [
        ("act_fn", vec![json!("silu"), json!("swish")]),
        ("attn_norm_num_groups", vec![Value::Null]),
        ("class_embed_type", vec![Value::Null]),
        ("downsample_type", vec![json!("conv")]),
        ("mid_block_scale_factor", vec![json!(1), json!(1.0)]),
        ("mid_block_type", vec![json!("UNetMidBlock2D")]),
        ("resnet_time_scale_shift", vec![json!("default")]),
        ("time_embedding_type", vec![json!("positional")]),
        ("upsample_type", vec![json!("conv")]),
    ] {
        options.expect(name, &known)?;
    }
    options.ignore(&["num_train_timesteps"]);
    options.finish()
}
