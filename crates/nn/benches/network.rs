//! Time of a training step's gradients and of an evaluation: `network/operation/threads`.
//!
//! The network is the one of the digits sweep: 8x8x1, 32 channels, multiples 1 and 2, one block, attention at
//! 4, batch 64. The `mlp` has 128 hidden values and four blocks, for batches of 256 points in the plane.

use candle_core::{Device, Result, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use pfgmpp_nn::{
    Context, Mlp, MlpConfig, Network, NoiseEmbedding, Parameters, Signature, SongUNet,
    SongUNetConfig, UNetConfig,
};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 64;

fn main() {
    divan::main();
}

struct Case {
    parameters: Parameters,
    network: SongUNet,
    x: Tensor,
    c_noise: Tensor,
}

impl Case {
    fn new() -> Result<Self> {
        let config = UNetConfig {
            model_channels: 32,
            channel_mult: vec![1, 2],
            channel_mult_emb: 4,
            num_blocks: 1,
            attn_resolutions: vec![4],
            dropout: 0.0,
            label_dropout: 0.0,
        };
        let signature = Signature {
            resolution: [8, 8],
            in_channels: 1,
            out_channels: 1,
            label_dim: 0,
            augment_dim: 0,
        };
        let parameters = Parameters::new(0, &Device::Cpu);
        let network = SongUNet::new(
            &SongUNetConfig::ddpmpp(config),
            signature,
            &parameters.builder(),
        )?;
        let x: Vec<f32> = (0..BATCH * 64).map(|i| (i as f32 * 0.37).sin()).collect();
        let x = Tensor::from_vec(x, (BATCH, 1, 8, 8), &Device::Cpu)?;
        let c_noise = Tensor::full(0.1f32, BATCH, &Device::Cpu)?;
        Ok(Self {
            parameters,
            network,
            x,
            c_noise,
        })
    }

    fn evaluate(&self) -> Result<Tensor> {
        self.network
            .forward(&self.x, &self.c_noise, &Context::default())
    }

    /// Gradients of the mean square output.
    fn gradients(&self) -> Result<usize> {
        let grads = self.evaluate()?.sqr()?.mean_all()?.backward()?;
        Ok(self
            .parameters
            .vars()
            .iter()
            .filter(|(_, var)| grads.get(var).is_some())
            .count())
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads can be started")
}

#[divan::bench(args = [1, 2])]
fn gradients(bencher: Bencher, threads: usize) {
    let case = Case::new().expect("a valid network");
    let step = || case.gradients().expect("gradients");
    let pool = pool(threads);
    assert_eq!(pool.install(step), case.parameters.vars().len());
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| pool.install(step));
}

#[divan::bench(args = [1, 2])]
fn evaluate(bencher: Bencher, threads: usize) {
    // Plain tensors, as in sampling: nothing is kept for a backward pass.
    let mut case = Case::new().expect("a valid network");
    let tensors = case.parameters.tensors().into_iter().collect();
    let vb = candle_nn::VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu);
    let config = case.network.config().clone();
    case.network = SongUNet::new(&config, case.network.signature(), &vb).expect("a valid network");
    let step = || case.evaluate().expect("an output");
    let pool = pool(threads);
    assert_eq!(pool.install(step).dims(), case.x.dims());
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| pool.install(step));
}

#[divan::bench(args = [1, 2])]
fn mlp_gradients(bencher: Bencher, threads: usize) {
    const POINTS: usize = 256;
    let config = MlpConfig {
        hidden_dim: 128,
        num_layers: 4,
        embedding_type: NoiseEmbedding::Positional,
        label_dropout: 0.0,
    };
    let parameters = Parameters::new(0, &Device::Cpu);
    let signature = Signature::unconditional([2, 1, 1]);
    let network = Mlp::new(&config, signature, &parameters.builder()).expect("a valid network");
    let x: Vec<f32> = (0..2 * POINTS).map(|i| (i as f32 * 0.37).sin()).collect();
    let x = Tensor::from_vec(x, (POINTS, 2, 1, 1), &Device::Cpu).expect("points");
    let c_noise = Tensor::full(0.1f32, POINTS, &Device::Cpu).expect("levels");
    let step = || -> Result<usize> {
        let out = network.forward(&x, &c_noise, &Context::default())?;
        let grads = out.sqr()?.mean_all()?.backward()?;
        let vars = parameters.vars();
        Ok(vars.iter().filter(|(_, v)| grads.get(v).is_some()).count())
    };
    let step = || step().expect("gradients");
    let pool = pool(threads);
    assert_eq!(pool.install(step), parameters.vars().len());
    bencher
        .counter(ItemsCount::new(POINTS))
        .bench_local(|| pool.install(step));
}
