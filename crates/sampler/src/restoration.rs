//! Inverse problems without retraining: data behind an observation `y_o = A y + n`, by a model that knows nothing of A.
//!
//! Each method is a wrapper, a denoiser in and a denoiser out: it turns `E[y | x]` into an estimate of `E[y | x, y_o]`,
//! and any sampler draws from the posterior by it. The slope is `(x - E[y | x, y_o]) / sigma` at every D, because noise
//! is added to y whatever was observed of it. What was observed comes with the query
//! ([`Condition::with_observed`](pfgmpp_kernel::Condition::with_observed)), a row for each sample.
//!
//! - [`Operator`]: A, one of [`Mask`], [`BoxAverage`], [`Identity`] or one's own; [`Observation`]: A and the noise.
//! - [`Mmps`], [`Dps`]: approximations that take any model with a derivative.
//! - [`JointNoise`]: no approximation at D = ∞ where A is the identity.
//! - [`ExactConditional`]: no approximation at any D, of a finite data set.
//!
//! [`Corruption`] is what a network of pairs is shown, one that was trained for it.

mod box_average;
mod conjugate_gradients;
mod corruption;
mod covariance;
mod dps;
mod exact_conditional;
mod identity;
mod joint_noise;
mod mask;
mod mmps;
mod observation;
mod operator;

pub use box_average::BoxAverage;
pub use conjugate_gradients::ConjugateGradients;
pub use corruption::Corruption;
pub use covariance::Covariance;
pub use dps::Dps;
pub use exact_conditional::ExactConditional;
pub use identity::Identity;
pub use joint_noise::JointNoise;
pub use mask::Mask;
pub use mmps::Mmps;
pub use observation::Observation;
pub use operator::Operator;
