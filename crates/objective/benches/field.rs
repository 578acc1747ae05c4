//! The large-batch field of original PFGM: batch 128, large batches of 4,096 and 50,000, N = 3,072.
//!
//! `cargo bench -p pfgmpp-objective`, with `RAYON_NUM_THREADS` for another number of threads.

use candle_core::{DType, Device, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use pfgmpp_kernel::{SampleRng, Stream, standard_normal};
use pfgmpp_objective::PfgmField;

const BATCH: usize = 128;
const LARGE: usize = 4096;
const VERY_LARGE: usize = 50_000;
const N: usize = 3072;
const GAMMA: f64 = 5.0;

fn main() {
    for large in [LARGE, VERY_LARGE] {
        let (data, x, z) = problem(large);
        divan::black_box(target(&data, &x, &z));
        if let Some(peak) = peak_memory() {
            let data = (large * N * size_of::<f32>()) as f64 / 1e6;
            println!("large batch {large}: peak memory {peak:.0} MB, the data are {data:.0} MB");
            assert!(peak < data + 100.0, "more than 100 MB beside the data");
        }
    }
    let (data, x, z) = problem(LARGE);
    single_precision_is_close_to_double(&data, &x, &z);
    divan::main();
}

/// The peak of this process's memory so far in MB, where the system tells it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1.024e-3)
}

/// White data, and samples that lie z from a data point, z in (0, 10].
fn problem(large: usize) -> (Tensor, Tensor, Vec<f64>) {
    let mut rngs = SampleRng::batch(0, Stream::Other(0), 0, large);
    let data = standard_normal(&[N], &mut rngs, DType::F32, &Device::Cpu).expect("data");
    let z: Vec<f64> = (1..=BATCH)
        .map(|b| 10.0 * b as f64 / BATCH as f64)
        .collect();
    let noise = standard_normal(&[N], &mut rngs[..BATCH], DType::F32, &Device::Cpu);
    let scale = Tensor::from_slice(&z, (BATCH, 1), &Device::Cpu);
    let scale = scale.and_then(|z| z.to_dtype(DType::F32)).expect("scale");
    let noise = noise.expect("noise").broadcast_mul(&scale).expect("noise");
    let x = (data.narrow(0, 0, BATCH).expect("batch") + noise).expect("x");
    (data, x, z)
}

fn target(data: &Tensor, x: &Tensor, z: &[f64]) -> Tensor {
    let field = PfgmField::new(data, GAMMA).expect("field");
    field.target(x, z).expect("target")
}

/// The timed answer is right: within 1e-4 of the one computed in double precision.
fn single_precision_is_close_to_double(data: &Tensor, x: &Tensor, z: &[f64]) {
    let wide = |t: &Tensor| t.to_dtype(DType::F64).expect("f64");
    let want = target(&wide(data), &wide(x), z);
    let norm = |t: &Tensor| t.sqr().and_then(|t| t.sum(1)).and_then(|t| t.sqrt());
    let difference = (wide(&target(data, x, z)) - &want).expect("difference");
    let relative = norm(&difference).and_then(|d| d / norm(&want)?);
    let errors: Vec<f64> = relative.and_then(|e| e.to_vec1()).expect("errors");
    let largest = errors.iter().copied().fold(0.0, f64::max);
    assert!(
        largest < 1e-4,
        "f32 target: relative error {largest:e}, want below 1e-4"
    );
    println!("largest relative error of the f32 target: {largest:.1e} (at most 1e-4 is wanted)");
}

/// The target of 128 samples, the field's construction included; items are pairs of sample and point.
#[divan::bench_group(min_time = 2)]
mod pfgm_target {
    use super::{BATCH, Bencher, ItemsCount, LARGE, VERY_LARGE, problem};

    #[divan::bench(args = [LARGE, VERY_LARGE])]
    fn large_batch(bencher: Bencher<'_, '_>, large: usize) {
        let (data, x, z) = problem(large);
        bencher
            .counter(ItemsCount::new(BATCH * large))
            .bench_local(|| super::target(&data, &x, &z));
    }
}
