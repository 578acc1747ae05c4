//! How the trace of the model's Jacobian is taken.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{SampleRng, Stream, beside, standard_normal};
use pfgmpp_transfer::ParameterError;

/// The largest N for which the trace may be exact, at N vector-Jacobian products an evaluation.
pub const MAX_EXACT_N: usize = 64;
/// The most probes of one datum.
const MAX_PROBES: usize = 4096;

/// The law of the probes' entries: of mean 0 and variance 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProbeKind {
    /// Signs: the diagonal of the Jacobian is met exactly, the rest scatters.
    #[default]
    Rademacher,
    /// Standard normal: scatters more, as the diagonal does too.
    Gaussian,
}

/// How the trace of `J = dE[y|x]/dx` is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// The sum of all N entries of the diagonal, one vector-Jacobian product each; N at most [`MAX_EXACT_N`].
    Exact,
    /// Hutchinson's estimate: `v^T J v` of random probes, whose mean is the trace.
    Hutchinson {
        /// Number of probes a datum.
        probes: usize,
        /// The law of their entries.
        kind: ProbeKind,
    },
}

impl Trace {
    /// Checks that it can be taken of data of `n` values.
    ///
    /// # Errors
    ///
    /// No probe or more than 4,096; the exact trace where N is above [`MAX_EXACT_N`].
    pub fn check(self, n: usize) -> std::result::Result<(), ParameterError> {
        match self {
            Self::Exact if n > MAX_EXACT_N => {
                let accepted = format!(
                    "for data of at most {MAX_EXACT_N} values, as it takes a product for each; give it up for probes"
                );
                Err(ParameterError::new(
                    "exact_trace",
                    format!("N = {n}"),
                    accepted,
                ))
            }
            Self::Hutchinson { probes, .. } if !(1..=MAX_PROBES).contains(&probes) => {
                let accepted = format!("from 1 to {MAX_PROBES}");
                Err(ParameterError::new("probes", probes, accepted))
            }
            _ => Ok(()),
        }
    }

    /// Coordinates that are carried beside the state: one a probe, and one for the exact trace.
    pub(crate) fn carried(self) -> usize {
        match self {
            Self::Exact => 1,
            Self::Hutchinson { probes, .. } => probes,
        }
    }
}

/// Probes of `n` entries: one tensor `[seeds.len(), n]` for each of `probes`, of the dtype and on the device of `like`.
///
/// Probe k of a datum is drawn from the datum's stream k, so that it depends neither on the batch nor on the number
/// of probes.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn draw_probes(
    kind: ProbeKind,
    probes: usize,
    n: usize,
    seeds: &[u64],
    like: &Tensor,
) -> Result<Vec<Tensor>> {
    let draw = |probe| {
        let streams = seeds
            .iter()
            .map(|&seed| SampleRng::new(seed, Stream::Probe, probe));
        let mut rngs: Vec<SampleRng> = streams.collect();
        match kind {
            ProbeKind::Gaussian => Ok(standard_normal(
                &[n],
                &mut rngs,
                like.dtype(),
                like.device(),
            )?),
            ProbeKind::Rademacher => {
                let signs = rngs
                    .iter_mut()
                    .flat_map(|rng| (0..n).map(|_| if rng.below(2) == 0 { -1.0 } else { 1.0 }));
                beside(signs.collect::<Vec<f64>>(), (seeds.len(), n), like)
            }
        }
    };
    (0..probes as u64).map(draw).collect()
}
