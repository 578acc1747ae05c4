//! Convolutions of the published CIFAR-10 network and of one half as wide, as shares of the rate of a matrix product.
//!
//! Each round times a product of two square matrices and then every convolution of one shape, so that a
//! machine with other work to do slows both: a harness that times one thing after the other could not tell. A
//! rate counts the operations of the direct algorithm; the table holds medians over the rounds.
//!
//! An argument on the command line chooses shapes: `cargo bench -p pfgmpp-nn --bench conv -- "4, 8"`.

use std::time::Instant;

use candle_core::{Device, Result, Shape, Tensor};
use pfgmpp_nn::ops::{self, Conv2dConfig};

/// What the program uses: freshly mapped memory would cost more than the arithmetic.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batch, side of the image, input channels, output channels, side of the kernel.
type Case = (usize, usize, usize, usize, usize);

const CASES: [Case; 10] = [
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

/// Side of the square matrices.
const SIDE: usize = 1024;

const ROUNDS: usize = 15;

fn tensor(dims: &[usize]) -> Result<Tensor> {
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|i| (i as f32 * 0.37).sin())
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu)
}

/// Operations a second of `f`, which takes `operations` and gives a tensor of shape `want`; it runs twice,
/// and the faster time counts.
fn rate(operations: usize, want: &Shape, f: impl Fn() -> Result<Tensor>) -> Result<f64> {
    let mut seconds = f64::INFINITY;
    for _ in 0..2 {
        let start = Instant::now();
        let out = f()?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
        assert_eq!(out.shape(), want);
    }
    Ok(operations as f64 / seconds)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rates of a matrix product, and of the convolution and its two gradients.
fn round(case: Case, matrices: &(Tensor, Tensor), operands: &[Tensor; 3]) -> Result<[f64; 4]> {
    let (b, side, c_in, c_out, kernel) = case;
    let operations = 2 * b * side * side * c_in * c_out * kernel * kernel;
    let [x, weight, grad] = operands;
    let config = Conv2dConfig::same(kernel);
    let product = rate(2 * SIDE * SIDE * SIDE, matrices.0.shape(), || {
        matrices.0.matmul(&matrices.1)
    })?;
    let forward = rate(operations, grad.shape(), || ops::conv2d(x, weight, None))?;
    let input = rate(operations, x.shape(), || {
        ops::conv2d_input_gradient(x.shape(), weight, grad, config)
    })?;
    let weights = rate(operations, weight.shape(), || {
        ops::conv2d_weight_gradient(x, weight.shape(), grad, config)
    })?;
    Ok([product, forward, input, weights])
}

fn measure() -> Result<()> {
    let matrices = (tensor(&[SIDE, SIDE])?, tensor(&[SIDE, SIDE])?);
    let chosen = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    println!("10^9 operations a second, and per cent of a matrix product in the same round");
    println!(
        "{:>24} {:>8} {:>12} {:>15} {:>15}",
        "", "product", "forward", "input gradient", "weight gradient"
    );
    for case in CASES {
        let name = format!("{case:?}");
        if chosen.as_ref().is_some_and(|part| !name.contains(part)) {
            continue;
        }
        let (b, side, c_in, c_out, kernel) = case;
        let operands = [
            tensor(&[b, side, side, c_in])?,
            tensor(&[c_out, c_in, kernel, kernel])?,
            tensor(&[b, side, side, c_out])?,
        ];
        let rounds = (0..ROUNDS)
            .map(|_| round(case, &matrices, &operands))
            .collect::<Result<Vec<_>>>()?;
        let of = |f: &dyn Fn(&[f64; 4]) -> f64| median(rounds.iter().map(f).collect());
        let cell = |i: usize| {
            let (rate, share) = (of(&|r| r[i] / 1e9), of(&|r| 100.0 * r[i] / r[0]));
            format!("{rate:.0} {share:4.0} %")
        };
        println!(
            "{name:>24} {:>8.0} {:>12} {:>15} {:>15}",
            of(&|r| r[0] / 1e9),
            cell(1),
            cell(2),
            cell(3)
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS);
    pool.build()
        .expect("threads can be started")
        .install(measure)
}
