//! The state dictionary of EDM's preconditioned networks, and the arguments of their constructors.
//!
//! Names, shapes and arguments: Karras et al. 2022 (arXiv:2206.00364) and Xu et al. 2023 (arXiv:2302.04265).

use candle_core::{Device, Result, Tensor};
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::{DecoderType, EncoderType, NetworkConfig, SongUNetConfig, UNetConfig};
use pfgmpp_transfer::{IddpmLevels, Preconditioning};
use serde_json::{Map, Value, json};

use super::{Export, NoCounterpart, no_preconditioning, note_range, preconditioning};
use crate::card::network_name;
use crate::used::{LEVELS, NETWORK};
use crate::{CheckpointConfig, Metadata, Tensors};

/// What tells the network how an image was augmented.
const AUGMENTATION: &str = "model.map_augment.weight";

/// A network in EDM's terms.
struct Network<'a> {
    class: &'static str,
    sizes: &'a UNetConfig,
    /// What only the family of DDPM++ and NCSN++ has.
    song: Option<SongUNetConfig>,
}

/// The state dictionary of `config`'s network with `weights`.
pub(super) fn export(
    config: &CheckpointConfig,
    mut weights: Tensors,
) -> std::result::Result<Export, NoCounterpart> {
    let song;
    let network = match &config.network {
        NetworkConfig::Ddpmpp(sizes) => Network::song(sizes, SongUNetConfig::ddpmpp(sizes.clone())),
        NetworkConfig::Ncsnpp(sizes) => Network::song(sizes, SongUNetConfig::ncsnpp(sizes.clone())),
        NetworkConfig::SongUnet(config) => {
            song = sizes_of(config);
            Network::song(&song, config.clone())
        }
        NetworkConfig::Adm(sizes) => Network {
            class: "DhariwalUNet",
            sizes,
            song: None,
        },
        other => {
            let name = network_name(other);
            return Err(NoCounterpart(format!("network {name}")));
        }
    };
    let (class, mut arguments) = outside(config)?;
    let own = |name: &str| name.starts_with(NETWORK);
    weights.retain(|name, _| own(name));
    let augment_dim = weights
        .get(AUGMENTATION)
        .and_then(|w| w.dims().get(1))
        .copied()
        .unwrap_or(0);
    network.describe(augment_dim, &mut arguments);
    let mut notes = Vec::new();
    note_range(config, [-1.0, 1.0], "EDM's code", &mut notes);
    let completed = complete(config, &network, &mut weights, &mut notes);
    completed.map_err(|e| NoCounterpart(format!("a weight ({e})")))?;
    let metadata = [
        ("format", "pt".to_owned()),
        ("class_name", class.to_owned()),
        ("init_kwargs", Value::Object(arguments).to_string()),
    ];
    Ok(Export {
        weights,
        metadata: Metadata::from(metadata.map(|(name, text)| (name.to_owned(), text))),
        place: None,
        files: Vec::new(),
        notes,
    })
}

fn sizes_of(song: &SongUNetConfig) -> UNetConfig {
    UNetConfig {
        model_channels: song.model_channels,
        channel_mult: song.channel_mult.clone(),
        channel_mult_emb: song.channel_mult_emb,
        num_blocks: song.num_blocks,
        attn_resolutions: song.attn_resolutions.clone(),
        dropout: song.dropout,
        label_dropout: song.label_dropout,
    }
}

/// The preconditioning's class, and the arguments of its constructor without those of the network inside.
fn outside(
    config: &CheckpointConfig,
) -> std::result::Result<(&'static str, Map<String, Value>), NoCounterpart> {
    let (class, own) = match preconditioning(config)? {
        Preconditioning::Edm(edm) => ("EDMPrecond", json!({"sigma_data": edm.sigma_data})),
        Preconditioning::Vp(vp) => (
            "VPPrecond",
            json!({"beta_d": vp.beta_d, "beta_min": vp.beta_min, "M": vp.m}),
        ),
        Preconditioning::Ve(_) => {
            let schedule = &config.sampler.schedule;
            let (low, high) = (schedule.sigma_min(), schedule.sigma_max());
            ("VEPrecond", json!({"sigma_min": low, "sigma_max": high}))
        }
        Preconditioning::Iddpm(iddpm) => (
            "iDDPMPrecond",
            json!({"C_1": iddpm.c_1, "C_2": iddpm.c_2, "M": iddpm.m}),
        ),
        _ => return Err(no_preconditioning(config, "")),
    };
    let [channels, side, _] = config.data.shape;
    let mut arguments = Map::new();
    let around = json!({"img_resolution": side, "img_channels": channels, "label_dim": config.data.label_dim});
    for part in [around, own] {
        arguments.extend(part.as_object().cloned().unwrap_or_default());
    }
    // PFGM++ hands D to EDM's preconditioning; EDM itself has no such argument.
    if let Dimension::Finite(d) = config.d {
        if class != "EDMPrecond" {
            return Err(no_preconditioning(config, &format!(" at D = {d}")));
        }
        arguments.insert("pfgmpp".into(), true.into());
        arguments.insert("D".into(), d.into());
    }
    Ok((class, arguments))
}

impl<'a> Network<'a> {
    fn song(sizes: &'a UNetConfig, song: SongUNetConfig) -> Self {
        Self {
            class: "SongUNet",
            sizes,
            song: Some(song),
        }
    }

    /// Adds the arguments of the network's constructor.
    fn describe(&self, augment_dim: usize, arguments: &mut Map<String, Value>) {
        let sizes = self.sizes;
        let own = json!({
            "model_type": self.class,
            "augment_dim": augment_dim,
            "model_channels": sizes.model_channels,
            "channel_mult": sizes.channel_mult,
            "channel_mult_emb": sizes.channel_mult_emb,
            "num_blocks": sizes.num_blocks,
            "attn_resolutions": sizes.attn_resolutions,
            "dropout": sizes.dropout,
            "label_dropout": sizes.label_dropout,
        });
        let more = self.song.as_ref().map_or(json!({}), |song| {
            json!({
                "embedding_type": song.embedding_type,
                "channel_mult_noise": song.channel_mult_noise,
                "encoder_type": song.encoder_type,
                "decoder_type": song.decoder_type,
                "resample_filter": Vec::<u32>::from(song.resample_filter),
            })
        });
        for part in [own, more] {
            arguments.extend(part.as_object().cloned().unwrap_or_default());
        }
    }

    /// Layers that change the resolution, whose state dictionaries hold the taps of their filter.
    fn resampling(&self, side: usize) -> Vec<String> {
        let encoder = self
            .song
            .as_ref()
            .map_or(EncoderType::Standard, |song| song.encoder_type);
        let decoder = self
            .song
            .as_ref()
            .map_or(DecoderType::Standard, |song| song.decoder_type);
        let levels = self.sizes.channel_mult.len();
        let at = |group: &str, level: usize, layer: &str| {
            let side = side >> level;
            format!("{NETWORK}{group}.{side}x{side}_{layer}")
        };
        let mut names = Vec::new();
        for level in 1..levels {
            names.extend(["down.conv0", "down.skip"].map(|layer| at("enc", level, layer)));
            match encoder {
                EncoderType::Standard => {}
                EncoderType::Skip => names.push(at("enc", level, "aux_down")),
                EncoderType::Residual => names.push(at("enc", level, "aux_residual")),
            }
            let above = level - 1;
            names.extend(["up.conv0", "up.skip"].map(|layer| at("dec", above, layer)));
            if decoder == DecoderType::Skip {
                names.push(at("dec", above, "aux_up"));
            }
        }
        names
    }

    /// The taps of the filter over two dimensions, shape `[1, 1, k, k]`.
    fn taps(&self) -> Result<Tensor> {
        let taps: Vec<u32> = match &self.song {
            Some(song) => song.resample_filter.into(),
            None => vec![1, 1],
        };
        let sum: u32 = taps.iter().sum();
        let product = |a: u32| move |b: &u32| (a * b) as f32 / (sum * sum) as f32;
        let values: Vec<f32> = taps
            .iter()
            .flat_map(|&a| taps.iter().map(product(a)))
            .collect();
        Tensor::from_vec(values, (1, 1, taps.len(), taps.len()), &Device::Cpu)
    }
}

/// Adds what the state dictionary holds beside the trained weights.
fn complete(
    config: &CheckpointConfig,
    network: &Network,
    weights: &mut Tensors,
    notes: &mut Vec<String>,
) -> Result<()> {
    let [_, side, _] = config.data.shape;
    let taps = network.taps()?;
    for layer in network.resampling(side) {
        weights.insert(format!("{layer}.resample_filter"), taps.clone());
    }
    let Ok(Preconditioning::Iddpm(iddpm)) = preconditioning(config) else {
        return Ok(());
    };
    let levels = IddpmLevels {
        c_1: iddpm.c_1,
        c_2: iddpm.c_2,
        m: iddpm.m,
    };
    let levels: Vec<f32> = (0..=iddpm.m).map(|j| levels.level(j) as f32).collect();
    weights.insert(LEVELS.into(), Tensor::new(levels, &Device::Cpu)?);
    notes.push(
        "the half of the output that estimates variances is written as zeros: no checkpoint here has it".into(),
    );
    add_variances(weights)
}

/// Doubles the outputs of the last layers; what is added is zero.
fn add_variances(weights: &mut Tensors) -> Result<()> {
    for (name, tensor) in weights.iter_mut() {
        let layer = name
            .strip_suffix(".weight")
            .or_else(|| name.strip_suffix(".bias"));
        if layer.is_some_and(|layer| layer.ends_with("out_conv") || layer.ends_with("_aux_conv")) {
            *tensor = Tensor::cat(&[&*tensor, &tensor.zeros_like()?], 0)?;
        }
    }
    Ok(())
}
