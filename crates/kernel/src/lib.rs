//! The PFGM++ perturbation kernel for every D in (0, infinity].

mod denoiser;

pub use denoiser::Denoiser;
