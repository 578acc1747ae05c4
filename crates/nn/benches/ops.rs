//! The operations beside convolution, on images of the published CIFAR-10 network: `[4, 32, 32, 256]`, and
//! attention at 16x16.
//!
//! Rates count the bytes that an operation has to read and write once, beside those of a copy.

use candle_core::{Device, Result, Tensor, Var};
use divan::{Bencher, counter::BytesCount};
use pfgmpp_nn::ops::{self, Activation, AdamState, AdamStep, Filter};

/// What the program uses: freshly mapped memory would cost more than the arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const IMAGE: [usize; 4] = [4, 32, 32, 256];
const CHANNELS: usize = IMAGE[3];
const GROUPS: usize = 32;
const THREADS: usize = 2;

/// An operation on an image.
type Op = fn(&Tensor) -> Result<Tensor>;

const OPS: [(&str, Op); 7] = [
    ("group_norm", |x| norm(x, Activation::None)),
    ("group_norm_silu", |x| norm(x, Activation::Silu)),
    ("silu", ops::silu),
    ("add_scaled", |x| ops::add_scaled(x, &x.detach(), 0.7)),
    ("concat", |x| ops::concat(x, &x.detach())),
    ("downsample", |x| ops::downsample(x, Filter::Binomial)),
    ("upsample", |x| ops::upsample(x, Filter::Box)),
];

fn norm(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let weight = Tensor::ones(CHANNELS, x.dtype(), x.device())?;
    ops::group_norm(x, &weight, &weight.zeros_like()?, GROUPS, 1e-6, activation)
}

fn var(dims: &[usize]) -> Var {
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|i| (i as f32 * 0.37).sin())
        .collect();
    Var::from_vec(values, dims, &Device::Cpu).expect("as many values as the shape holds")
}

fn pool() -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS);
    pool.build().expect("threads can be started")
}

fn bytes(tensors: &[&Tensor]) -> BytesCount {
    BytesCount::new(4 * tensors.iter().map(|t| t.elem_count()).sum::<usize>())
}

fn find(name: &str) -> Op {
    let (_, op) = OPS
        .iter()
        .find(|(other, _)| *other == name)
        .expect("an operation");
    *op
}

/// What the machine moves: one tensor read, another written.
#[divan::bench]
fn copy(bencher: Bencher) {
    let x = var(&IMAGE).as_detached_tensor();
    let pool = pool();
    let counter = bytes(&[&x, &x]);
    bencher
        .counter(counter)
        .bench_local(|| pool.install(|| ops::add_scaled(&x, &x, 0.5).expect("a tensor")));
}

#[divan::bench(args = OPS.map(|(name, _)| name))]
fn forward(bencher: Bencher, name: &str) {
    let (x, op) = (var(&IMAGE).as_detached_tensor(), find(name));
    let pool = pool();
    let run = || pool.install(|| op(&x).expect("a tensor"));
    let out = run();
    assert_eq!(out.dim(0).expect("a batch"), IMAGE[0]);
    bencher.counter(bytes(&[&x, &out])).bench_local(run);
}

/// The gradient of the input, with the gradient of ones that it starts from.
#[divan::bench(args = OPS.map(|(name, _)| name))]
fn backward(bencher: Bencher, name: &str) {
    let (x, op) = (var(&IMAGE), find(name));
    let pool = pool();
    let out = pool.install(|| op(&x)).expect("a tensor");
    let run = || pool.install(|| out.backward().expect("gradients"));
    assert!(run().get(&x).is_some());
    bencher.counter(bytes(&[&x, &x, &out])).bench_local(run);
}

#[divan::bench(args = [false, true])]
fn attention(bencher: Bencher, backward: bool) {
    let qkv = var(&[4, 16, 16, 3 * CHANNELS]);
    let pool = pool();
    let forward = || pool.install(|| ops::attention(&qkv, 1).expect("a tensor"));
    let out = forward();
    assert_eq!(out.dims(), [4, 16, 16, CHANNELS]);
    if backward {
        let run = || pool.install(|| out.backward().expect("gradients"));
        bencher.counter(bytes(&[&qkv, &qkv, &out])).bench_local(run);
    } else {
        bencher.counter(bytes(&[&qkv, &out])).bench_local(forward);
    }
}

/// One step of Adam on ten million weights, then of their average: six tensors read, four of them written.
#[divan::bench]
fn adam(bencher: Bencher) {
    let dims = [10_000_000];
    let (weight, m, v, average) = (var(&dims), var(&dims), var(&dims), var(&dims));
    // The mean square is not negative.
    v.set(&v.as_detached_tensor().sqr().expect("squares"))
        .expect("one shape");
    let grad = weight.as_detached_tensor().copy().expect("a copy");
    let step = AdamStep {
        beta1: 0.9,
        beta2: 0.999,
        rate: 1e-3,
        eps: 1e-8,
        scale: 1.0,
        keep: 1.0,
    };
    let state = AdamState {
        weight: &weight,
        m: &m,
        v: &v,
    };
    let pool = pool();
    let bytes = bytes(&[&grad; 10]);
    bencher.counter(bytes).bench_local(|| {
        pool.install(|| {
            step.apply(state, &grad, &[]).expect("a step");
            ops::move_averages(&weight, &[(&average, 1e-4)]).expect("an average");
        });
    });
}
