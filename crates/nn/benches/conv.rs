//! Convolutions of the published CIFAR-10 network and of one half as wide, beside a matrix product of candle.
//!
//! Items are floating point operations of the direct algorithm, so that a rate is one of useful work.

use candle_core::{Device, Result, Tensor, Var};
use divan::{Bencher, counter::ItemsCount};
use pfgmpp_nn::ops::conv2d;

/// What the program uses: freshly mapped memory would cost more than the arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Batch, side of the image, input channels, output channels, side of the kernel.
type Shape = (usize, usize, usize, usize, usize);

const SHAPES: [Shape; 10] = [
    (16, 32, 64, 64, 3),
    (16, 16, 128, 128, 3),
    (16, 8, 128, 128, 3),
    (16, 16, 256, 128, 3),
    (16, 16, 128, 384, 1),
    (4, 32, 256, 256, 3),
    (4, 32, 512, 256, 3),
    (4, 16, 256, 256, 3),
    (4, 8, 256, 256, 3),
    (4, 32, 512, 256, 1),
];

const THREADS: usize = 2;

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn var(dims: &[usize]) -> Result<Var> {
    Var::from_vec(values(dims.iter().product()), dims, &Device::Cpu)
}

fn operands((b, side, c_in, c_out, kernel): Shape) -> Result<(Var, Var)> {
    Ok((
        var(&[b, side, side, c_in])?,
        var(&[c_out, c_in, kernel, kernel])?,
    ))
}

fn operations((b, side, c_in, c_out, kernel): Shape) -> ItemsCount {
    ItemsCount::new(2 * b * side * side * c_in * c_out * kernel * kernel)
}

fn pool() -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS);
    pool.build().expect("threads can be started")
}

/// `x` and `weight` as plain tensors, or tracked.
fn run(bencher: Bencher, shape: Shape, operands: (Tensor, Tensor), backward: bool) {
    let (x, weight) = operands;
    let pool = pool();
    let forward = || conv2d(&x, &weight, None).expect("an output");
    let out = pool.install(forward);
    assert_eq!(out.dims(), [shape.0, shape.1, shape.1, shape.3]);
    if backward {
        let bencher = bencher.counter(operations(shape));
        bencher.bench_local(|| pool.install(|| out.backward().expect("gradients")));
    } else {
        bencher
            .counter(operations(shape))
            .bench_local(|| pool.install(forward));
    }
}

#[divan::bench(args = SHAPES)]
fn forward(bencher: Bencher, shape: Shape) {
    let (x, weight) = operands(shape).expect("operands");
    let plain = (x.as_detached_tensor(), weight.as_detached_tensor());
    run(bencher, shape, plain, false);
}

#[divan::bench(args = SHAPES)]
fn input_gradient(bencher: Bencher, shape: Shape) {
    let (x, weight) = operands(shape).expect("operands");
    let plain = (x.as_tensor().clone(), weight.as_detached_tensor());
    run(bencher, shape, plain, true);
}

#[divan::bench(args = SHAPES)]
fn weight_gradient(bencher: Bencher, shape: Shape) {
    let (x, weight) = operands(shape).expect("operands");
    let plain = (x.as_detached_tensor(), weight.as_tensor().clone());
    run(bencher, shape, plain, true);
}

/// The tensor of ones that a gradient's measurement begins with.
#[divan::bench(args = SHAPES)]
fn ones(bencher: Bencher, (b, side, _, c_out, _): Shape) {
    let out = var(&[b, side, side, c_out]).expect("an output");
    assert_eq!(out.ones_like().expect("ones").dims(), out.dims());
    bencher.bench_local(|| out.ones_like().expect("ones"));
}

/// What the machine does with two square matrices.
#[divan::bench(args = [1024, 2048])]
fn matrix_product(bencher: Bencher, side: usize) {
    let (a, b) = (
        var(&[side, side]).expect("a"),
        var(&[side, side]).expect("b"),
    );
    let product = || a.as_detached_tensor().matmul(&b.as_detached_tensor());
    let pool = pool();
    let product = || pool.install(|| product().expect("a product"));
    assert_eq!(product().dims(), [side, side]);
    bencher
        .counter(ItemsCount::new(2 * side * side * side))
        .bench_local(product);
}
