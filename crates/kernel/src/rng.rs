//! One random stream per sample, so that a sample does not depend on its batch, device or threads.

use std::convert::Infallible;

use rand::{SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;

/// What a random stream is for: streams of different purposes never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Noise level and noise of a training sample; index: its position in the run (`nimg`).
    Training,
    /// Prior noise of a generated sample, whose own seed is the seed; index: 0.
    Prior,
    /// Noise that a stochastic sampler adds to a sample, whose own seed is the seed; index: the step.
    Churn,
    /// Noise injected into a sample, whose own seed is the seed, without its sampler's knowledge; index: the step.
    Injected,
    /// Probes that estimate the trace in a datum's likelihood, whose own seed is the seed; index: the probe.
    Probe,
    /// Dropout masks of a training sample; index: its position in the run (`nimg`).
    Dropout,
    /// The class of a generated sample, whose own seed is the seed; index: 0.
    Class,
    /// Noise of three measures that share it: that of held-out data in the denoising error of a run, that of the
    /// exact posterior behind the lift's denoising error, and the reference row of prior noise. Under one seed they
    /// draw alike, which no result depends on, as they are never set against each other; told apart they would give
    /// other numbers than before. Anything new takes [`Self::Score`].
    Metric,
    /// How a training sample is augmented; index: its position in the run (`nimg`).
    Augmentation,
    /// What a network of pairs is shown of a training sample; index: its position in the run (`nimg`).
    Corruption,
    /// The D of a training sample of a network for many; index: its position in the run (`nimg`).
    Dimension,
    /// Noise of a simulated observation, of the run's seed; index: the image.
    Observation,
    /// Random directions, noise and subsets of one score, told apart by its name ([`Self::score`]); index: free for
    /// the score.
    Score(u64),
    /// Any further purpose, told apart by its number.
    Other(u64),
}

impl Stream {
    /// The purpose of the score `name`: its FNV-1a hash of 64 bits (Fowler, Noll and Vo), the same in every version.
    #[must_use]
    pub fn score(name: &str) -> Self {
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self::Score(name.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// Two words, unlike for unlike purposes. The numbers are part of what a seed means: never renumber.
    fn words(self) -> [u64; 2] {
        match self {
            Self::Training => [1, 0],
            Self::Prior => [2, 0],
            Self::Churn => [3, 0],
            Self::Dropout => [5, 0],
            Self::Metric => [8, 0],
            Self::Class => [12, 0],
            Self::Injected => [20, 0],
            Self::Observation => [24, 0],
            Self::Probe => [21, 0],
            Self::Augmentation => [30, 0],
            Self::Corruption => [31, 0],
            Self::Dimension => [32, 0],
            Self::Score(number) => [16, number],
            Self::Other(number) => [0, number],
        }
    }
}

/// The random generator of one sample: ChaCha with 8 rounds, keyed by seed, purpose and index.
///
/// ```text
/// key (256 bits) = seed | purpose (2 words) | index
/// ```
///
/// Unlike triples give unlike keys, hence streams that cannot collide. A generator costs one key
/// setup, so it is made where it is needed and never stored in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRng(ChaCha8Rng);

impl SampleRng {
    /// The stream of sample `index` for one `purpose` under the run's `seed`.
    #[must_use]
    pub fn new(seed: u64, purpose: Stream, index: u64) -> Self {
        let [tag, number] = purpose.words();
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, tag, number, index]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The streams of the samples `first .. first + count`, in order.
    #[must_use]
    pub fn batch(seed: u64, purpose: Stream, first: u64, count: usize) -> Vec<Self> {
        (first..)
            .take(count)
            .map(|index| Self::new(seed, purpose, index))
            .collect()
    }

    /// The next word as a whole number from 0 to `end - 1`; the probabilities differ by less than 2^-64.
    #[must_use]
    pub fn below(&mut self, end: u64) -> u64 {
        let Ok(word) = self.0.try_next_u64();
        ((u128::from(word) * u128::from(end)) >> 64) as u64
    }
}

impl TryRng for SampleRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::Rng;

    use super::{SampleRng, Stream};

    #[test]
    fn a_stream_is_fixed_by_seed_purpose_and_index() {
        let draw = |seed, purpose, index| SampleRng::new(seed, purpose, index).next_u64();
        let (got, want) = (draw(7, Stream::Prior, 3), draw(7, Stream::Prior, 3));
        assert_eq!(got, want);
    }

    #[test]
    fn a_seed_means_the_same_in_every_version() {
        let got = SampleRng::new(7, Stream::Prior, 3).next_u64();
        let want = 6_503_253_633_058_611_488;
        assert_eq!(got, want, "first word of the stream");
    }

    #[test]
    fn streams_of_unlike_purpose_seed_or_index_differ() {
        let purposes = [
            Stream::Training,
            Stream::Prior,
            Stream::Churn,
            Stream::Injected,
            Stream::Probe,
            Stream::Dropout,
            Stream::Metric,
            Stream::score(""),
            Stream::score("a"),
            Stream::Score(0),
            Stream::Class,
            Stream::Observation,
            Stream::Augmentation,
            Stream::Corruption,
            Stream::Other(0),
            Stream::Other(1),
            Stream::Other(9),
        ];
        let mut first_words = HashSet::new();
        for purpose in purposes {
            for seed in [0, 1, 2, u64::MAX] {
                for index in [0, 1, 2, u64::MAX] {
                    first_words.insert(SampleRng::new(seed, purpose, index).next_u64());
                }
            }
        }
        let (got, want) = (first_words.len(), purposes.len() * 16);
        assert_eq!(got, want, "distinct first words");
    }

    #[test]
    fn a_score_is_told_by_the_published_hash_of_its_name() {
        // Test vectors of draft-eastlake-fnv: of "", "a" and "foobar".
        for (name, want) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(Stream::score(name), Stream::Score(want), "{name}");
        }
    }

    #[test]
    fn a_batch_is_the_streams_of_its_samples() {
        let got = SampleRng::batch(5, Stream::Dropout, 10, 3);
        let want: Vec<_> = (10..13)
            .map(|index| SampleRng::new(5, Stream::Dropout, index))
            .collect();
        assert_eq!(got, want);
    }
}
