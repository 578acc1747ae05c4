//! The unbiased PFGM++ objective.
//!
//! ```text
//! L = E_y E_sigma E_{x ~ p_r(.|y)} weight |D(x; sigma) - y|²,   r = sigma sqrt(D)
//! ```
//!
//! Its minimiser is `E[y | x]` for every D, with no large batch and no bias (Xu et al. 2023,
//! section 3.2). One sample of data gives one sample of the loss.

mod unbiased;

pub use unbiased::{Loss, TrainableDenoiser, UnbiasedObjective};
