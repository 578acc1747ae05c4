//! Derivatives of networks as denoisers, which work in `f32`, against central differences.

use candle_core::{Result, Tensor, Var};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, Kernel, Query, squared_norms};
use pfgmpp_nn::{Context, FieldNetwork, Network, NetworkConfig, Preconditioned};
use pfgmpp_transfer::{
    BetaSchedule, ConsistencyPreconditioning, DataScale, DdpmOutput, DdpmPreconditioning,
    EdmPreconditioning, FieldPrediction, IddpmPreconditioning, NoiseLevel, Preconditioning,
    VePreconditioning, VpPreconditioning,
};

use crate::differences::{B, REACH, errors, mlp, normal, scaled, times};
use crate::kinds::{build, kinds};

const DIMENSIONS: [f64; 5] = [0.5, 1.0, 8.0, 128.0, f64::INFINITY];
const NOISES: [NoiseLevel; 3] = [
    NoiseLevel::Nominal,
    NoiseLevel::Effective,
    NoiseLevel::Posterior,
];
/// Networks work in `f32`.
const TOLERANCE: f64 = 1e-3;

fn edm(noise: NoiseLevel) -> Preconditioning {
    let sigma_data = 0.5;
    Preconditioning::Edm(EdmPreconditioning { sigma_data, noise })
}

/// Tables of few levels: a difference then seldom goes over the end of one of their pieces.
fn preconditionings(noise: NoiseLevel) -> Vec<(&'static str, Preconditioning)> {
    let ddpm = |output| {
        Preconditioning::Ddpm(DdpmPreconditioning {
            beta: BetaSchedule::SquaredcosCapV2,
            m: 12,
            output,
            noise,
        })
    };
    let vp = VpPreconditioning {
        beta_d: 19.9,
        beta_min: 0.1,
        m: 100,
        noise,
    };
    let iddpm = IddpmPreconditioning {
        c_1: 0.001,
        c_2: 0.008,
        m: 12,
        noise,
    };
    let consistency = ConsistencyPreconditioning {
        sigma_data: 0.5,
        sigma_min: 0.002,
        noise,
    };
    vec![
        ("edm", edm(noise)),
        ("vp", Preconditioning::Vp(vp)),
        ("ve", Preconditioning::Ve(VePreconditioning { noise })),
        ("iddpm", Preconditioning::Iddpm(iddpm)),
        ("ddpm epsilon", ddpm(DdpmOutput::Epsilon)),
        ("ddpm sample", ddpm(DdpmOutput::Sample)),
        ("ddpm v", ddpm(DdpmOutput::VPrediction)),
        ("consistency", Preconditioning::Consistency(consistency)),
    ]
}

fn data(n: usize) -> DataScale {
    DataScale {
        second_moment: 0.3,
        n_eff: 0.7 * n as f64,
    }
}

fn preconditioned(shape: [usize; 3], d: f64, preconditioning: Preconditioning) -> Preconditioned {
    let n = shape.iter().product();
    let kernel = Kernel::new(n, Dimension::new(d).unwrap()).unwrap();
    let network = mlp(shape, shape[0], 1.5);
    Preconditioned::new(network, preconditioning, &kernel, data(n)).unwrap()
}

/// Steps for [`errors`]: a share `small` of the scales of x and sigma, and such that c_noise goes over no more than
/// `reach` in all, nor from one whole number to the next where `whole` says that it goes by a table.
fn steps(
    model: &Preconditioned,
    x: &Tensor,
    sigma: f64,
    [small, reach]: [f64; 2],
    whole: bool,
) -> [Vec<f64>; 2] {
    let u = normal(3, x.dims()[1..].try_into().unwrap());
    let c_noise = |x: &Tensor, sigma: &[f64]| -> Vec<f64> {
        let coefficients = model.coefficients(x, sigma).unwrap();
        coefficients.iter().map(|c| c.c_noise).collect()
    };
    let fit = |mut h: Vec<f64>, at: &dyn Fn(&[f64]) -> Vec<f64>| {
        loop {
            let all: Vec<Vec<f64>> = (-REACH..=REACH)
                .map(|k| at(&times(&h, f64::from(k))))
                .collect();
            let mut fits = true;
            for (b, h) in h.iter_mut().enumerate() {
                let of = all.iter().map(|c_noise| c_noise[b]);
                let low = of.clone().fold(f64::MAX, f64::min);
                let high = of.fold(f64::MIN, f64::max);
                if high - low > reach || (whole && high.floor() != low.floor()) {
                    (*h, fits) = (0.7 * *h, false);
                }
            }
            if fits {
                return h;
            }
        }
    };
    let here = model.coefficients(x, &[sigma; B]).unwrap();
    let by_x = here.iter().map(|c| small / c.c_in).collect();
    let along_x = |k: &[f64]| c_noise(&(x + scaled(&u, k)).unwrap(), &[sigma; B]);
    let along_sigma = |k: &[f64]| c_noise(x, &k.iter().map(|k| sigma + k).collect::<Vec<_>>());
    [
        fit(by_x, &along_x),
        fit(vec![small * sigma; B], &along_sigma),
    ]
}

/// The largest error of [`errors`] at noise level `sigma`, the values of x about as large as `size`.
fn error_of(
    name: &str,
    preconditioning: &Preconditioning,
    shape: [usize; 3],
    d: f64,
    [sigma, size]: [f64; 2],
) -> f64 {
    let model = preconditioned(shape, d, preconditioning.clone());
    let x = (normal(7, shape) * size).unwrap();
    // E[s²] of heavy tails ends where its grid does, which moves by jumps.
    let tails = ["vp", "ve", "iddpm", "ddpm epsilon"].contains(&name);
    let jumps = tails && preconditioning.noise() == NoiseLevel::Posterior;
    let small = if jumps { 0.01 } else { 0.03 };
    // The highest frequency of the embedding is 1. In f32 a c_noise of 250 ln s is rounded by as much as 3e-5 to
    // both sides, which a wider step bears better.
    let reach = if name == "consistency" { 4.0 } else { 3.0 };
    let whole = name == "iddpm" || name.starts_with("ddpm");
    let [h, h_sigma] = steps(&model, &x, sigma, [small, reach], whole);
    let errors = errors(&model, &x, sigma, &h, &h_sigma);
    errors.into_iter().flatten().fold(0.0, |worst, error| {
        assert!(error.is_finite(), "{name}: got {error}");
        f64::max(worst, error)
    })
}

#[test]
fn preconditioned_networks_have_the_derivative_of_central_differences() {
    for noise in NOISES {
        for (name, preconditioning) in preconditionings(noise) {
            for shape in [[2, 1, 1], [1, 8, 8]] {
                for d in DIMENSIONS {
                    for at in [[0.31, 0.7], [2.3, 2.9], [0.15, 4.0], [0.5, 20.0]] {
                        let error = error_of(name, &preconditioning, shape, d, at);
                        assert!(
                            error < TOLERANCE,
                            "{name} {noise:?}, shape {shape:?}, d {d}, [sigma, |x|] {at:?}: off by {error:e}, want \
                             below {TOLERANCE}"
                        );
                    }
                }
            }
        }
    }
}

/// A network whose last channel is moved by as much.
struct Shifted(Box<dyn Network>, f64);

impl Network for Shifted {
    fn takes(&self) -> ConditionSpec {
        self.0.takes()
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let out = self.0.forward(x, c_noise, context)?;
        let last = out.dim(1)? - 1;
        let moved = (out.narrow(1, last, 1)? + self.1)?;
        Tensor::cat(&[out.narrow(1, 0, last)?, moved], 1)
    }
}

#[test]
fn a_field_network_has_the_derivative_of_central_differences() {
    let prediction = FieldPrediction {
        sigma_data: 0.5,
        gamma: 5.0,
        z_exp: 5.0,
    };
    for shape in [[2, 1, 1], [1, 8, 8]] {
        let n: usize = shape.iter().product();
        // A v_z of the right sign, and one of the wrong sign, where a bound stands in for it.
        for shift in [-3.0, 3.0] {
            let network = Shifted(mlp(shape, shape[0] + 1, 1.0), shift);
            let model = FieldNetwork::new(Box::new(network), prediction.clone());
            for z in [0.02, 1.3, 7.0, 31.0] {
                for size in [0.6, 3.1, 40.0] {
                    let x = (normal(7, shape) * size).unwrap();
                    // Norms have a kink at the origin.
                    let step = |square: &f64| {
                        let scale = prediction.c_in(n, *square, z).recip();
                        0.02 * scale.min(square.sqrt())
                    };
                    let h: Vec<f64> = squared_norms(&x).unwrap().iter().map(step).collect();
                    for [by_x, by_z] in errors(&model, &x, z, &h, &[0.02 * z; B]) {
                        assert!(
                            by_x < TOLERANCE && by_z < TOLERANCE,
                            "n {n}, v_z by {shift}, z {z}, |x| {size}: off by {by_x:e} and {by_z:e}"
                        );
                    }
                }
            }
        }
    }
}

/// Convolutions, attention, norms and every embedding hand gradients on to the image and to the noise level.
#[test]
fn networks_of_every_kind_have_the_derivative_of_central_differences() -> Result<()> {
    let shape = [3, 8, 8];
    let kernel = Kernel::new(192, Dimension::Finite(1.0)).unwrap();
    for config in kinds(0.0) {
        let (_, network) = build(&config, 3)?;
        let preconditioning = edm(NoiseLevel::Posterior);
        let model = Preconditioned::new(network, preconditioning, &kernel, data(192)).unwrap();
        let (x, sigma) = (normal(7, shape), 0.7);
        // Fourier embeddings turn some hundreds of times as fast as positional ones, and these networks bend more.
        let fourier = matches!(
            config,
            NetworkConfig::Ncsnpp(_) | NetworkConfig::SongUnet(_)
        );
        let small = if fourier { 0.006 } else { 0.012 };
        let [h, h_sigma] = steps(&model, &x, sigma, [small, 4e-3], false);
        for [by_x, by_sigma] in errors(&model, &x, sigma, &h, &h_sigma) {
            assert!(
                by_x < TOLERANCE && by_sigma < TOLERANCE,
                "{config:?}: off by {by_x:e} and {by_sigma:e}, want below {TOLERANCE}"
            );
        }
    }
    Ok(())
}

/// What a gradient taken through `forward` would be: the scalings depend on x, and it holds them.
#[test]
fn scalings_held_constant_would_be_wrong_by_the_order_of_the_derivative_itself() -> Result<()> {
    let shape = [2, 1, 1];
    let (sigma, v) = ([0.8; B], normal(2, shape));
    for noise in [NoiseLevel::Effective, NoiseLevel::Posterior] {
        let model = preconditioned(shape, 1.0, edm(noise));
        let x = (normal(7, shape) * 1.5)?;
        let coefficients = model.coefficients(&x, &sigma)?;
        let var = Var::from_tensor(&x)?;
        let denoised = model.forward(var.as_tensor(), &coefficients, &Context::default())?;
        let held = (denoised * &v)?.sum_all()?.backward()?;
        let held = held.get(&var).expect("x is tracked");
        let (_, got) = model.vjp(&Query::new(&x, &sigma), &v)?;
        let (off, whole) = ((&got - held)?.sqr()?, got.sqr()?);
        let off = (off.sum_all()? / whole.sum_all()?)?
            .to_scalar::<f64>()?
            .sqrt();
        assert!(off > 1.0, "{noise:?}: off by {off} of the whole only");
    }
    Ok(())
}

#[test]
fn one_pullback_serves_a_batch_of_unlike_samples() -> Result<()> {
    let shape = [2, 1, 1];
    let model = preconditioned(shape, 8.0, edm(NoiseLevel::Effective));
    // The second covector and the third sample are far outside the range of f32.
    let x = scaled(&normal(7, shape), &[1.0, 3.0, 1e42]);
    let v = scaled(&normal(2, shape), &[1.0, 1e50, 1.0]);
    let sigma = [0.3, 2.0, 1e41];
    let together = model.pullback(&Query::new(&x, &sigma), &v)?;
    for (b, sigma) in sigma.into_iter().enumerate() {
        let row = |t: &Tensor| t.narrow(0, b, 1);
        let alone = model.pullback(&Query::new(&row(&x)?, &[sigma]), &row(&v)?)?;
        let want = squared_norms(&alone.x)?[0];
        let off = squared_norms(&(row(&together.x)? - &alone.x)?)?[0];
        assert!(
            want > 0.0 && want.is_finite() && off <= 1e-8 * want,
            "sample {b}: got {:?}, want {:?}",
            together.x,
            alone.x
        );
    }
    Ok(())
}
