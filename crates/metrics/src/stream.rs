//! Independent random streams.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for: two purposes never share draws, even under one seed.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Projection,
    GaussianFit,
    Bootstrap,
}

/// Stream `index` of `purpose` under `seed`.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: usize) -> ChaCha8Rng {
    let tag: &[u8; 8] = match purpose {
        Purpose::Projection => b"sliced-w",
        Purpose::GaussianFit => b"gaussfit",
        Purpose::Bootstrap => b"bootstrp",
    };
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(tag);
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(index as u64);
    rng
}
