//! The derivative of the exact posterior, and what a denoiser without one says.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Denoiser, Dimension, ExactPosterior, Kernel, Pullback, Query, SampleRng, Stream,
    inner_products, squared_norms, standard_normal,
};

const DIMENSIONS: [f64; 5] = [0.5, 1.0, 8.0, 128.0, f64::INFINITY];
/// Samples of a batch.
const B: usize = 6;

fn normal(seed: u64, points: usize, n: usize) -> Tensor {
    let mut rngs = SampleRng::batch(seed, Stream::Other(0), 0, points);
    standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap()
}

/// The slope of each sample's `f(k)`, a step of `k h`, by a central difference of the sixth order.
fn slope(h: &[f64], f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let values: Vec<(f64, Vec<f64>)> = [(1.0, 45.0), (2.0, -9.0), (3.0, 1.0)]
        .into_iter()
        .flat_map(|(k, weight)| [(weight, f(k)), (-weight, f(-k))])
        .collect();
    let sum = |b: usize| values.iter().map(|(weight, f)| weight * f[b]).sum::<f64>();
    (0..h.len()).map(|b| sum(b) / (60.0 * h[b])).collect()
}

fn scaled(v: &Tensor, by: impl Iterator<Item = f64>) -> Tensor {
    let by = Tensor::from_vec(by.collect::<Vec<_>>(), (B, 1), &Device::Cpu).unwrap();
    v.broadcast_mul(&by).unwrap()
}

/// Samples of a few points in n dimensions.
struct Case {
    n: usize,
    d: f64,
    sigma: f64,
    x: Tensor,
}

impl Case {
    /// Samples as the kernel gives them, and others some `far sqrt(n)` from the data.
    fn both(n: usize, d: f64, sigma: f64, far: f64) -> [Self; 2] {
        let kernel = Kernel::new(n, Dimension::new(d).unwrap()).unwrap();
        let mut rngs = SampleRng::batch(4, Stream::Training, 0, B);
        let y = (normal(1, 20, n) * 0.3).unwrap().narrow(0, 0, B).unwrap();
        let near = kernel.perturb(&y, &[sigma; B], &mut rngs).unwrap();
        let away = (normal(7, B, n) * far).unwrap();
        let case = |x| Self { n, d, sigma, x };
        [case(near), case(away)]
    }

    /// E[1/s²|x,y] of the point nearest to each sample.
    fn precision(&self, data: &Tensor) -> Vec<f64> {
        let (n, d, sigma) = (self.n as f64, self.d, self.sigma);
        let of = |b: usize| {
            let distances = data.broadcast_sub(&self.x.narrow(0, b, 1)?)?;
            let square = squared_norms(&distances)?
                .into_iter()
                .fold(f64::MAX, f64::min);
            Ok(match d.is_infinite() {
                true => sigma.powi(-2),
                false => (n + d) / (square + d * sigma * sigma),
            })
        };
        let all: Result<Vec<f64>> = (0..B).map(of).collect();
        all.unwrap()
    }

    /// The largest error of the derivatives by x and sigma, relative to them.
    fn error(&self) -> f64 {
        let data = (normal(1, 20, self.n) * 0.3).unwrap();
        let posterior = ExactPosterior::new(&data, Dimension::new(self.d).unwrap()).unwrap();
        let (v, u) = (normal(2, B, self.n), normal(3, B, self.n));
        let sigma = [self.sigma; B];
        let query = Query::new(&self.x, &sigma);
        let got = posterior.pullback(&query, &v).unwrap();
        let precision = self.precision(&data);
        // A step moves weights by the precision times a distance between points, the precision by its root.
        let speed = |p: f64| (p.sqrt() + 4.0 * p) * (self.n as f64).sqrt();
        let h: Vec<f64> = precision.iter().map(|p| 0.02 / speed(*p)).collect();
        let at = |x: &Tensor, sigma: &[f64]| {
            inner_products(&posterior.mean(x, sigma).unwrap(), &v).unwrap()
        };
        let by_x = slope(&h, |k| {
            let step = scaled(&u, h.iter().map(|h| k * h));
            at(&(&self.x + step).unwrap(), &sigma)
        });
        let relative: Vec<f64> = (precision.iter())
            .map(|p| 0.02 / (1.0 + self.n as f64 * (4.0 * p.sqrt()).min(1.0)))
            .collect();
        let steps: Vec<f64> = relative.iter().map(|h| h * self.sigma).collect();
        let by_sigma = slope(&steps, |k| {
            let moved: Vec<f64> = steps.iter().map(|h| self.sigma + k * h).collect();
            at(&self.x, &moved)
        });
        let along = inner_products(&got.x, &u).unwrap();
        let norms = squared_norms(&got.x).unwrap();
        let mut worst = 0.0_f64;
        for b in 0..B {
            // What v^T J gives along a random direction; where one point has all of the weight, what is left of it.
            let scale = norms[b].sqrt() + 1e-4 * precision[b];
            worst = worst.max((along[b] - by_x[b]).abs() / scale);
            let scale = by_sigma[b].abs() + scale * self.sigma;
            worst = worst.max((got.sigma[b] - by_sigma[b]).abs() / scale);
            assert!(worst.is_finite(), "got {got:?}");
        }
        worst
    }
}

#[test]
fn the_derivative_is_that_of_central_differences() {
    for n in [2, 64] {
        for d in DIMENSIONS {
            for (sigma, far) in [(0.1, 5.0), (0.5, 40.0), (3.0, 1e3), (50.0, 1e5)] {
                // Without heavy tails nothing but the nearest point is seen from far out.
                let far = if d.is_infinite() { sigma * sigma } else { far };
                for case in Case::both(n, d, sigma, far) {
                    let error = case.error();
                    assert!(
                        error < 1e-6,
                        "n {n}, d {d}, sigma {sigma}: off by {error:e}, want below 1e-6"
                    );
                }
            }
        }
    }
}

/// `Σ w_i v·(y_i - m) d ln w_i/dx`, one point at a time.
fn by_definition(data: &Tensor, d: f64, x: &Tensor, sigma: f64, v: &Tensor) -> Vec<Vec<f64>> {
    let data = data.to_vec2::<f64>().unwrap();
    let rows = x.to_vec2::<f64>().unwrap();
    let n = rows[0].len();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let of = |x: &Vec<f64>, v: Vec<f64>| {
        let squares: Vec<f64> = (data.iter())
            .map(|y| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum())
            .collect();
        let nearest = squares.iter().copied().fold(f64::INFINITY, f64::min);
        let base = d * sigma * sigma;
        let weights: Vec<f64> = (squares.iter())
            .map(|square| match d.is_infinite() {
                true => ((nearest - square) / (2.0 * sigma * sigma)).exp(),
                false => ((square + base) / (nearest + base)).powf(-0.5 * (n as f64 + d)),
            })
            .collect();
        let total: f64 = weights.iter().sum();
        let level = (weights.iter().zip(&data)).map(|(w, y)| w * dot(&v, y));
        let level = level.sum::<f64>() / total;
        let mut gradient = vec![0.0; n];
        for ((y, w), square) in data.iter().zip(&weights).zip(&squares) {
            let precision = match d.is_infinite() {
                true => sigma.powi(-2),
                false => (n as f64 + d) / (square + base),
            };
            for j in 0..n {
                gradient[j] += w / total * (dot(&v, y) - level) * precision * (y[j] - x[j]);
            }
        }
        gradient
    };
    let covectors = v.to_vec2::<f64>().unwrap();
    rows.iter().zip(covectors).map(|(x, v)| of(x, v)).collect()
}

/// Every tile, block and segment has an uneven end here.
#[test]
fn the_derivative_over_many_blocks_is_the_sum_over_all_points_in_both_precisions() {
    let (n, batch) = (24, 130);
    let data = (normal(1, 2501, n) * 0.5).unwrap();
    let (x, v) = (normal(2, batch, n), normal(3, batch, n));
    for d in DIMENSIONS {
        let posterior = ExactPosterior::new(&data, Dimension::new(d).unwrap()).unwrap();
        let want = by_definition(&data, d, &x, 0.7, &v);
        for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 1e-4)] {
            let (x, v) = (x.to_dtype(dtype).unwrap(), v.to_dtype(dtype).unwrap());
            let query = Query::new(&x, &[0.7; 130]);
            let (denoised, got) = posterior.vjp(&query, &v).unwrap();
            let mean = posterior.denoise(&query).unwrap();
            let same = (denoised - mean).unwrap().abs().unwrap();
            let same = same.sum_all().unwrap().to_dtype(DType::F64).unwrap();
            assert_eq!(same.to_scalar::<f64>().unwrap(), 0.0, "d {d}");
            let got = got.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
            for (got, want) in got.iter().zip(&want) {
                let largest = want.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
                for (got, want) in got.iter().zip(want) {
                    assert!(
                        (got - want).abs() <= tolerance * largest,
                        "d {d}, {dtype:?}: got {got}, want {want} of {largest}"
                    );
                }
            }
        }
    }
}

/// Of two points `±a` at D = ∞: `E[y|x] = a tanh(a·x / sigma²)`.
#[test]
fn two_points_have_the_derivative_of_a_hyperbolic_tangent() {
    let data = Tensor::new(&[[0.5, 0.0], [-0.5, 0.0]], &Device::Cpu).unwrap();
    let posterior = ExactPosterior::new(&data, Dimension::Infinite).unwrap();
    let x = Tensor::new(&[[0.3, 9.0], [4.0, -2.0]], &Device::Cpu).unwrap();
    let v = Tensor::new(&[[2.0, 1.0], [1.0, 1.0]], &Device::Cpu).unwrap();
    let sigma = [0.8, 0.4];
    let Pullback {
        x: got,
        sigma: by_sigma,
        ..
    } = posterior.pullback(&Query::new(&x, &sigma), &v).unwrap();
    let got = got.to_vec2::<f64>().unwrap();
    for (b, (x, v)) in [(0.3, 2.0), (4.0, 1.0)].into_iter().enumerate() {
        let s = sigma[b];
        let slope = 0.25 / s.powi(2) / f64::cosh(0.5 * x / s.powi(2)).powi(2);
        for (got, want) in [
            (got[b][0], v * slope),
            (by_sigma[b], -2.0 * v * x / s * slope),
        ] {
            // The second sample's 1e-10 is all that one of the points is seen by.
            assert!(
                (got / want - 1.0).abs() < 1e-6,
                "sample {b}: got {got:e}, want {want:e}"
            );
        }
        assert_eq!(got[b][1], 0.0);
    }
}

#[test]
fn no_finite_input_gives_a_derivative_that_is_not_a_number() {
    let data = normal(1, 40, 6);
    let v = normal(5, 4, 6);
    for d in [1e-300, 0.5, 1.0, 1e12, 1e300, f64::INFINITY] {
        let posterior = ExactPosterior::new(&data, Dimension::new(d).unwrap()).unwrap();
        for scale in [0.0, 1e-300, 1.0, 1e100, 1e200, 1.7e308] {
            for sigma in [0.0, 1e-300, 1e-9, 1.0, 1e150, 1.7e308] {
                let x = (normal(3, 4, 6).tanh().unwrap() * scale).unwrap();
                let sigma = [sigma; 4];
                let got = posterior.pullback(&Query::new(&x, &sigma), &v).unwrap();
                let by_x = got.x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                let all = by_x.iter().chain(&got.sigma);
                let message = format!("d {d}, x of size {scale:e}, sigma {:e}", sigma[0]);
                assert!(all.copied().all(|g| !g.is_nan()), "{message}: got {got:?}");
            }
        }
    }
}

#[test]
fn without_noise_the_estimate_stays_at_the_nearest_point() {
    let data = normal(1, 30, 3);
    for d in DIMENSIONS {
        let posterior = ExactPosterior::new(&data, Dimension::new(d).unwrap()).unwrap();
        let got = posterior
            .vjp(&Query::new(&data, &[0.0; 30]), &normal(2, 30, 3))
            .unwrap();
        let got = squared_norms(&got.1).unwrap();
        // Rounding keeps some of them a hair off their point.
        assert!(got.iter().all(|g| *g < 1e-20), "d {d}: got {got:?}, want 0");
    }
}

/// What the least of outside implementations has.
struct OnlyDenoises;

impl Denoiser for OnlyDenoises {
    fn denoise(&self, query: &Query) -> Result<Tensor> {
        query.x.zeros_like()
    }
}

#[test]
fn a_denoiser_without_a_derivative_says_so() {
    let x = normal(1, 2, 3);
    let query = Query::new(&x, &[1.0; 2]);
    let denoiser: &dyn Denoiser = &OnlyDenoises;
    assert_eq!(denoiser.denoise(&query).unwrap().dims(), [2, 3]);
    let got = denoiser.vjp(&query, &x).unwrap_err().to_string();
    assert!(
        got.contains("this denoiser gives no derivative"),
        "got {got}"
    );
}

#[test]
fn a_covector_of_another_shape_is_refused() {
    let data = normal(1, 20, 3);
    let posterior = ExactPosterior::new(&data, Dimension::Infinite).unwrap();
    let (x, v) = (normal(2, 2, 3), normal(2, 3, 2));
    let got = posterior.vjp(&Query::new(&x, &[1.0; 2]), &v);
    let got = got.unwrap_err().to_string();
    let want = "v must have the shape of x, [2, 3], got [3, 2]";
    assert!(got.contains(want), "got {got}, want {want}");
}
