//! Gaussian data at every D: samples, latent states and log-densities against the flow that is known.

use candle_core::{Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, Kernel, Pullback, Query, column, in_f64,
};
use pfgmpp_sampler::{Likelihood, Rk45, Sampler, TerminalLaw, Trace};
use pfgmpp_transfer::Levels;

const SIGMAS: [f64; 2] = [0.05, 40.0];
const TIGHT: Rk45 = Rk45 {
    rtol: 1e-10,
    atol: 1e-10,
};
/// Standard deviation of the data.
const SCALE: f64 = 0.7;

/// The exact denoiser of isotropic Gaussian data in the plane at any D, by quadrature over the scale of the noise.
///
/// ```text
/// p(s) ∝ s^-(D+1) exp(-D sigma²/(2 s²)),   p(x) = ∫ p(s) N(x; 0, (v + s²) I) ds,   E[y|x] = x E[v/(v + s²) | x]
/// ```
pub struct GaussianUnderKernel {
    variance: f64,
    d: f64,
}

/// A scale of the noise: `v + s²`, and its probability.
type Node = (f64, f64);

impl GaussianUnderKernel {
    /// Data of standard deviation `scale`.
    pub fn new(scale: f64, d: f64) -> Self {
        let variance = scale * scale;
        Self { variance, d }
    }

    /// The trapezoidal rule in `ln s`, exact to rounding for so smooth a law.
    fn nodes(&self, sigma: f64) -> Vec<Node> {
        if self.d.is_infinite() {
            return vec![(self.variance + sigma * sigma, 1.0)];
        }
        let (low, high) = (-2.5, 1.0 + 34.0 / self.d);
        let step = 0.1 / (2.0 * (self.d + 8.0)).sqrt();
        let nodes = (0..=((high - low) / step) as usize).map(|i| {
            let u = low + step * i as f64;
            let s = sigma * u.exp();
            let ln_p = -self.d * (u + 0.5 * (-2.0 * u).exp() - 0.5);
            (self.variance + s * s, ln_p.exp())
        });
        let nodes: Vec<Node> = nodes.filter(|(_, p)| *p > 1e-30).collect();
        let sum: f64 = nodes.iter().map(|(_, p)| p).sum();
        nodes.into_iter().map(|(v, p)| (v, p / sum)).collect()
    }

    /// `ln p(x)` at a level.
    pub fn ln_density(&self, x: &[f64], sigma: f64) -> f64 {
        let square = x[0] * x[0] + x[1] * x[1];
        let nodes = self.nodes(sigma).into_iter();
        let terms = nodes.map(|(v, p)| p / v * (-0.5 * square / v).exp());
        (terms.sum::<f64>() / std::f64::consts::TAU).ln()
    }

    /// The share of the mass beyond a radius.
    fn beyond(&self, nodes: &[Node], radius: f64) -> f64 {
        let terms = nodes.iter();
        terms
            .map(|(v, p)| p * (-0.5 * radius * radius / v).exp())
            .sum()
    }

    /// The radius at one level beyond which as much mass lies as beyond `radius` at another.
    pub fn radius_of_same_mass(&self, radius: f64, from: f64, to: f64) -> f64 {
        let want = self.beyond(&self.nodes(from), radius);
        let nodes = self.nodes(to);
        let (mut low, mut high) = (0.0, 1e6 * to);
        for _ in 0..200 {
            let middle: f64 = 0.5 * (low + high);
            match self.beyond(&nodes, middle) > want {
                true => low = middle,
                false => high = middle,
            }
        }
        0.5 * (low + high)
    }

    /// `E[v/(v + s²) | x]`, and its derivative by `|x|²`.
    fn share(&self, nodes: &[Node], square: f64) -> [f64; 2] {
        let nearest = nodes.first().map_or(1.0, |(v, _)| *v);
        let last = nodes.last().map_or(1.0, |(v, _)| *v);
        // Against underflow: weights relative to the slowest to decay.
        let least = 0.5 * square / last.max(nearest);
        let (mut sum, mut a, mut b, mut ab) = (0.0, 0.0, 0.0, 0.0);
        for (v, p) in nodes {
            let weight = p / v * (least - 0.5 * square / v).exp();
            let (share, slope) = (self.variance / v, -0.5 / v);
            sum += weight;
            a += weight * share;
            b += weight * slope;
            ab += weight * share * slope;
        }
        let (a, b, ab) = (a / sum, b / sum, ab / sum);
        [a, ab - a * b]
    }

    fn shares(&self, query: &Query) -> Result<Vec<[f64; 2]>> {
        let squares = pfgmpp_kernel::squared_norms(query.x)?;
        let shares = squares.iter().zip(query.sigma);
        Ok(shares
            .map(|(square, sigma)| self.share(&self.nodes(*sigma), *square))
            .collect())
    }
}

impl Denoiser for GaussianUnderKernel {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let shares: Vec<f64> = self.shares(query)?.iter().map(|share| share[0]).collect();
        query.x.broadcast_mul(&column(&shares, query.x)?)
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        let shares = self.shares(query)?;
        let own: Vec<f64> = shares.iter().map(|share| share[0]).collect();
        let along = pfgmpp_kernel::inner_products(query.x, v)?;
        let by_square = shares.iter().zip(along);
        let by_square: Vec<f64> = by_square.map(|(share, v)| 2.0 * share[1] * v).collect();
        let times = |x: &Tensor, by: &[f64]| x.broadcast_mul(&column(by, x)?);
        Ok(Pullback {
            denoised: times(query.x, &own)?,
            x: (times(v, &own)? + times(query.x, &by_square)?)?,
            sigma: vec![0.0; query.sigma.len()],
        })
    }
}

impl TerminalLaw for GaussianUnderKernel {
    fn ln_density(&self, x: &Tensor, sigma: f64) -> Result<Vec<f64>> {
        let rows = in_f64(x)?.to_vec2::<f64>()?;
        Ok(rows
            .iter()
            .map(|x| GaussianUnderKernel::ln_density(self, x, sigma))
            .collect())
    }
}

fn levels() -> Levels {
    Levels::new(vec![SIGMAS[1], 1.0, SIGMAS[0]]).unwrap()
}

fn rows(x: &Tensor) -> Vec<Vec<f64>> {
    in_f64(x).unwrap().to_vec2().unwrap()
}

/// The flow keeps the direction, and the mass beyond its radius.
fn moved(model: &GaussianUnderKernel, x: &[f64], from: f64, to: f64) -> Vec<f64> {
    let radius = x[0].hypot(x[1]);
    let there = model.radius_of_same_mass(radius, from, to);
    x.iter().map(|x| x * there / radius).collect()
}

#[test]
fn samples_latents_and_densities_of_gaussian_data_are_the_known_ones_at_every_d() {
    let data = [[0.3, -0.2], [1.1, 0.4], [-0.05, 0.02], [0.9, -2.0]];
    let x = Tensor::new(&data, &Device::Cpu).unwrap();
    let none = Condition::unconditional();
    for d in [1.0, 8.0, 128.0, f64::INFINITY] {
        let model = GaussianUnderKernel::new(SCALE, d);
        let kernel = Kernel::new(2, Dimension::new(d).unwrap()).unwrap();
        let sampler = Sampler::new(TIGHT, levels()).unwrap();
        let close = |what: &str, got: &[f64], want: &[f64]| {
            let size = want[0].hypot(want[1]).max(1.0);
            for (got, want) in got.iter().zip(want) {
                let off = (got - want).abs() / size;
                assert!(off < 1e-6, "D {d}, {what}: got {got}, want {want}");
            }
        };
        let latents = sampler.encode(&model, none, &x).unwrap();
        for (x, latent) in data.iter().zip(rows(&latents)) {
            close("latent", &latent, &moved(&model, x, SIGMAS[0], SIGMAS[1]));
        }
        let seeds = [1, 2, 3, 4];
        let prior = sampler.prior(&kernel, &[2], &seeds, &Device::Cpu).unwrap();
        let samples = sampler.decode_to_sigma_min(&model, none, &prior).unwrap();
        for (prior, sample) in rows(&prior).iter().zip(rows(&samples)) {
            close(
                "sample",
                &sample,
                &moved(&model, prior, SIGMAS[1], SIGMAS[0]),
            );
        }
        let likelihood = Likelihood {
            solver: &TIGHT,
            levels: &levels(),
            trace: Trace::Exact,
            terminal: &model,
        };
        let found = likelihood.of(&model, none, &x, &seeds).unwrap().ln_p();
        for (x, got) in data.iter().zip(found) {
            let want = model.ln_density(x, SIGMAS[0]);
            let off = (got - want).abs();
            assert!(off < 1e-6, "D {d}, ln p of {x:?}: got {got}, want {want}");
        }
    }
}
