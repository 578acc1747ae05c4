//! What the perturbation of a training batch costs beside the Gaussian noise that it needs anyway.
//!
//! `cargo bench -p pfgmpp-kernel`

use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use pfgmpp_kernel::{
    Dimension, Kernel, KernelError, RadiusLaw, SampleRng, Stream, standard_normal,
};

const BATCH: usize = 256;
const SHAPE: [usize; 3] = [3, 32, 32];
const N: usize = 3072;
const SIGMA: f64 = 0.7;

fn main() {
    perturbation_is_right();
    print_cost_beside_gaussian_noise();
    divan::main();
}

fn kernel(d: f64) -> Kernel {
    Kernel::new(N, Dimension::new(d).expect("positive d")).expect("valid kernel")
}

fn law(n: usize, d: f64) -> RadiusLaw {
    let kernel = Kernel::new(n, Dimension::new(d).expect("positive d")).expect("valid kernel");
    kernel.radius_law(SIGMA).expect("positive sigma")
}

fn rngs() -> Vec<SampleRng> {
    SampleRng::batch(0, Stream::Training, 0, BATCH)
}

fn data() -> Tensor {
    let dims = [BATCH, SHAPE[0], SHAPE[1], SHAPE[2]];
    Tensor::zeros(&dims, DType::F32, &Device::Cpu).expect("data")
}

/// The work that is timed gives the law that it should: half of the radii are below its median.
fn perturbation_is_right() {
    let x = perturb(&kernel(128.0), &data(), &mut rngs());
    let squares = x.and_then(|x| Ok(x.sqr()?.flatten_from(1)?.sum(1)?));
    let squares: Vec<f32> = squares.and_then(|s| Ok(s.to_vec1()?)).expect("radii");
    let law = law(N, 128.0);
    let below_median = squares.iter().map(|s| f64::from(s.sqrt()));
    let below_median = below_median.filter(|r| *r < law.quantile(0.5)).count();
    // 128 ± 4 standard deviations of 8.
    assert!(
        (96..=160).contains(&below_median),
        "radii below the median: got {below_median} of {BATCH}, want 128 ± 32"
    );
}

/// Prints how much longer a perturbation takes than Gaussian noise, the two timed in turns.
fn print_cost_beside_gaussian_noise() {
    let (kernel, y) = (kernel(128.0), data());
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..41 {
        let (mut first, mut second) = (rngs(), rngs());
        let start = Instant::now();
        black_box(perturb(&kernel, &y, &mut first)).expect("perturbed");
        let middle = Instant::now();
        black_box(add_gaussian(&y, &mut second)).expect("perturbed");
        times[0].push(middle - start);
        times[1].push(middle.elapsed());
    }
    let [perturb, gaussian] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let ratio = perturb.as_secs_f64() / gaussian.as_secs_f64();
    println!(
        "perturb {perturb:?}, gaussian {gaussian:?}: ratio {ratio:.3} (at most 1.3 is wanted)"
    );
}

fn perturb(kernel: &Kernel, y: &Tensor, rngs: &mut [SampleRng]) -> Result<Tensor, KernelError> {
    kernel.perturb(y, &[SIGMA; BATCH], rngs)
}

/// The same data plus Gaussian noise drawn the same way.
fn add_gaussian(y: &Tensor, rngs: &mut [SampleRng]) -> Result<Tensor, KernelError> {
    Ok((y + standard_normal(&SHAPE, rngs, DType::F32, &Device::Cpu)?)?)
}

/// Noise on `[256, 3, 32, 32]`, f32, one stream per sample; items are values.
#[divan::bench_group(min_time = 1)]
mod noise {
    use super::{BATCH, Bencher, ItemsCount, N, data, kernel, rngs};

    fn values() -> ItemsCount {
        ItemsCount::new(BATCH * N)
    }

    #[divan::bench(args = [0.5, 128.0, f64::INFINITY])]
    fn perturb(bencher: Bencher<'_, '_>, d: f64) {
        let (kernel, y) = (kernel(d), data());
        bencher
            .counter(values())
            .with_inputs(rngs)
            .bench_local_values(|mut rngs| super::perturb(&kernel, &y, &mut rngs));
    }

    #[divan::bench]
    fn gaussian(bencher: Bencher<'_, '_>) {
        let y = data();
        bencher
            .counter(values())
            .with_inputs(rngs)
            .bench_local_values(|mut rngs| super::add_gaussian(&y, &mut rngs));
    }

    /// candle's own noise: one generator, one thread.
    #[divan::bench]
    fn candle_randn(bencher: Bencher<'_, '_>) {
        let y = data();
        bencher
            .counter(values())
            .bench_local(|| &y + y.randn_like(0.0, 1.0)?);
    }
}

/// One evaluation of the radius law at N and D.
mod radius_law {
    use super::{Bencher, SampleRng, Stream, black_box, law};

    const CASES: [(usize, f64); 3] = [(1, 0.5), (3072, 128.0), (196_608, 1e12)];

    #[divan::bench(args = CASES)]
    fn cdf(bencher: Bencher<'_, '_>, (n, d): (usize, f64)) {
        let law = law(n, d);
        let radius = law.quantile(0.3);
        bencher.bench(|| law.cdf(black_box(radius)));
    }

    #[divan::bench(args = CASES)]
    fn quantile(bencher: Bencher<'_, '_>, (n, d): (usize, f64)) {
        let law = law(n, d);
        bencher.bench(|| law.quantile(black_box(0.3)));
    }

    #[divan::bench(args = CASES)]
    fn sample(bencher: Bencher<'_, '_>, (n, d): (usize, f64)) {
        let law = law(n, d);
        let mut rng = SampleRng::new(0, Stream::Prior, 0);
        bencher.bench_local(|| law.sample(&mut rng));
    }
}
