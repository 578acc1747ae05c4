//! The power-function profiles of EDM2's averages (Karras et al. 2024, arXiv:2312.02696, section 3).

use std::fmt;

use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::reconstruction::{Moment, reconstruct};

/// The shortest and the longest average, as [`PowerProfile::new`] takes them: at the longest all of training counts
/// nearly alike (a uniform average has 0.2887).
pub const SIGMA_REL: [f64; 2] = [0.005, 0.28];

/// How a power-function average weighs the past.
///
/// After `t` images the weights that were there after `tau` count
///
/// ```text
/// p(tau; t) = (gamma + 1) tau^gamma / t^(gamma + 1),   0 < tau < t
/// sigma_rel = sqrt((gamma + 1) / ((gamma + 2)² (gamma + 3)))          its standard deviation, as a share of t
/// ```
///
/// so that its length grows with training and the initial weights never count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerProfile {
    sigma_rel: f64,
    gamma: f64,
}

impl PowerProfile {
    /// The profile of relative length `sigma_rel`.
    ///
    /// # Errors
    ///
    /// A length outside [`SIGMA_REL`].
    pub fn new(sigma_rel: f64) -> Result<Self, ParameterError> {
        let [least, most] = SIGMA_REL;
        ParameterError::within("sigma_rel", sigma_rel, least, most)?;
        // The length falls with gamma, which is below 1 / sigma_rel.
        let (mut low, mut high) = (0.0, 1.0 / sigma_rel);
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            match sigma_rel_of(middle) > sigma_rel {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(Self {
            sigma_rel,
            gamma: 0.5 * (low + high),
        })
    }

    /// Standard deviation of the profile, as a share of the images seen.
    pub fn sigma_rel(&self) -> f64 {
        self.sigma_rel
    }

    /// The exponent.
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// The average's share that survives a step of `batch_size` images after `nimg` images.
    ///
    /// ```text
    /// beta = (1 - batch_size / (nimg + batch_size))^(gamma + 1)
    /// ```
    ///
    /// Steps of any sizes leave each set of weights with the integral of the profile over its step.
    pub fn beta(&self, nimg: u64, batch_size: u64) -> f64 {
        let (nimg, batch_size) = (nimg as f64, batch_size as f64);
        (nimg / (nimg + batch_size).max(f64::MIN_POSITIVE)).powf(self.gamma + 1.0)
    }

    /// The inner product of this profile after `t` images and `other` after `other_t`, per image.
    ///
    /// ```text
    /// integral p_a(tau; t_a) p_b(tau; t_b) dtau
    ///   = (gamma_a + 1) (gamma_b + 1) / (gamma_a + gamma_b + 1) (t_a / t_b)^gamma_b / t_b,   t_a <= t_b
    /// ```
    pub fn inner(&self, t: f64, other: &Self, other_t: f64) -> f64 {
        let (t_a, t_b, gamma_b) = match t <= other_t {
            true => (t, other_t, other.gamma),
            false => (other_t, t, self.gamma),
        };
        let scale = (self.gamma + 1.0) * (other.gamma + 1.0) / (self.gamma + other.gamma + 1.0);
        scale * (t_a / t_b).powf(gamma_b) / t_b
    }
}

/// The standard deviation of the profile of exponent `gamma`, as a share of its length.
fn sigma_rel_of(gamma: f64) -> f64 {
    ((gamma + 1.0) / (gamma + 3.0)).sqrt() / (gamma + 2.0)
}

/// Averages of power-function profiles that are tracked and saved, from which any other is made afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostHocEmaConfig {
    /// Relative lengths of the averages; two suffice (Karras et al. 2024 take 0.05 and 0.10).
    pub sigma_rel: Vec<f64>,
    /// Images between two snapshots of each average.
    #[serde(deserialize_with = "crate::count::count")]
    pub snapshot_every: u64,
    /// Snapshots that are kept of each average, the latest ones; all if left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::count::some_count"
    )]
    pub keep: Option<u64>,
    /// Relative lengths of averages that are made when training has ended, of which the run keeps and samples the one
    /// of the lowest error on held-out data; the average of `ema` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choose: Option<Vec<f64>>,
}

/// The share of its norm by which an average that may be chosen can be off.
pub const MISSED: f64 = 0.1;
/// Moments of snapshots that are looked at beforehand.
const MOST_MOMENTS: u64 = 32;
/// Lengths that may be chosen among.
const MOST_CHOICES: usize = 32;

/// Averages that a training may track.
const MOST_AVERAGES: usize = 8;

impl PostHocEmaConfig {
    /// The profiles of the averages.
    ///
    /// # Errors
    ///
    /// Lengths outside [`SIGMA_REL`], none, too many or one twice.
    pub fn profiles(&self) -> Result<Vec<PowerProfile>, ParameterError> {
        let accepted = |what: &str| {
            let got = Lengths(&self.sigma_rel);
            Err(ParameterError::new("sigma_rel", got, what))
        };
        if !(1..=MOST_AVERAGES).contains(&self.sigma_rel.len()) {
            return accepted("a list of 1 to 8 lengths, such as [0.05, 0.1]");
        }
        for (i, one) in self.sigma_rel.iter().enumerate() {
            if self.sigma_rel[..i].contains(one) {
                return accepted("a list of different lengths");
            }
        }
        self.sigma_rel
            .iter()
            .copied()
            .map(PowerProfile::new)
            .collect()
    }

    /// Lengths of `choose` that the snapshots of a training of `nimg` images will miss by more than [`MISSED`], each with the share
    /// by which: they are no choice.
    pub fn missed(&self, nimg: u64) -> Vec<(f64, f64)> {
        let last = nimg.div_ceil(self.snapshot_every);
        let first = last.saturating_sub(self.keep.unwrap_or(u64::MAX));
        // Many more say no more about whether they are dense enough.
        let stride = (last - first).div_ceil(MOST_MOMENTS).max(1);
        let at = |index: u64| (self.snapshot_every.saturating_mul(last - index)).min(nimg);
        let moments: Vec<u64> = (0..last - first).step_by(stride as usize).map(at).collect();
        let profiles = self.profiles().unwrap_or_default();
        let snapshots = profiles
            .iter()
            .flat_map(|p| moments.iter().map(|at| (*p, *at)));
        let snapshots: Vec<Moment> = snapshots.collect();
        let lengths = self.choose.iter().flatten();
        let off = lengths.filter_map(|&one| {
            let made = reconstruct(&snapshots, (PowerProfile::new(one).ok()?, nimg));
            Some((one, made.map_or(1.0, |made| made.error)))
        });
        off.filter(|(_, off)| *off > MISSED).collect()
    }

    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        self.profiles()?;
        if let Some(lengths) = &self.choose {
            let choices = 2..=MOST_CHOICES;
            let accepted = |what: &str| ParameterError::new("choose", Lengths(lengths), what);
            if !choices.contains(&lengths.len()) {
                return Err(accepted(
                    "a list of 2 to 32 lengths, such as [0.05, 0.1, 0.2]",
                ));
            }
            for one in lengths {
                let [least, most] = SIGMA_REL;
                let outside = format!("a list of lengths from {least} to {most}");
                PowerProfile::new(*one).map_err(|_| accepted(&outside))?;
            }
            if (1..lengths.len()).any(|i| lengths[..i].contains(&lengths[i])) {
                return Err(accepted("a list of different lengths"));
            }
        }
        ParameterError::counted("snapshot_every", self.snapshot_every, 1, 1 << 50)?;
        match self.keep {
            Some(keep) => ParameterError::counted("keep", keep, 1, 1 << 20),
            None => Ok(()),
        }
    }
}

/// Shows a list as a configuration has it.
struct Lengths<'a>(&'a [f64]);

impl fmt::Display for Lengths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let lengths: Vec<String> = self.0.iter().map(f64::to_string).collect();
        write!(f, "[{}]", lengths.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_the_exponent_that_the_paper_gives() {
        // Section 3.1: sigma_rel 0.05 and 0.10 are gamma 16.97 and 6.94.
        for (sigma_rel, want) in [(0.05, 16.97), (0.10, 6.94)] {
            let profile = PowerProfile::new(sigma_rel).unwrap();
            let gap = (profile.gamma() - want).abs();
            assert!(gap < 5e-3, "got gamma {}, want {want}", profile.gamma());
            let back = sigma_rel_of(profile.gamma());
            assert!(
                (back / sigma_rel - 1.0).abs() < 1e-12,
                "got {back}, want {sigma_rel}"
            );
        }
    }

    #[test]
    fn steps_leave_each_set_of_weights_with_the_integral_of_the_profile() {
        let profile = PowerProfile::new(0.1).unwrap();
        let steps = [10u64, 3, 7, 64, 64, 1];
        let end: u64 = steps.iter().sum();
        let (mut shares, mut nimg) = (Vec::new(), 0);
        for batch in steps {
            let beta = profile.beta(nimg, batch);
            shares.iter_mut().for_each(|share| *share *= beta);
            shares.push(1.0 - beta);
            nimg += batch;
        }
        let integral = |t: u64| (t as f64 / end as f64).powf(profile.gamma() + 1.0);
        let mut before = 0;
        for (batch, got) in steps.into_iter().zip(shares) {
            let want = integral(before + batch) - integral(before);
            assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
            before += batch;
        }
    }

    #[test]
    fn the_inner_product_is_that_of_a_sum() {
        let [a, b] = [0.05, 0.1].map(|length| PowerProfile::new(length).unwrap());
        let value = |profile: &PowerProfile, tau: f64, t: f64| match tau < t {
            true => (profile.gamma() + 1.0) * (tau / t).powf(profile.gamma()) / t,
            false => 0.0,
        };
        for (t_a, t_b) in [(100.0, 100.0), (60.0, 100.0), (100.0, 30.0)] {
            let count = 200_000;
            let step = 100.0 / f64::from(count);
            let tau = |i: i32| (f64::from(i) + 0.5) * step;
            let terms = (0..count).map(|i| value(&a, tau(i), t_a) * value(&b, tau(i), t_b) * step);
            let (got, want): (f64, f64) = (a.inner(t_a, &b, t_b), terms.sum());
            let gap = (got / want - 1.0).abs();
            assert!(gap < 1e-6, "{t_a} and {t_b}: got {got}, want {want}");
            assert_eq!(got, b.inner(t_b, &a, t_a), "it is symmetric");
        }
    }
}
