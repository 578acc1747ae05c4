//! Which of our networks a module is.

use pfgmpp_nn::{
    DecoderType, EncoderType, NetworkConfig, NoiseEmbedding, ResampleFilter, SongUNetConfig,
    UNetConfig,
};

use super::settings::Settings;
use super::{ForeignError, Module};

/// The network of `module`, by its class and the arguments that it was made with.
///
/// Defaults are those of the published constructors: arguments that were left to them are not in the file.
pub(super) fn network(module: &Module, settings: &Settings) -> Result<NetworkConfig, ForeignError> {
    let config = match module.class() {
        "SongUNet" => song_unet(settings),
        "DhariwalUNet" => Ok(NetworkConfig::Adm(UNetConfig {
            model_channels: settings.size("model_channels", Some(192))?,
            channel_mult: settings.sizes("channel_mult", &[1, 2, 3, 4])?,
            num_blocks: settings.size("num_blocks", Some(3))?,
            attn_resolutions: settings.sizes("attn_resolutions", &[32, 16, 8])?,
            ..common(settings)?
        })),
        class => Err(ForeignError::Unsupported(format!("network {class:.60}"))),
    }?;
    settings.refuse_others(&OF_NETWORKS, None)?;
    Ok(config)
}

/// Arguments of the networks' constructors that are read, and those that only training takes or that the shapes of
/// the weights tell.
const OF_NETWORKS: [&str; 19] = [
    "img_resolution",
    "in_channels",
    "out_channels",
    "label_dim",
    "augment_dim",
    "model_channels",
    "channel_mult",
    "channel_mult_emb",
    "num_blocks",
    "attn_resolutions",
    "dropout",
    "label_dropout",
    "embedding_type",
    "channel_mult_noise",
    "encoder_type",
    "decoder_type",
    "resample_filter",
    "use_fp16",
    "class_name",
];

/// DDPM++ and NCSN++ are one constructor (Karras et al. 2022, appendix F).
fn song_unet(settings: &Settings) -> Result<NetworkConfig, ForeignError> {
    let sizes = UNetConfig {
        model_channels: settings.size("model_channels", Some(128))?,
        channel_mult: settings.sizes("channel_mult", &[1, 2, 2, 2])?,
        num_blocks: settings.size("num_blocks", Some(4))?,
        attn_resolutions: settings.sizes("attn_resolutions", &[16])?,
        ..common(settings)?
    };
    let config = SongUNetConfig {
        embedding_type: match settings.word("embedding_type", "positional")? {
            "positional" => NoiseEmbedding::Positional,
            "fourier" => NoiseEmbedding::Fourier,
            other => return Err(unknown("embedding_type", other)),
        },
        encoder_type: match settings.word("encoder_type", "standard")? {
            "standard" => EncoderType::Standard,
            "skip" => EncoderType::Skip,
            "residual" => EncoderType::Residual,
            other => return Err(unknown("encoder_type", other)),
        },
        decoder_type: match settings.word("decoder_type", "standard")? {
            "standard" => DecoderType::Standard,
            "skip" => DecoderType::Skip,
            other => return Err(unknown("decoder_type", other)),
        },
        channel_mult_noise: settings.size("channel_mult_noise", Some(1))?,
        resample_filter: resample_filter(settings)?,
        ..SongUNetConfig::ddpmpp(sizes.clone())
    };
    // The two that have names are written by them.
    Ok(if config == SongUNetConfig::ddpmpp(sizes.clone()) {
        NetworkConfig::Ddpmpp(sizes)
    } else if config == SongUNetConfig::ncsnpp(sizes.clone()) {
        NetworkConfig::Ncsnpp(sizes)
    } else {
        NetworkConfig::SongUnet(config)
    })
}

/// What has the same default in every network.
fn common(settings: &Settings) -> Result<UNetConfig, ForeignError> {
    Ok(UNetConfig {
        model_channels: 0,
        channel_mult: Vec::new(),
        channel_mult_emb: settings.size("channel_mult_emb", Some(4))?,
        num_blocks: 0,
        attn_resolutions: Vec::new(),
        dropout: settings.number("dropout", 0.1)?,
        label_dropout: settings.number("label_dropout", 0.0)?,
    })
}

fn resample_filter(settings: &Settings) -> Result<ResampleFilter, ForeignError> {
    let taps = settings.sizes("resample_filter", &[1, 1])?;
    let taps: Vec<u32> = taps
        .into_iter()
        .map(|tap| u32::try_from(tap).unwrap_or(u32::MAX))
        .collect();
    ResampleFilter::try_from(taps).map_err(ForeignError::Unsupported)
}

fn unknown(name: &str, value: &str) -> ForeignError {
    ForeignError::Unsupported(format!("network SongUNet with {name} {value:.40}"))
}
