//! A small network of every family and preconditioning that can be written for another program.

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::{Checkpoint, CheckpointConfig, Layout, Model};
use pfgmpp_kernel::{Condition, Query};
use pfgmpp_nn::{Parameters, Signature};
use pfgmpp_transfer::{DdpmLevels, Preconditioning};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A checkpoint, and what it is written as.
pub struct Case {
    pub name: &'static str,
    pub layout: Layout,
    /// Length of what the network is told of augmentation, 0 for nothing.
    augment_dim: usize,
    pub config: CheckpointConfig,
}

/// The configuration of a checkpoint of 8 by 8 images.
pub fn config(
    channels: usize,
    label_dim: usize,
    network: &Value,
    preconditioning: &Value,
) -> CheckpointConfig {
    let value = json!({
        "format": 1, "d": "inf",
        "data": {"name": "noise", "shape": [channels, 8, 8], "label_dim": label_dim, "range": [-1.0, 1.0],
            "scale": {"second_moment": 0.25, "n_eff": 64.0}},
        "network": network,
        "prediction": {"denoised": preconditioning},
        "sampler": {"solver": "heun", "schedule": {"edm":
            {"num_steps": 18, "sigma_min": 0.02, "sigma_max": 80.0, "rho": 7.0}}},
        "training": {"nimg": 0, "seed": 0},
        "weights_sha256": "",
    });
    let config: CheckpointConfig = serde_json::from_value(value).unwrap_or_else(|e| panic!("{e}"));
    config.check().unwrap_or_else(|e| panic!("{e}"));
    config
}

/// What the networks of EDM's code have in common.
pub fn sizes(model_channels: usize) -> Value {
    json!({"model_channels": model_channels, "channel_mult": [1, 2], "channel_mult_emb": 2, "num_blocks": 1,
        "attn_resolutions": [4], "dropout": 0.1, "label_dropout": 0.0})
}

/// EDM's own preconditioning.
pub fn edm() -> Value {
    json!({"edm": {"sigma_data": 0.5, "noise": "nominal"}})
}

fn edm_cases() -> Vec<Case> {
    let case = |name, augment_dim, config| Case {
        name,
        layout: Layout::EdmStateDict,
        augment_dim,
        config,
    };
    let vp = json!({"vp": {"beta_d": 19.9, "beta_min": 0.1, "m": 1000, "noise": "nominal"}});
    let ve = json!({"ve": {"noise": "nominal"}});
    let iddpm = json!({"iddpm": {"c_1": 0.001, "c_2": 0.008, "m": 1000, "noise": "nominal"}});
    let mut skip = sizes(8);
    for (name, value) in [
        ("channel_mult", json!([1, 1, 2])),
        ("embedding_type", json!("positional")),
        ("channel_mult_noise", json!(2)),
        ("encoder_type", json!("skip")),
        ("decoder_type", json!("skip")),
        ("resample_filter", json!([1, 3, 3, 1])),
    ] {
        skip[name] = value;
    }
    let skip = json!({"song_unet": skip});
    let mut at_128 = config(1, 0, &json!({"ddpmpp": sizes(8)}), &edm());
    at_128.d = pfgmpp_kernel::Dimension::Finite(128.0);
    let adm = json!({"adm": sizes(64)});
    vec![
        case(
            "ddpmpp-edm",
            0,
            config(3, 0, &json!({"ddpmpp": sizes(8)}), &edm()),
        ),
        case(
            "ddpmpp-edm-classes",
            9,
            config(3, 4, &json!({"ddpmpp": sizes(16)}), &edm()),
        ),
        case("ddpmpp-edm-d128", 0, at_128),
        case(
            "ncsnpp-ve",
            9,
            config(3, 0, &json!({"ncsnpp": sizes(8)}), &ve),
        ),
        case("song-skip-vp", 0, config(2, 3, &skip, &vp)),
        case("song-skip-iddpm", 0, config(2, 0, &skip, &iddpm)),
        case("adm-edm", 0, config(3, 4, &adm, &edm())),
        case("adm-iddpm", 0, config(1, 0, &adm, &iddpm)),
    ]
}

/// A `UNet2DModel` of the usual kind, with some options changed.
pub fn unet2d(changes: &Value) -> Value {
    let mut own = json!({"block_out_channels": [8, 16], "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 8, "add_attention": true, "norm_num_groups": 4, "norm_eps": 1e-6, "freq_shift": 1,
        "flip_sin_to_cos": false, "downsample_padding": 0, "dropout": 0.1, "label_dropout": 0.0});
    for (name, value) in changes.as_object().expect("a map") {
        own[name] = value.clone();
    }
    json!({"unet2d": own})
}

fn diffusers_cases() -> Vec<Case> {
    let case = |name, config| Case {
        name,
        layout: Layout::Diffusers,
        augment_dim: 0,
        config,
    };
    let ddpm = |beta: Value, output: &str| json!({"ddpm": {"beta": beta, "m": 1000, "output": output, "noise": "nominal"}});
    let linear = json!({"linear": {"beta_start": 1e-4, "beta_end": 0.02}});
    let scaled = json!({"scaled_linear": {"beta_start": 8.5e-4, "beta_end": 0.012}});
    let sigmoid = json!({"sigmoid": {"beta_start": 1e-4, "beta_end": 0.02}});
    let trained =
        json!({"trained": (0..1000).map(|t| 1e-4 + 1.5e-5 * f64::from(t)).collect::<Vec<_>>()});
    let plain = unet2d(&json!({}));
    let resnet = unet2d(&json!({
        "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"], "freq_shift": 0, "flip_sin_to_cos": true,
        "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"], "resnet_time_scale_shift": "scale_shift",
        "downsample_type": "resnet", "upsample_type": "resnet", "mid_block_scale_factor": 1.5,
        "attn_norm_num_groups": 2, "center_input_sample": true, "class_embed_type": "timestep"}));
    let skip = unet2d(
        &json!({"block_out_channels": [32, 32], "time_embedding_type": "fourier",
        "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"],
        "up_block_types": ["AttnSkipUpBlock2D", "SkipUpBlock2D"]}),
    );
    let consistency =
        json!({"consistency": {"sigma_data": 0.5, "sigma_min": 0.002, "noise": "nominal"}});
    let mut ve = config(3, 0, &skip, &json!({"ve": {"noise": "nominal"}}));
    ve.data.range = [0.0, 1.0];
    vec![
        case(
            "unet2d-ddpm",
            config(3, 0, &plain, &ddpm(linear, "epsilon")),
        ),
        case(
            "unet2d-ddpm-classes",
            config(1, 5, &plain, &ddpm(scaled, "epsilon")),
        ),
        case(
            "unet2d-ddpm-v",
            config(
                3,
                0,
                &plain,
                &ddpm(json!("squaredcos_cap_v2"), "v_prediction"),
            ),
        ),
        case(
            "unet2d-ddpm-sample",
            config(3, 0, &plain, &ddpm(sigmoid, "sample")),
        ),
        case(
            "unet2d-ddpm-trained",
            config(3, 0, &plain, &ddpm(trained, "epsilon")),
        ),
        // Another level than the nominal one, which is the same at D = inf.
        case(
            "unet2d-edm",
            config(
                3,
                0,
                &plain,
                &json!({"edm": {"sigma_data": 0.6, "noise": "posterior"}}),
            ),
        ),
        case("unet2d-ve", ve),
        case("unet2d-consistency", config(3, 5, &resnet, &consistency)),
    ]
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut all = edm_cases();
    all.extend(diffusers_cases());
    all
}

impl Case {
    /// The checkpoint, with random weights of a size at which no part of the network is idle.
    pub fn checkpoint(&self) -> Checkpoint {
        let parameters = Parameters::new(0, &Device::Cpu);
        let signature = Signature {
            label_dim: self.config.data.label_dim,
            augment_dim: self.augment_dim,
            ..Signature::unconditional(self.config.data.shape)
        };
        let built = self.config.network.build(signature, &parameters.builder());
        drop(built.unwrap_or_else(|e| panic!("{}: {e}", self.name)));
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut draw = |name: &String, tensor: &Tensor| {
            let fan: usize = tensor.dims().iter().skip(1).product();
            let (mean, spread) = match name.contains("norm") && name.ends_with("weight") {
                true => (1.0, 0.3),
                false => (0.0, 1.4 / (fan as f32).sqrt()),
            };
            let values: Vec<f32> = (0..tensor.elem_count())
                .map(|_| mean + spread * random.random_range(-1.0..1.0))
                .collect();
            Tensor::from_vec(values, tensor.shape(), &Device::Cpu).expect("as many")
        };
        // Taps of filters follow from the configuration, and need not be in a checkpoint.
        let trained = |(name, _): &(String, Tensor)| !name.ends_with("resample_filter");
        let mut tensors: Vec<_> = parameters.tensors().into_iter().filter(trained).collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        Checkpoint {
            config: self.config.clone(),
            weights: tensors
                .iter()
                .map(|(name, tensor)| (name.clone(), draw(name, tensor)))
                .collect(),
        }
    }

    /// Three noise levels: those of time steps, where the network knows no others.
    pub fn sigma(&self) -> [f64; 3] {
        match &self.config.prediction {
            pfgmpp_nn::Prediction::Denoised(Preconditioning::Ddpm(ddpm)) => {
                let levels = DdpmLevels {
                    beta: ddpm.beta.clone(),
                    m: ddpm.m,
                };
                let levels: Vec<f64> = levels.levels().collect();
                [levels[3], levels[400], levels[900]]
            }
            _ => [0.05, 0.7, 20.0],
        }
    }

    /// Perturbed images, shape `[3, C, 8, 8]`.
    pub fn x(&self) -> Tensor {
        let channels = self.config.data.shape[0];
        let n = channels * 64;
        let sigma = self.sigma();
        let value = |i: usize| ((0.37 * i as f64).sin() * sigma[i / n].hypot(0.5)) as f32;
        let values: Vec<f32> = (0..3 * n).map(value).collect();
        Tensor::from_vec(values, (3, channels, 8, 8), &Device::Cpu).expect("as many")
    }

    /// The classes of the images, shape `[3, classes]`, where the network has any.
    pub fn labels(&self) -> Option<Tensor> {
        let classes = self.config.data.label_dim;
        let one = |i: usize| (0..classes).map(move |j| f32::from(u8::from(j == (2 * i) % classes)));
        let values: Vec<f32> = (0..3).flat_map(one).collect();
        (classes > 0)
            .then(|| Tensor::from_vec(values, (3, classes), &Device::Cpu).expect("as many"))
    }

    /// What `model` makes of [`Self::x`].
    pub fn denoise(&self, model: &Model) -> Tensor {
        let condition = match self.labels() {
            Some(labels) => Condition::none().with_labels(labels).expect("rows"),
            None => Condition::none(),
        };
        let (x, sigma) = (self.x(), self.sigma());
        let denoised = model
            .denoiser
            .denoise(&Query::new(&x, &sigma).under(&condition));
        denoised.unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

/// The largest difference within a sample, as a part of the sample's largest value.
pub fn relative_error(got: &Tensor, want: &Tensor) -> f64 {
    let rows = |t: &Tensor| -> Vec<Vec<f64>> {
        let t = t.to_dtype(DType::F64).and_then(|t| t.flatten_from(1));
        t.and_then(|t| t.to_vec2()).expect("numbers")
    };
    let of = |(got, want): (&Vec<f64>, &Vec<f64>)| {
        let size = want.iter().fold(0.0, |size: f64, v| size.max(v.abs()));
        let apart = got
            .iter()
            .zip(want)
            .fold(0.0, |apart: f64, (g, w)| apart.max((g - w).abs()));
        apart / size
    };
    let (got, want) = (rows(got), rows(want));
    got.iter().zip(&want).map(of).fold(0.0, f64::max)
}
