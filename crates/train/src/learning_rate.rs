//! How the learning rate falls as training goes on.

use std::f64::consts::PI;

use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::count::count;

/// How the learning rate falls, as a function of the images seen alone, so that a longer training begins as a shorter
/// one does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LrSchedule {
    /// Along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983):
    ///
    /// ```text
    /// lr(t) = final_lr + (lr - final_lr) (1 + cos(pi min(t / over, 1))) / 2
    /// ```
    Cosine {
        /// Images over which it falls; from there on it stays.
        #[serde(deserialize_with = "count")]
        over: u64,
        /// Where it ends.
        final_lr: f64,
    },
    /// By the inverse square root (Karras et al. 2024, arXiv:2312.02696, equation 67):
    ///
    /// ```text
    /// lr(t) = lr / sqrt(max(t / reference, 1))
    /// ```
    InverseSqrt {
        /// Images up to which it stays as it is.
        #[serde(deserialize_with = "count")]
        reference: u64,
    },
}

impl LrSchedule {
    /// Checks the parameters for a rate that begins at `lr`.
    ///
    /// # Errors
    ///
    /// A length of 0 images, a rate that ends above where it began.
    pub fn check(&self, lr: f64) -> Result<(), ParameterError> {
        match self {
            Self::Cosine { over, final_lr } => {
                let at = |e: ParameterError| e.under("schedule.cosine");
                ParameterError::counted("over", *over, 1, 1 << 50).map_err(at)?;
                ParameterError::within("final_lr", *final_lr, 0.0, lr).map_err(at)
            }
            Self::InverseSqrt { reference } => {
                let at = |e: ParameterError| e.under("schedule.inverse_sqrt");
                ParameterError::counted("reference", *reference, 1, 1 << 50).map_err(at)
            }
        }
    }

    /// The learning rate after `nimg` images, of one that begins at `lr`.
    pub fn lr_at(&self, lr: f64, nimg: u64) -> f64 {
        match self {
            Self::Cosine { over, final_lr } => {
                let share = (nimg as f64 / *over as f64).min(1.0);
                final_lr + (lr - final_lr) * 0.5 * (1.0 + (PI * share).cos())
            }
            Self::InverseSqrt { reference } => {
                lr / (nimg as f64 / *reference as f64).max(1.0).sqrt()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_falls_to_its_end_and_stays() {
        let schedule = LrSchedule::Cosine {
            over: 1000,
            final_lr: 0.1,
        };
        for (nimg, want) in [(0, 1.0), (500, 0.55), (1000, 0.1), (5000, 0.1)] {
            let got = schedule.lr_at(1.0, nimg);
            assert!(
                (got - want).abs() < 1e-12,
                "after {nimg}: got {got}, want {want}"
            );
        }
    }

    #[test]
    fn an_inverse_square_root_begins_at_its_reference() {
        let schedule = LrSchedule::InverseSqrt { reference: 1000 };
        for (nimg, want) in [(0, 1.0), (1000, 1.0), (4000, 0.5), (100_000, 0.1)] {
            let got = schedule.lr_at(1.0, nimg);
            assert!(
                (got - want).abs() < 1e-12,
                "after {nimg}: got {got}, want {want}"
            );
        }
    }

    #[test]
    fn a_rate_does_not_rise() {
        let schedule = LrSchedule::Cosine {
            over: 1000,
            final_lr: 0.1,
        };
        assert!(schedule.check(0.1).is_ok());
        let error = schedule.check(0.05).unwrap_err();
        assert_eq!(error.name, "schedule.cosine.final_lr");
    }
}
