//! Which of our networks a module is.

use pfgmpp_nn::{NetworkConfig, SongUNetConfig};

use super::settings::Settings;
use super::{ForeignError, Module};

/// The network of `module`, by its class and the arguments that it was made with.
///
/// Defaults are those of the published constructors: arguments that were left to them are not in the file.
pub(super) fn network(module: &Module) -> Result<NetworkConfig, ForeignError> {
    let settings = Settings::of(module)?;
    match module.class() {
        "SongUNet" => song_unet(&settings),
        "DhariwalUNet" => Err(ForeignError::Unsupported(
            "network DhariwalUNet (ADM)".into(),
        )),
        class => Err(ForeignError::Unsupported(format!("network {class:.60}"))),
    }
}

/// Karras et al. 2022, appendix F: DDPM++ and NCSN++ are one constructor.
fn song_unet(settings: &Settings) -> Result<NetworkConfig, ForeignError> {
    let kind = (
        settings.word("embedding_type", "positional")?,
        settings.word("encoder_type", "standard")?,
        settings.word("decoder_type", "standard")?,
        settings.size("channel_mult_noise", Some(1))?,
        settings.sizes("resample_filter", &[1, 1])?,
    );
    match kind {
        ("positional", "standard", "standard", 1, filter) if filter == [1, 1] => {
            Ok(NetworkConfig::Ddpmpp(SongUNetConfig {
                model_channels: settings.size("model_channels", Some(128))?,
                channel_mult: settings.sizes("channel_mult", &[1, 2, 2, 2])?,
                channel_mult_emb: settings.size("channel_mult_emb", Some(4))?,
                num_blocks: settings.size("num_blocks", Some(4))?,
                attn_resolutions: settings.sizes("attn_resolutions", &[16])?,
                dropout: settings.number("dropout", 0.1)?,
                label_dropout: settings.number("label_dropout", 0.0)?,
            }))
        }
        (embedding, encoder, decoder, _, filter) => Err(ForeignError::Unsupported(format!(
            "network SongUNet with embedding {embedding:.20}, encoder {encoder:.20}, decoder {decoder:.20} \
             and resample filter {filter:?} (NCSN++)"
        ))),
    }
}
