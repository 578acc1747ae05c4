//! Whether the memory suffices, asked before any of it is taken: when it runs out the system ends the process, and
//! with it all other runs of a sweep.

use pfgmpp_data::{DataSource, Splits};
use pfgmpp_nn::MemoryEstimate;

use crate::error::RunError;
use crate::free_memory::FreeMemory;

/// Tensors of the shape of a batch of samples, in `f64`, that a solver holds at its side of a model.
const OF_A_SOLVER: u64 = 6;
/// Copies of all samples, in `f32`: one by one and together.
const OF_SAMPLES: u64 = 2;
/// What to change if one sample is too many.
pub(crate) const NO_SAMPLE_FITS: &str = "even one sample a thread does not fit: take a narrower network, fewer samples or fewer threads";

/// What a process holds for each byte of tensors that come and go: the allocator keeps what was freed for others of
/// the same size. Measured at 1.4 to 1.7 for the configurations in `configs/`.
const HELD: f64 = 1.6;
/// Bytes of the program itself and of what every run has.
const PROGRAM: u64 = 64 << 20;

/// What a model takes to be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Footprint {
    /// A network.
    Network(MemoryEstimate),
    /// A network that is differentiated.
    Derivative(MemoryEstimate),
    /// The exact posterior of so many data.
    Exact(u64),
}

impl Footprint {
    /// Refuses a batch of samples, set by `key`, that takes more memory than is free; gives what it takes.
    pub fn check_sampling(&self, n: u64, key: &str, batch: u64, num: u64) -> Result<u64, RunError> {
        check(key, batch, NO_SAMPLE_FITS, |batch| {
            self.sampling(n, batch, num)
        })
    }

    /// Values of the weights.
    pub fn parameters(&self) -> u64 {
        match self {
            Self::Network(network) | Self::Derivative(network) => network.parameters(),
            Self::Exact(_) => 0,
        }
    }

    /// What it takes to be evaluated with its derivative: what lies between input and output is kept for the way back.
    pub fn with_derivative(&self) -> Self {
        match self {
            Self::Network(network) | Self::Derivative(network) => Self::Derivative(network.clone()),
            Self::Exact(data) => Self::Exact(*data),
        }
    }

    /// Refuses a batch of likelihoods of `probes` probes, set by `key`, that takes more memory than is free; gives
    /// what it takes.
    pub fn check_likelihood(
        &self,
        n: u64,
        key: &str,
        batch: u64,
        probes: u64,
    ) -> Result<u64, RunError> {
        let else_ = "even one item a thread does not fit: take a narrower network or fewer threads";
        check(key, batch, else_, |batch| self.likelihood(n, batch, probes))
    }

    /// Bytes that the process holds at the peak of the likelihoods of `batch` data of `n` values: what derivatives
    /// are taken back through, and a solver's states with a probe and a coordinate each.
    fn likelihood(&self, n: u64, batch: u64, probes: u64) -> u64 {
        let batch = batch.max(rayon::current_num_threads() as u64);
        let (staying, model) = match self {
            Self::Network(network) | Self::Derivative(network) => {
                (4 * network.parameters(), network.training(batch, 0))
            }
            Self::Exact(data) => {
                let data = data.saturating_mul(n).saturating_mul(8);
                (data, data)
            }
        };
        let values = n.saturating_add(probes).saturating_mul(OF_A_SOLVER);
        let values = values.saturating_add(n.saturating_mul(probes));
        let states = batch.saturating_mul(values).saturating_mul(8);
        held(staying, model.saturating_add(states))
    }

    /// Bytes that the process holds at the peak of drawing `num` samples of `n` values, `batch` at a time.
    pub fn sampling(&self, n: u64, batch: u64, num: u64) -> u64 {
        // Each thread draws one at least.
        let threads = rayon::current_num_threads() as u64;
        let batch = batch.max(threads).min(num.max(1));
        let (staying, model) = match self {
            Self::Network(network) => (4 * network.parameters(), network.evaluation(batch)),
            Self::Derivative(network) => (4 * network.parameters(), network.training(batch, 0)),
            // The data in f64; weights of pairs are taken a block at a time.
            Self::Exact(data) => {
                let data = data.saturating_mul(n).saturating_mul(8);
                (data, data)
            }
        };
        let states = batch.saturating_mul(n).saturating_mul(8 * OF_A_SOLVER);
        let samples = num.saturating_mul(n).saturating_mul(4 * OF_SAMPLES);
        let staying = staying.saturating_add(samples);
        held(
            staying,
            model.saturating_add(states).saturating_add(samples),
        )
    }
}

/// Bytes that a process holds at its peak while a network looks at `num` samples of `n` values, for which `passing` bytes come and
/// go, beside a model of so many `parameters`.
pub(crate) fn looking(parameters: u64, n: u64, num: u64, passing: u64) -> u64 {
    let samples = num.saturating_mul(n).saturating_mul(4 * OF_SAMPLES);
    let staying = parameters.saturating_mul(4).saturating_add(samples);
    held(staying, staying.saturating_add(passing))
}

/// What a process holds at its peak whose tensors take `peak` bytes then, `staying` of them all the time.
pub(crate) fn held(staying: u64, peak: u64) -> u64 {
    let coming = peak.saturating_sub(staying) as f64;
    // A conversion from a float saturates.
    let coming = (coming * HELD) as u64;
    staying.saturating_add(coming).saturating_add(PROGRAM)
}

/// Refuses what takes more memory than is free: the size `key = value`, which takes `bytes(value)` bytes.
///
/// Gives what it takes; `else_` is what to change if one is too many.
pub(crate) fn check(
    key: &str,
    value: u64,
    else_: &str,
    bytes: impl Fn(u64) -> u64,
) -> Result<u64, RunError> {
    let free = FreeMemory::now().of_one(1, 0);
    check_against((free, String::new()), key, value, else_, bytes)
}

/// As [`check`], with what is `free`, and for whom.
pub(crate) fn check_against(
    (free, of): (Option<u64>, String),
    key: &str,
    value: u64,
    else_: &str,
    bytes: impl Fn(u64) -> u64,
) -> Result<u64, RunError> {
    let needed = bytes(value);
    let Some(free) = free.filter(|free| *free < needed) else {
        return Ok(needed);
    };
    // The largest that would do.
    let (mut fits, mut too_many) = (0, value);
    while fits + 1 < too_many {
        let middle = fits + (too_many - fits) / 2;
        match bytes(middle) <= free {
            true => fits = middle,
            false => too_many = middle,
        }
    }
    Err(RunError::Memory {
        key: key.to_string(),
        value: value.to_string(),
        needed,
        free,
        of,
        advice: match fits {
            0 => else_.to_string(),
            _ => format!("up to {fits} fit"),
        },
    })
}

/// Refuses to look through the network `value`, for which the key `key` asks, where `needed` bytes are more than are `free`.
pub(crate) fn check_needed(
    (key, value): (&str, &str),
    free: Option<u64>,
    needed: u64,
) -> Result<(), RunError> {
    match free.filter(|free| *free < needed) {
        None => Ok(()),
        Some(free) => Err(RunError::Memory {
            key: key.to_string(),
            value: value.to_string(),
            needed,
            free,
            of: String::new(),
            advice: "leave it out, or take fewer samples or threads".to_string(),
        }),
    }
}

/// Loads data, if there is memory for what they are made of.
///
/// # Errors
///
/// [`RunError::Memory`], and data that cannot be loaded.
pub fn load(data: &DataSource) -> Result<Splits, RunError> {
    if let DataSource::Noise(noise) = data {
        let n: usize = noise.shape.iter().product();
        check(
            "data.noise.num",
            noise.num as u64,
            "take smaller images",
            |num| num.saturating_mul(4 * n as u64),
        )?;
    }
    Ok(data.load()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_figures_and_what_would() {
        let (mib, gib) = (1u64 << 20, 1u64 << 30);
        let bytes = |batch: u64| 100 * mib + batch * 10 * mib;
        let check = |free, batch| {
            let free = (free, String::new());
            check_against(free, "training.batch_size", batch, "take another", bytes)
        };
        assert_eq!(check(Some(gib), 64).unwrap(), 740 * mib);
        assert_eq!(check(None, 1 << 40).unwrap(), bytes(1 << 40));
        let got = check(Some(gib), 1024).unwrap_err().to_string();
        let want = "training.batch_size: 1024: needs about 10.1 GiB of memory, 1.0 GiB are free: up to 92 fit";
        assert_eq!(got, want);
        let got = check(Some(50 * mib), 4).unwrap_err().to_string();
        assert!(
            got.ends_with("140 MiB of memory, 50 MiB are free: take another"),
            "got {got}"
        );
    }
}
