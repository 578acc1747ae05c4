//! Random changes to sound files: the reader neither panics nor fills the memory.
//!
//! Two seconds as a test. Longer, with another seed:
//!
//! ```text
//! PFGMPP_FUZZ_SECONDS=600 PFGMPP_FUZZ_SEED=1 cargo test --release -p pfgmpp-checkpoint --lib fuzz -- --nocapture
//! ```

use std::time::{Duration, Instant};

use candle_core::Device;
use pfgmpp_store::Window;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{memory, read};
use crate::tensors;

/// Bytes that one file may take, some fifty times its own length.
const MEMORY: usize = 200 << 20;

/// Bytes that matter to a reader: opcodes, and lengths at the edges.
const TELLING: [u8; 40] = [
    0, 1, 2, 4, 127, 128, 255, b'(', b')', b'.', b'0', b'2', b'B', b'C', b'N', b'K', b'J', b'Q',
    b'R', b'X', b'a', b'b', b'c', b'e', b'h', b'j', b'q', b't', b'u', b's', b']', b'}', 0x85, 0x8a,
    0x8c, 0x8f, 0x93, 0x94, 0x95, 0x81,
];

fn environment(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |v| v.parse().expect("a whole number"))
}

/// Changes a file in one to eight places.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=8) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        let len = rng.random_range(1..=64).min(bytes.len() - at);
        match rng.random_range(0..9) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = TELLING[rng.random_range(0..TELLING.len())],
            2 => bytes.insert(at, TELLING[rng.random_range(0..TELLING.len())]),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let part = bytes[at..at + len].to_vec();
                bytes.splice(at..at, part);
            }
            5 => rng.fill_bytes(&mut bytes[at..at + len]),
            6 => {
                let from = rng.random_range(0..other.len());
                let part = &other[from..(from + len * 8).min(other.len())];
                bytes.splice(at..at, part.iter().copied());
            }
            7 if rng.random_ratio(1, 4) => bytes.truncate(at),
            _ => {
                let value = [0u64, 1, 1 << 31, 1 << 32, 1 << 40, u64::MAX][rng.random_range(0..6)];
                let width = [2, 4, 8][rng.random_range(0..3)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
        }
    }
}

#[test]
fn fuzz_random_changes_end_in_a_network_or_in_one_line() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let corpus = [
        "edm.pkl",
        "training-state.pt",
        "training-state-legacy.pt",
        "kinds.pt",
        "kinds-legacy.pt",
        "kinds.safetensors",
    ];
    let corpus = corpus.map(|name| std::fs::read(folder.join(name)).expect("part of the crate"));
    let duration = Duration::from_secs(environment("PFGMPP_FUZZ_SECONDS", 2));
    let mut rng = ChaCha8Rng::seed_from_u64(environment("PFGMPP_FUZZ_SEED", 0));
    let (start, mut files, mut sound, mut worst) = (Instant::now(), 0u64, 0u64, 0);
    while start.elapsed() < duration {
        let index = rng.random_range(0..corpus.len());
        let mut bytes = corpus[index].clone();
        mutate(
            &mut bytes,
            &corpus[rng.random_range(0..corpus.len())],
            &mut rng,
        );
        let mut result = Ok(());
        let safetensors = index + 1 == corpus.len();
        worst = worst.max(memory::peak(|| {
            result = if safetensors {
                let read = tensors::read(&Window::from_bytes(bytes), &Device::Cpu);
                read.map(|_| ()).map_err(|e| e.to_string())
            } else {
                read(bytes)
            };
        }));
        assert!(
            worst < MEMORY,
            "file {files}: got {worst} bytes, want below {MEMORY}"
        );
        files += 1;
        sound += u64::from(result.is_ok());
        if let Err(message) = result {
            assert!(!message.is_empty(), "file {files}: an empty error");
        }
    }
    println!("{files} files, {sound} of them still sound, at most {worst} bytes");
    assert!(
        files > sound && sound > 0,
        "got {sound} sound files of {files}"
    );
}
