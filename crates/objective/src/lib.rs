//! What a network is trained on: the unbiased objective, the stable target, the original PFGM field.
//!
//! ```text
//! L = E_y E_sigma E_{x ~ p_r(.|y)} weight |D(x; sigma) - y|²,   r = sigma sqrt(D)
//! ```
//!
//! - [`UnbiasedObjective`]: its minimiser is `E[y | x]` for every D, with no large batch and no bias
//!   (Xu et al. 2023, section 3.2). One sample of data gives one sample of the loss.
//! - [`StableTargetObjective`]: the same with `y` replaced by its posterior mean over a reference
//!   batch, which trades variance for a bias that falls with the reference batch.
//! - [`PfgmObjective`]: the normalised field of a large batch in N + 1 dimensions, the method of the
//!   first paper (D = 1); [`PfgmField`] is its target and [`PfgmPerturbation`] its noise, and
//!   [`PfgmScales`] suggests their sizes.

mod field;
mod loss;
mod pfgm;
mod pfgm_perturbation;
mod pfgm_scales;
mod stable_target;
mod unbiased;

pub use field::{FieldError, PfgmField};
pub use loss::{Loss, TrainingModel, Weighted};
pub use pfgm::PfgmObjective;
pub use pfgm_perturbation::PfgmPerturbation;
pub use pfgm_scales::PfgmScales;
pub use stable_target::StableTargetObjective;
pub use unbiased::UnbiasedObjective;
