//! Folders as diffusers saves them, made of golden networks (`crates/nn/tests/data/make_unet2d.py`).

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::{CheckpointError, Model, Tensors, read_tensors, write_tensors};
use pfgmpp_kernel::{Condition, Dimension, Query};
use pfgmpp_transfer::{BetaSchedule, DdpmLevels};
use serde_json::{Value, json};

/// The published schedule.
pub const LEVELS: DdpmLevels = DdpmLevels {
    beta: BetaSchedule::Linear {
        beta_start: 1e-4,
        beta_end: 0.02,
    },
    m: 1000,
};

pub fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The golden tensors of a network, and its configuration as diffusers writes it.
pub fn golden(name: &str) -> (Tensors, Value) {
    let path = here("../nn/tests/data").join(name);
    let (tensors, metadata) = read_tensors(&path, &Device::Cpu).expect("a golden file");
    let mut config: Value = serde_json::from_str(&metadata["config"]).expect("a configuration");
    config["_class_name"] = json!("UNet2DModel");
    config["_diffusers_version"] = json!("0.1.1");
    config["act_fn"] = json!("silu");
    (tensors, config)
}

pub fn scheduler() -> Value {
    json!({"_class_name": "DDPMScheduler", "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear",
        "num_train_timesteps": 1000, "clip_sample": true, "variance_type": "fixed_large"})
}

pub fn write(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, value.to_string()).expect("a file");
}

pub fn weights(tensors: &Tensors) -> Tensors {
    let extra = ["grad.", "in.", "out"];
    let own = tensors
        .iter()
        .filter(|(name, _)| !extra.iter().any(|e| name.starts_with(e)));
    own.map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect()
}

/// A flat folder with the weights as safetensors.
pub fn flat(folder: &Path, config: &Value, scheduler: &Value, tensors: &Tensors) {
    write(&folder.join("config.json"), config);
    write(&folder.join("scheduler_config.json"), scheduler);
    let file = folder.join("diffusion_pytorch_model.safetensors");
    write_tensors(&file, &weights(tensors), None).expect("weights");
}

/// A pipeline with the weights as early versions saved them.
pub fn pipeline(folder: &Path, config: &Value) {
    write(&folder.join("unet/config.json"), config);
    write(
        &folder.join("scheduler/scheduler_config.json"),
        &scheduler(),
    );
    write(
        &folder.join("model_index.json"),
        &json!({"_class_name": "DDPMPipeline"}),
    );
    let file = folder.join("unet/diffusion_pytorch_model.bin");
    fs::copy(here("tests/data/diffusers.bin"), file).expect("a copy");
}

/// The noise levels of the golden time steps 0, 37.5 and 999.
pub fn sigmas() -> [f64; 3] {
    let levels: Vec<f64> = LEVELS.levels().collect();
    [levels[0], (levels[37] * levels[38]).sqrt(), levels[999]]
}

/// The clean value by x, sigma and the network's output.
pub type Wanted = fn(f64, f64, f64) -> f64;

/// Asserts that the network's golden output at its golden input is what the denoiser makes of it.
pub fn assert_denoises(folder: &Path, tensors: &Tensors, wanted: Wanted) {
    // The golden input is x_t = x / sqrt(1 + sigma²).
    assert_denoises_at(folder, tensors, sigmas(), |sigma| sigma.hypot(1.0), wanted);
}

/// As [`assert_denoises`], where the golden input is `x / scale(sigma)` at levels `sigma`.
pub fn assert_denoises_at(
    folder: &Path,
    tensors: &Tensors,
    sigma: [f64; 3],
    scale: impl Fn(f64) -> f64,
    wanted: Wanted,
) {
    let model = Model::load(folder, &Device::Cpu).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(model.config.d, Dimension::Infinite);
    let values = |t: &Tensor| -> Vec<f64> {
        let t = t.to_dtype(DType::F64).and_then(|t| t.flatten_all());
        t.and_then(|t| t.to_vec1()).expect("numbers")
    };
    let (input, out) = (values(&tensors["in.x"]), values(&tensors["out"]));
    let n = input.len() / 3;
    let x: Vec<f64> = (0..3 * n).map(|i| input[i] * scale(sigma[i / n])).collect();
    let x = Tensor::from_vec(x, tensors["in.x"].shape(), &Device::Cpu).expect("as many");
    let condition = match tensors.get("in.labels") {
        Some(labels) => Condition::none().with_labels(labels.clone()).expect("rows"),
        None => Condition::none(),
    };
    let denoised = model
        .denoiser
        .denoise(&Query::new(&x, &sigma).under(&condition))
        .expect("an evaluation");
    let (got, x) = (values(&denoised), values(&x));
    for i in 0..3 * n {
        let want = wanted(x[i], sigma[i / n], out[i]);
        // The network's outputs are about 1, and right to some 1e-6 of that.
        let size = x[i].abs() + sigma[i / n] * (out[i].abs() + 1.0) + 1.0;
        assert!(
            (got[i] - want).abs() < 1e-5 * size,
            "value {i} at {}: got {}, want {want}",
            sigma[i / n],
            got[i]
        );
    }
}

pub fn error(folder: &Path) -> CheckpointError {
    let error = Model::load(folder, &Device::Cpu).err().expect("an error");
    assert!(!error.to_string().contains('\n'), "got {error}");
    error
}

/// What a folder is read as.
pub fn loaded(folder: &Path) -> pfgmpp_checkpoint::Loaded {
    let source = pfgmpp_checkpoint::Source::open(folder).unwrap_or_else(|e| panic!("{e}"));
    let loaded = source.load(&pfgmpp_checkpoint::LoadOptions::default(), &Device::Cpu);
    loaded.unwrap_or_else(|e| panic!("{e}"))
}
