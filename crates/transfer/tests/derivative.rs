//! Derivatives of noise levels and scalings, and of the lift, against central differences in `f64`.

use pfgmpp_kernel::Dimension;
use pfgmpp_transfer::{
    BetaSchedule, Coefficients, ConsistencyPreconditioning, DataScale, DdpmOutput,
    DdpmPreconditioning, Dual, EdmPreconditioning, IddpmPreconditioning, NoiseLevel,
    PosteriorNoise, Preconditioning, Real, VePreconditioning, VpPreconditioning,
};

const DIMENSIONS: [f64; 5] = [0.5, 1.0, 8.0, 128.0, f64::INFINITY];
const NOISES: [NoiseLevel; 3] = [
    NoiseLevel::Nominal,
    NoiseLevel::Effective,
    NoiseLevel::Posterior,
];

fn preconditionings(noise: NoiseLevel) -> Vec<(&'static str, Preconditioning)> {
    let ddpm = |output, m| {
        Preconditioning::Ddpm(DdpmPreconditioning {
            beta: BetaSchedule::Linear {
                beta_start: 1e-4,
                beta_end: 0.02,
            },
            m,
            output,
            noise,
        })
    };
    let (sigma_data, sigma_min) = (0.5, 0.002);
    vec![
        (
            "edm",
            Preconditioning::Edm(EdmPreconditioning { sigma_data, noise }),
        ),
        (
            "vp",
            Preconditioning::Vp(VpPreconditioning {
                beta_d: 19.9,
                beta_min: 0.1,
                m: 1000,
                noise,
            }),
        ),
        ("ve", Preconditioning::Ve(VePreconditioning { noise })),
        (
            "iddpm",
            Preconditioning::Iddpm(IddpmPreconditioning {
                c_1: 0.001,
                c_2: 0.008,
                m: 1000,
                noise,
            }),
        ),
        ("ddpm epsilon", ddpm(DdpmOutput::Epsilon, 1000)),
        ("ddpm sample", ddpm(DdpmOutput::Sample, 100)),
        ("ddpm v", ddpm(DdpmOutput::VPrediction, 100)),
        (
            "consistency",
            Preconditioning::Consistency(ConsistencyPreconditioning {
                sigma_data,
                sigma_min,
                noise,
            }),
        ),
    ]
}

/// The slope of `f(k)`, a step of `k h`, by a central difference of the fourth order.
fn slope(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    (8.0 * (f(1.0) - f(-1.0)) - (f(2.0) - f(-2.0))) / (12.0 * h)
}

/// Whether c_noise goes by the steps of a table.
fn in_steps(preconditioning: &Preconditioning) -> bool {
    matches!(
        preconditioning,
        Preconditioning::Ddpm(_) | Preconditioning::Iddpm(_)
    )
}

fn list<R: Copy>(c: &Coefficients<R>) -> [R; 5] {
    [c.c_skip, c.c_out, c.c_in, c.c_noise, c.weight]
}

/// The scalings that a network of N dimensions gets.
fn scalings<R: Real>(
    posterior: &PosteriorNoise,
    preconditioning: &Preconditioning,
    x_norm_sq: R,
    sigma: R,
) -> Coefficients<R> {
    match preconditioning.noise() {
        NoiseLevel::Nominal => preconditioning.coefficients_of(sigma),
        NoiseLevel::Effective => {
            preconditioning.coefficients_of(posterior.sigma_eff_of(x_norm_sq, sigma))
        }
        NoiseLevel::Posterior => posterior.coefficients_of(preconditioning, x_norm_sq, sigma),
    }
}

/// One sample, of data that have the second moment 0.3.
#[derive(Debug)]
struct Case {
    n: usize,
    n_eff: f64,
    d: f64,
    sigma: f64,
    /// `|x|²/N`.
    x2: f64,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, n_eff) in [(2, 2.0), (64, 40.0)] {
        for d in DIMENSIONS {
            for sigma in [0.0203, 0.417, 3.03, 61.0_f64] {
                // At the origin, where the data are, where the noise brings them, and far out. N = 2, D = 0.5 and
                // the lowest level at the origin are hard on the quadrature: next to nothing holds the density.
                let spread = 0.3 + sigma.powi(2);
                for x2 in [1e-6, 0.21, 1.1 * spread, 1.3e6 * spread] {
                    cases.push(Case {
                        n,
                        n_eff,
                        d,
                        sigma,
                        x2,
                    });
                }
            }
        }
    }
    cases
}

impl Case {
    /// The largest error of the derivatives of the scalings by ln |x|² and ln sigma, relative to them.
    fn error(&self, preconditioning: &Preconditioning) -> f64 {
        let (second_moment, n_eff) = (0.3, self.n_eff);
        let data = DataScale {
            second_moment,
            n_eff,
        };
        let d = Dimension::new(self.d).unwrap();
        let posterior = PosteriorNoise::new(self.n, d, data);
        let (q, sigma) = (self.n as f64 * self.x2, self.sigma);
        let at = |q, sigma| list(&scalings(&posterior, preconditioning, q, sigma));
        let (by_q, by_sigma) = (Dual::<2>::variable(q, 0), Dual::variable(sigma, 1));
        let got = scalings(&posterior, preconditioning, by_q, by_sigma);
        assert_eq!(list(&got.values()), at(q, sigma), "the scalings are others");
        let h = 3e-5;
        let mut worst = 0.0_f64;
        for (i, got) in list(&got).into_iter().enumerate() {
            let along_q = |k: f64| at(q * (1.0 + k * h), sigma)[i];
            let along_sigma = |k: f64| at(q, sigma * (1.0 + k * h))[i];
            let along: [&dyn Fn(f64) -> f64; 2] = [&along_q, &along_sigma];
            let by = [got.by[0] * q, got.by[1] * sigma];
            for (by, f) in by.into_iter().zip(along) {
                if i == 3 && in_steps(preconditioning) && f(2.0).floor() != f(-2.0).floor() {
                    // c_noise bends or jumps from one step to the next.
                    continue;
                }
                let want = slope(h, f);
                // What does not move but for rounding counts beside the scaling itself.
                let scale = want.abs() + 1e-2 * got.value.abs() + f64::MIN_POSITIVE;
                let error = (by - want).abs() / scale;
                assert!(error.is_finite(), "{self:?}: got {got:?}, want {want}");
                worst = worst.max(error);
            }
        }
        worst
    }
}

#[test]
fn scalings_have_the_derivatives_of_central_differences() {
    for noise in NOISES {
        for (name, preconditioning) in preconditionings(noise) {
            for case in cases() {
                let error = case.error(&preconditioning);
                assert!(
                    error < 1e-6,
                    "{name} {noise:?}, {case:?}: off by {error:e}, want below 1e-6"
                );
            }
        }
    }
}
