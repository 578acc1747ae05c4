//! Restoration on problems whose answer is known.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, Denoiser, Dimension, ExactPosterior, Kernel, Pullback, Query, SampleRng, Stream,
    column, inner_products, squared_norms,
};
use pfgmpp_sampler::{
    BoxAverage, ConjugateGradients, Covariance, Dps, ExactConditional, Identity, JointNoise, Mask,
    Mmps, Observation, Operator, Rk45, Sampler, SamplerConfig, SolverConfig,
};
use pfgmpp_transfer::{EdmSchedule, Schedule};

const SHAPE: [usize; 3] = [2, 4, 4];
const N: usize = 32;
const DIMENSIONS: [Dimension; 3] = [
    Dimension::Finite(1.0),
    Dimension::Finite(8.0),
    Dimension::Infinite,
];

/// Waves of as many different frequencies as there are values.
fn waves(batch: usize, shape: &[usize], shift: f64) -> Tensor {
    let count = batch * shape.iter().product::<usize>();
    let values: Vec<f64> = (0..count).map(|i| (1.3 * i as f64 + shift).sin()).collect();
    let mut dims = vec![batch];
    dims.extend(shape);
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    let x = x.to_dtype(DType::F64).unwrap();
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let pairs = values(a).into_iter().zip(values(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Every third pixel is seen.
fn mask() -> Mask {
    let seen: Vec<bool> = (0..16).map(|i| i % 3 == 0).collect();
    Mask::new(&seen, SHAPE).unwrap()
}

fn operators() -> [(&'static str, Arc<dyn Operator>); 3] {
    [
        ("mask", Arc::new(mask())),
        ("box average", Arc::new(BoxAverage::new(2).unwrap())),
        ("identity", Arc::new(Identity)),
    ]
}

fn iterations(max_iterations: usize, tolerance: f64) -> ConjugateGradients {
    ConjugateGradients {
        max_iterations,
        tolerance,
    }
}

#[test]
fn transposes_are_adjoint() {
    for (name, operator) in operators() {
        let x = waves(3, &SHAPE, 0.2);
        let u = waves(3, &operator.observed_shape(&SHAPE).unwrap(), 0.9);
        let left = inner_products(&operator.apply(&x).unwrap(), &u).unwrap();
        let right = inner_products(&x, &operator.transpose(&u).unwrap()).unwrap();
        for (left, right) in left.iter().zip(right) {
            assert!((left - right).abs() < 1e-12, "{name}: {left} and {right}");
        }
    }
}

#[test]
fn operators_show_what_they_say() {
    let x = waves(1, &SHAPE, 0.0);
    let seen = values(&mask().apply(&x).unwrap());
    assert_eq!((seen.len(), mask().num_seen()), (12, 12));
    assert_eq!([seen[1], seen[6]], [values(&x)[3], values(&x)[16]]);
    let means = values(&BoxAverage::new(2).unwrap().apply(&x).unwrap());
    let all = values(&x);
    let want = (all[2] + all[3] + all[6] + all[7]) / 4.0;
    assert!(
        (means[1] - want).abs() < 1e-15,
        "got {}, want {want}",
        means[1]
    );
}

#[test]
fn operators_that_do_not_fit_are_refused() {
    let refused = |error: pfgmpp_transfer::ParameterError| error.to_string();
    let got = [
        refused(Mask::new(&[true; 15], SHAPE).unwrap_err()),
        refused(Mask::new(&[true; 16], SHAPE).unwrap_err()),
        refused(Mask::new(&[false; 16], SHAPE).unwrap_err()),
        refused(BoxAverage::new(1).unwrap_err()),
        refused(
            BoxAverage::new(3)
                .unwrap()
                .observed_shape(&SHAPE)
                .unwrap_err(),
        ),
        refused(Observation::new(Arc::new(Identity), 0.0).unwrap_err()),
    ];
    let want = [
        "mask must be of 16 pixels, as the images are, got 15",
        "mask must be one that hides some pixels and shows some, got 16 seen of 16",
        "mask must be one that hides some pixels and shows some, got 0 seen of 16",
        "factor must be at least 2, got 1",
        "factor must be a divisor of both sides of images of shape [2, 4, 4], got 3",
        "sigma_o must be from 0.001 to 1000, got 0",
    ];
    assert_eq!(got, want);
}

/// Gaussian data of covariance `Q`, `Q = I/4 + q q^T`, at D = ∞: `E[y | x] = Q (Q + sigma² I)^-1 x`.
struct Gaussian {
    q: Tensor,
}

impl Gaussian {
    const VARIANCE: f64 = 0.25;

    fn new() -> Self {
        Self {
            q: (waves(1, &SHAPE, 0.4).reshape((1, N)).unwrap() * 0.5).unwrap(),
        }
    }

    /// `(a I + b q q^T) x`, with a and b of each sample.
    fn times(&self, x: &Tensor, a: &[f64], b: &[f64]) -> Result<Tensor> {
        let flat = x.flatten_from(1)?;
        let along = flat.matmul(&self.q.t()?)?.matmul(&self.q)?;
        let sum = (flat.broadcast_mul(&column(a, &flat)?)?
            + along.broadcast_mul(&column(b, &along)?)?)?;
        sum.reshape(x.dims())
    }

    /// `Q (Q + t I)^-1` in that form.
    fn shrinkage(&self, t: f64) -> (f64, f64) {
        let (v, square) = (Self::VARIANCE, squared_norms(&self.q).unwrap()[0]);
        let across = v / (v + t);
        let along = (v + square) / (v + square + t);
        (across, (along - across) / square)
    }
}

impl Denoiser for Gaussian {
    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let (a, b): (Vec<f64>, Vec<f64>) =
            query.sigma.iter().map(|s| self.shrinkage(s * s)).unzip();
        self.times(query.x, &a, &b)
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        let (a, b): (Vec<f64>, Vec<f64>) =
            query.sigma.iter().map(|s| self.shrinkage(s * s)).unzip();
        Ok(Pullback {
            denoised: self.denoise(query)?,
            x: self.times(v, &a, &b)?,
            // Not asked for at D = ∞.
            sigma: vec![f64::NAN; query.sigma.len()],
        })
    }
}

/// Solves `matrix u = b` by elimination, `matrix` symmetric and positive.
fn eliminate(mut matrix: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot = matrix[k].clone();
        for (i, row) in matrix.iter_mut().enumerate().skip(k + 1) {
            let factor = row[k] / pivot[k];
            for (value, above) in row.iter_mut().zip(&pivot) {
                *value -= factor * above;
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| matrix[k][j] * b[j]).sum();
        b[k] = (b[k] - known) / matrix[k][k];
    }
    b
}

/// `E[y | x, y_o]` of the Gaussian by its closed form: x and y_o are one vector of N + M observations of y.
fn conditional_mean(
    q: &[f64],
    rows: &[Vec<f64>],
    x: &[f64],
    y_o: &[f64],
    s2: f64,
    o2: f64,
) -> Vec<f64> {
    let data = |i: usize, j: usize| q[i] * q[j] + if i == j { Gaussian::VARIANCE } else { 0.0 };
    // Of each observation: its row, its noise, its value.
    let unit = |i: usize| {
        (0..N)
            .map(|j| f64::from(u8::from(i == j)))
            .collect::<Vec<f64>>()
    };
    let mut all: Vec<(Vec<f64>, f64, f64)> = (0..N).map(|i| (unit(i), s2, x[i])).collect();
    all.extend(rows.iter().zip(y_o).map(|(row, y)| (row.clone(), o2, *y)));
    let spread: Vec<Vec<f64>> = all
        .iter()
        .map(|(row, _, _)| {
            (0..N)
                .map(|i| (0..N).map(|j| data(i, j) * row[j]).sum())
                .collect()
        })
        .collect();
    let matrix = (0..all.len())
        .map(|a| {
            (0..all.len())
                .map(|b| {
                    let shared: f64 = all[a].0.iter().zip(&spread[b]).map(|(r, s)| r * s).sum();
                    shared + if a == b { all[a].1 } else { 0.0 }
                })
                .collect()
        })
        .collect();
    let u = eliminate(matrix, all.iter().map(|(_, _, value)| *value).collect());
    (0..N)
        .map(|i| spread.iter().zip(&u).map(|(s, u)| s[i] * u).sum())
        .collect()
}

#[test]
fn moment_matching_of_gaussian_data_is_the_closed_form() {
    let (model, sigma, sigma_o) = (Gaussian::new(), [0.3, 2.0], 0.1);
    for (name, operator) in operators() {
        let observation = Observation::new(Arc::clone(&operator), sigma_o).unwrap();
        let x = waves(2, &SHAPE, 0.7);
        let y_o = waves(2, &operator.observed_shape(&SHAPE).unwrap(), 2.1);
        let condition = Condition::none().with_observed(y_o.clone()).unwrap();
        let solve = iterations(N, 1e-13);
        let told = Mmps::new(
            &model,
            Dimension::Infinite,
            observation,
            Covariance::Effective,
            solve,
        );
        let query = Query::new(&x, &sigma).under(&condition);
        let got = values(&told.unwrap().denoise(&query).unwrap());
        // Row j of A is A^T of the j-th unit vector.
        let m = y_o.elem_count() / 2;
        let mut dims = vec![m];
        dims.extend(operator.observed_shape(&SHAPE).unwrap());
        let units = Tensor::eye(m, DType::F64, &Device::Cpu)
            .unwrap()
            .reshape(dims)
            .unwrap();
        let rows = operator.transpose(&units).unwrap().flatten_from(1).unwrap();
        let rows = rows.to_vec2::<f64>().unwrap();
        let (x, y_o, q) = (values(&x), values(&y_o), values(&model.q));
        for b in 0..2 {
            let (x, y_o) = (&x[b * N..][..N], &y_o[b * m..][..m]);
            let want = conditional_mean(&q, &rows, x, y_o, sigma[b].powi(2), sigma_o.powi(2));
            for (got, want) in got[b * N..].iter().zip(want) {
                let error = (got - want).abs();
                assert!(
                    error < 1e-8,
                    "{name}, sigma {}: got {got}, want {want}",
                    sigma[b]
                );
            }
        }
    }
}

#[test]
fn two_noisy_looks_at_gaussian_data_are_one() {
    let (model, sigma, sigma_o) = (Gaussian::new(), [0.3, 2.0], 0.5);
    let (x, y_o) = (waves(2, &SHAPE, 0.7), waves(2, &SHAPE, 2.1));
    let condition = Condition::none().with_observed(y_o).unwrap();
    let query = Query::new(&x, &sigma).under(&condition);
    let d = Dimension::Infinite;
    let joint = JointNoise::new(&model, d, sigma_o).unwrap();
    let observation = Observation::new(Arc::new(Identity), sigma_o).unwrap();
    let solve = iterations(N, 1e-13);
    let matched = Mmps::new(&model, d, observation, Covariance::Nominal, solve).unwrap();
    let (got, want) = (
        joint.denoise(&query).unwrap(),
        matched.denoise(&query).unwrap(),
    );
    let error = largest_difference(&got, &want);
    assert!(error < 1e-10, "differ by {error}");
}

/// Seven images and the observation of three others.
fn exact_problem(operator: Arc<dyn Operator>, sigma_o: f64) -> (Tensor, Observation, Condition) {
    let data = waves(7, &SHAPE, 0.1);
    let observation = Observation::new(operator, sigma_o).unwrap();
    let mut rngs = SampleRng::batch(3, Stream::Observation, 0, 3);
    let observed = observation
        .observe(&waves(3, &SHAPE, 0.5), &mut rngs)
        .unwrap();
    let condition = Condition::none().with_observed(observed).unwrap();
    (data, observation, condition)
}

#[test]
fn the_exact_conditional_is_the_mean_of_the_reweighted_points() {
    for d in DIMENSIONS {
        for (name, operator) in operators() {
            let (data, observation, condition) = exact_problem(Arc::clone(&operator), 0.8);
            let (x, sigma) = ((waves(3, &SHAPE, 0.6) * 2.0).unwrap(), [0.4, 1.0, 5.0]);
            let exact = ExactConditional::new(&data, d, observation).unwrap();
            let query = Query::new(&x, &sigma).under(&condition);
            let got = exact.denoise(&query).unwrap().flatten_from(1).unwrap();
            let got = got.to_vec2::<f64>().unwrap();
            let points = data.flatten_from(1).unwrap().to_vec2::<f64>().unwrap();
            let seen = operator.apply(&data).unwrap().flatten_from(1).unwrap();
            let seen = seen.to_vec2::<f64>().unwrap();
            let square = |a: &[f64], b: &[f64]| -> f64 {
                a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
            };
            let xs = x.flatten_from(1).unwrap().to_vec2::<f64>().unwrap();
            let observed = condition.observed().unwrap().flatten_from(1).unwrap();
            let observed = observed.to_vec2::<f64>().unwrap();
            for b in 0..3 {
                let weights: Vec<f64> = (0..7)
                    .map(|i| {
                        let (r2, s2) = (square(&xs[b], &points[i]), sigma[b] * sigma[b]);
                        let kernel = match d {
                            Dimension::Finite(d) => {
                                (1.0 + r2 / (d * s2)).powf(-(N as f64 + d) / 2.0)
                            }
                            Dimension::Infinite => (-r2 / (2.0 * s2)).exp(),
                        };
                        kernel * (-square(&observed[b], &seen[i]) / (2.0 * 0.64)).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for (j, got) in got[b].iter().enumerate() {
                    let want: f64 = (0..7).map(|i| weights[i] / total * points[i][j]).sum();
                    assert!(
                        (got - want).abs() < 1e-10,
                        "D {d}, {name}, sample {b}: got {got}, want {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn moment_matching_of_points_is_near_the_exact_conditional_where_the_observation_says_little() {
    // To first order in 1/sigma_o² the correction is Cov(y | x) A^T (y_o - A m)/sigma_o²: a test of the covariance alone.
    for d in DIMENSIONS {
        let (data, observation, condition) = exact_problem(Arc::new(mask()), 30.0);
        let model = ExactPosterior::new(&data, d).unwrap();
        let (x, sigma) = ((waves(3, &SHAPE, 0.6) * 4.0).unwrap(), [3.0; 3]);
        let query = Query::new(&x, &sigma).under(&condition);
        let exact = ExactConditional::new(&data, d, observation.clone()).unwrap();
        let want = exact.denoise(&query).unwrap();
        let m = model.denoise(&Query::new(&x, &sigma)).unwrap();
        let error = |covariance| {
            let told = Mmps::new(
                &model,
                d,
                observation.clone(),
                covariance,
                iterations(12, 1e-9),
            );
            largest_difference(&told.unwrap().denoise(&query).unwrap(), &want)
        };
        let moved = largest_difference(&m, &want);
        let (effective, nominal) = (error(Covariance::Effective), error(Covariance::Nominal));
        println!("D {d}: without {moved:.2e}, effective {effective:.2e}, nominal {nominal:.2e}");
        // 1/p scatters about sigma_eff² by a share of sqrt(2/N) times that of the data in |x - y|.
        assert!(effective < 0.2 * moved, "D {d}: {effective} of {moved}");
        if d == Dimension::Finite(1.0) {
            assert!(
                effective < 0.2 * nominal,
                "D {d}: {effective} and {nominal}"
            );
        }
    }
}

#[test]
fn posterior_sampling_by_the_misfit_lowers_it() {
    for d in DIMENSIONS {
        let (data, observation, condition) = exact_problem(Arc::new(mask()), 0.1);
        let model = ExactPosterior::new(&data, d).unwrap();
        let (x, sigma) = (waves(3, &SHAPE, 0.6), [2.0; 3]);
        let query = Query::new(&x, &sigma).under(&condition);
        let told = Dps::new(&model, d, observation, Covariance::Effective, 0.1).unwrap();
        let misfit = |m: &Tensor| {
            let r = (condition.observed().unwrap() - mask().apply(m).unwrap()).unwrap();
            squared_norms(&r).unwrap()
        };
        let before = misfit(&model.denoise(&Query::new(&x, &sigma)).unwrap());
        let after = misfit(&told.denoise(&query).unwrap());
        for (before, after) in before.iter().zip(after) {
            assert!(after < *before, "D {d}: {before} before, {after} after");
        }
    }
}

#[test]
fn a_restored_sample_does_not_depend_on_its_batch() {
    let schedule = Schedule::Edm(EdmSchedule {
        num_steps: 6,
        sigma_min: 0.05,
        sigma_max: 20.0,
        rho: 7.0,
    });
    let d = Dimension::Finite(8.0);
    let (data, observation, condition) = exact_problem(Arc::new(mask()), 0.2);
    let (model, kernel) = (
        ExactPosterior::new(&data, d).unwrap(),
        Kernel::new(N, d).unwrap(),
    );
    let of = || observation.clone();
    let matched = Mmps::new(&model, d, of(), Covariance::Effective, iterations(5, 1e-3)).unwrap();
    let misfit = Dps::new(&model, d, of(), Covariance::Effective, 1.0).unwrap();
    let exact = ExactConditional::new(&data, d, of()).unwrap();
    let rk45 = Rk45 {
        rtol: 1e-3,
        atol: 1e-3,
    };
    let heun = SamplerConfig::new(SolverConfig::Heun, schedule.clone())
        .build()
        .unwrap();
    let own_steps = Sampler::new(rk45, schedule.levels().unwrap()).unwrap();
    let methods: [&dyn Denoiser; 3] = [&matched, &misfit, &exact];
    for (k, method) in methods.into_iter().enumerate() {
        for sampler in [&heun, &own_steps] {
            let draw = |condition: &Condition, seeds: &[u64]| {
                let samples =
                    sampler.sample(method, condition, &kernel, &SHAPE, seeds, &Device::Cpu);
                samples.unwrap()
            };
            let together = draw(&condition, &[7, 8, 9]);
            for (i, seed) in [7, 8, 9].into_iter().enumerate() {
                let alone = draw(&condition.rows(&[i]).unwrap(), &[seed]);
                let error = largest_difference(&alone, &together.narrow(0, i, 1).unwrap());
                assert!(error < 1e-6, "method {k}, seed {seed}: differs by {error}");
            }
        }
    }
}

#[test]
fn a_query_without_a_fitting_observation_is_an_error() {
    let d = Dimension::Infinite;
    let (data, observation, condition) = exact_problem(Arc::new(mask()), 0.2);
    let model = ExactPosterior::new(&data, d).unwrap();
    let told = Dps::new(&model, d, observation, Covariance::Nominal, 1.0).unwrap();
    let x = waves(2, &SHAPE, 0.0);
    let ask = |condition: &Condition| {
        let query = Query::new(&x, &[1.0, 1.0]).under(condition);
        told.denoise(&query).unwrap_err().to_string()
    };
    let none = ask(Condition::unconditional());
    assert!(none.contains("holds no observation"), "got {none}");
    let other = ask(&condition);
    assert!(
        other.contains("must have shape [2, 12], got [3, 12]"),
        "got {other}"
    );
    let labels = Tensor::zeros((2, 4), DType::F32, &Device::Cpu).unwrap();
    let unlike = condition
        .clone()
        .with_labels(labels)
        .unwrap_err()
        .to_string();
    assert!(
        unlike.contains("each of the 2 samples, got 3"),
        "got {unlike}"
    );
    let untold = model.denoise(&Query::new(&x, &[1.0, 1.0]).under(&condition));
    let untold = untold.unwrap_err().to_string();
    assert!(untold.contains("a model that takes none"), "got {untold}");
}
