//! Estimates of memory against measured peaks of the heap, in a program of their own: its allocator counts
//! for all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::VarBuilder;
use pfgmpp_nn::ops::{AdamState, AdamStep, move_averages};
use pfgmpp_nn::{
    Context, MlpConfig, Network, NetworkConfig, NoiseEmbedding, Parameters, Signature,
    UNet2DConfig, UNetConfig,
};

/// Largest deviation of an estimate from the peak that was measured.
const TOLERANCE: f64 = 0.25;

const STEP: AdamStep = AdamStep {
    beta1: 0.9,
    beta2: 0.999,
    rate: 1e-4,
    eps: 1e-8,
    scale: 1.0,
    keep: 1.0,
};

/// The system's allocator, which counts bytes.
struct Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = layout.size() as u64;
        PEAK.fetch_max(LIVE.fetch_add(size, Relaxed) + size, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `f` holds beyond those that were there before.
fn peak(f: impl FnOnce() -> Result<()>) -> Result<u64> {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    f()?;
    Ok(PEAK.load(Relaxed) - before)
}

/// One evaluation with weights that are plain tensors.
fn evaluate(config: &NetworkConfig, signature: Signature, batch: usize) -> Result<()> {
    let parameters = Parameters::new(0, &Device::Cpu);
    config.build(signature, &parameters.builder())?;
    let tensors = parameters.tensors().into_iter().collect();
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let network = config.build(signature, &builder)?;
    forward(&*network, signature, batch)?;
    Ok(())
}

fn forward(network: &dyn Network, signature: Signature, batch: usize) -> Result<Tensor> {
    let [height, width] = signature.resolution;
    let shape = (batch, signature.in_channels, height, width);
    let x = Tensor::ones(shape, DType::F32, &Device::Cpu)?;
    let c_noise = Tensor::zeros(batch, DType::F32, &Device::Cpu)?;
    network.forward(&x, &c_noise, &Context::default())
}

/// One step of training with Adam and one average of the weights.
fn train(config: &NetworkConfig, signature: Signature, batch: usize) -> Result<()> {
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = config.build(signature, &parameters.builder())?;
    let state = || -> Result<Vec<Var>> {
        let vars = parameters.vars().into_iter();
        vars.map(|(_, var)| Var::from_tensor(&var.zeros_like()?))
            .collect()
    };
    let (m, v, averages) = (state()?, state()?, state()?);
    let loss = forward(&*network, signature, batch)?.sqr()?.mean_all()?;
    let grads = loss.backward()?;
    for (i, (_, weight)) in parameters.vars().iter().enumerate() {
        let (m, v) = (&m[i], &v[i]);
        let averages = [(&averages[i], 1e-3)];
        match grads.get(weight) {
            Some(grad) => STEP.apply(AdamState { weight, m, v }, grad, &averages)?,
            None => move_averages(weight, &averages)?,
        }
    }
    Ok(())
}

fn check(name: &str, config: &NetworkConfig, signature: Signature, batch: usize) -> Result<()> {
    let estimate = config.memory(signature)?;
    let measured = peak(|| evaluate(config, signature, batch))?;
    within(
        name,
        "an evaluation",
        estimate.evaluation(batch as u64),
        measured,
    );
    let measured = peak(|| train(config, signature, batch))?;
    within(
        name,
        "a training step",
        estimate.training(batch as u64, 1),
        measured,
    );
    let parameters = Parameters::new(0, &Device::Cpu);
    config.build(signature, &parameters.builder())?;
    assert_eq!(estimate.parameters(), parameters.count() as u64, "{name}");
    Ok(())
}

fn within(name: &str, of: &str, estimated: u64, measured: u64) {
    let ratio = estimated as f64 / measured as f64;
    println!("{name}, {of}: estimated {estimated} bytes, measured {measured}, ratio {ratio:.3}");
    assert!(
        (ratio - 1.0).abs() <= TOLERANCE,
        "{name}, {of}: estimated {estimated} bytes, measured {measured}, ratio {ratio:.3}"
    );
}

fn images(channels: usize, side: usize) -> Signature {
    Signature::unconditional([channels, side, side])
}

fn unet(
    model_channels: usize,
    channel_mult: &[usize],
    num_blocks: usize,
    attn: usize,
) -> UNetConfig {
    UNetConfig {
        model_channels,
        channel_mult: channel_mult.to_vec(),
        channel_mult_emb: 4,
        num_blocks,
        attn_resolutions: vec![attn],
        dropout: 0.0,
        label_dropout: 0.0,
    }
}

fn mlp(hidden_dim: usize) -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig {
        hidden_dim,
        num_layers: 4,
        embedding_type: NoiseEmbedding::Positional,
        label_dropout: 0.0,
    })
}

/// The network of diffusers with blocks of one kind, plain or with a skip of the image, and an extra key.
fn unet2d(kind: &str, extra: &str) -> NetworkConfig {
    let json = format!(
        r#"{{"block_out_channels": [32, 64], "layers_per_block": 2, {extra}
        "down_block_types": ["{kind}DownBlock2D", "Attn{kind}DownBlock2D"],
        "up_block_types": ["Attn{kind}UpBlock2D", "{kind}UpBlock2D"],
        "attention_head_dim": 8, "add_attention": true, "norm_num_groups": 32, "norm_eps": 1e-6, "freq_shift": 1,
        "flip_sin_to_cos": false, "downsample_padding": 0, "dropout": 0.0}}"#
    );
    let config: UNet2DConfig = serde_json::from_str(&json).expect("a configuration");
    NetworkConfig::UNet2D(config)
}

/// One test: peaks are those of the whole program. First `configs/bench_a.yaml` to `bench_d.yaml`, then every
/// other architecture, more weights than activations and the other way round.
#[test]
fn estimates_lie_within_a_quarter_of_measured_peaks() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    pool.expect("two threads").install(|| {
        let ddpmpp = NetworkConfig::Ddpmpp;
        check("a", &ddpmpp(unet(32, &[1, 2], 1, 4)), images(1, 8), 64)?;
        check("b", &ddpmpp(unet(32, &[1, 2, 2], 1, 8)), images(1, 32), 32)?;
        check("c", &ddpmpp(unet(64, &[1, 2, 2], 2, 16)), images(3, 32), 16)?;
        check("d", &ddpmpp(unet(128, &[2, 2, 2], 4, 16)), images(3, 32), 4)?;
        check("mlp", &mlp(256), images(1, 8), 1024)?;
        check("small batch", &mlp(1024), images(1, 8), 2)?;
        let ncsnpp = NetworkConfig::Ncsnpp(unet(32, &[1, 2, 2], 1, 8));
        check("ncsnpp", &ncsnpp, images(3, 32), 16)?;
        let adm = NetworkConfig::Adm(unet(64, &[1, 2], 1, 16));
        check("adm", &adm, images(3, 32), 8)?;
        check("unet2d", &unet2d("", ""), images(3, 32), 16)?;
        check("unet2d with skips", &unet2d("Skip", ""), images(3, 32), 16)?;
        let resnets = r#""resnet_time_scale_shift": "scale_shift", "downsample_type": "resnet",
            "upsample_type": "resnet", "time_embedding_type": "fourier","#;
        check(
            "unet2d of residual blocks",
            &unet2d("", resnets),
            images(3, 32),
            16,
        )
    })
}
