//! Time to load a checkpoint, beside the time to read its file: `load/operation/megabytes`.

use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use divan::Bencher;
use divan::counter::BytesCount;
use pfgmpp_checkpoint::{Checkpoint, LoadOptions, Source, Tensors};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The largest checkpoints of the published CIFAR-10 networks, in megabytes.
const SIZES: [usize; 2] = [32, 223];

fn main() {
    divan::main();
}

/// A checkpoint of so many megabytes in tensors of 2.36 MB, as the network's 256-channel convolutions are.
fn checkpoint(folder: &Path, megabytes: usize) -> usize {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/edm.pkl");
    let source = Source::open(&fixture).expect("part of the crate");
    let loaded = source.load(&LoadOptions::default(), &Device::Cpu);
    let config = loaded.expect("a network").checkpoint.config;
    let (rows, columns) = (256, 256 * 9);
    let count = megabytes * 1_000_000 / (4 * rows * columns);
    let weights: Tensors = (0..count)
        .map(|i| {
            let values: Vec<f32> = (0..rows * columns).map(|j| (i * 7 + j) as f32).collect();
            let tensor = Tensor::from_vec(values, (rows, 256, 3, 3), &Device::Cpu);
            (format!("model.{i}"), tensor.expect("as many values"))
        })
        .collect();
    let checkpoint = Checkpoint { config, weights };
    checkpoint.save(folder).expect("a written checkpoint");
    let file = fs::metadata(folder.join("model.safetensors"));
    file.expect("a file").len() as usize
}

#[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
fn read_file(bencher: Bencher, megabytes: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    let bytes = checkpoint(&path, megabytes);
    let file = path.join("model.safetensors");
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| fs::read(&file).expect("a readable file").len());
}

#[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
fn load(bencher: Bencher, megabytes: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    let bytes = checkpoint(&path, megabytes);
    let loaded = Checkpoint::load(&path, &Device::Cpu).expect("a readable checkpoint");
    let first = loaded.weights["model.0"]
        .flatten_all()
        .and_then(|t| t.get(5)?.to_scalar::<f32>());
    assert_eq!(first.expect("a number"), 5.0);
    drop(loaded);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        Checkpoint::load(&path, &Device::Cpu)
            .expect("a readable checkpoint")
            .weights
            .len()
    });
}
