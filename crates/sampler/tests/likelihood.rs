//! Log-densities along the ODE against laws that are known in closed form.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, Denoiser, Dimension, ExactPosterior, Kernel, Pullback, Query, SampleRng, Stream,
    in_f64, standard_normal,
};
use pfgmpp_sampler::{
    Deis, Dpmpp2m, Dpmpp3m, Euler, Heun, Ipndm, Likelihood, LogDensities, ProbeKind, Rk45, Solver,
    TerminalLaw, Trace, Unipc, UnipcVariant,
};
use pfgmpp_transfer::Levels;

const SIGMAS: [f64; 2] = [0.3, 80.0];
const TIGHT: Rk45 = Rk45 {
    rtol: 1e-10,
    atol: 1e-10,
};
const DS: [f64; 4] = [1.0, 8.0, 128.0, f64::INFINITY];

fn levels(num_steps: usize) -> Levels {
    Levels::edm(num_steps, SIGMAS[0], SIGMAS[1], 7.0).unwrap()
}

fn kernel(n: usize, d: f64) -> Kernel {
    Kernel::new(n, Dimension::new(d).unwrap()).unwrap()
}

fn tensor<const R: usize, const C: usize>(rows: [[f64; C]; R]) -> Tensor {
    Tensor::new(&rows, &Device::Cpu).unwrap()
}

fn rows(x: &Tensor) -> Vec<Vec<f64>> {
    in_f64(x).unwrap().to_vec2().unwrap()
}

fn likelihood(
    solver: &dyn Solver,
    trace: Trace,
    terminal: &dyn TerminalLaw,
    model: &dyn Denoiser,
    x: &Tensor,
) -> LogDensities {
    let found = Likelihood {
        solver,
        levels: &levels(40),
        trace,
        terminal,
    };
    let seeds: Vec<u64> = (0..x.dim(0).unwrap() as u64).collect();
    let none = Condition::unconditional();
    found.of(model, none, x, &seeds).unwrap()
}

/// The denoiser of Gaussian data of variance `v` on each axis at D = ∞, `v / (v + sigma²) x`.
struct Linear<const N: usize>([f64; N]);

impl<const N: usize> Linear<N> {
    fn factors(&self, sigma: &[f64], x: &Tensor) -> Result<Tensor> {
        let of = |s: &f64| self.0.map(|v| v / (v + s * s));
        let factors: Vec<f64> = sigma.iter().flat_map(of).collect();
        Tensor::from_vec(factors, (sigma.len(), N), x.device())
    }
}

impl<const N: usize> Denoiser for Linear<N> {
    fn denoise(&self, query: &Query) -> Result<Tensor> {
        query.x * self.factors(query.sigma, query.x)?
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        Ok(Pullback {
            denoised: self.denoise(query)?,
            x: (v * self.factors(query.sigma, query.x)?)?,
            sigma: vec![0.0; query.sigma.len()],
        })
    }
}

/// A finite data set under its kernel: what the exact posterior's ODE has at every level.
struct Perturbed {
    points: Tensor,
    kernel: Kernel,
}

impl TerminalLaw for Perturbed {
    fn ln_density(&self, x: &Tensor, sigma: f64) -> Result<Vec<f64>> {
        let points = rows(&self.points);
        let of = |x: Vec<f64>| {
            let terms = points.iter().map(|y| {
                let square: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
                self.kernel.ln_density(sigma, square.sqrt())
            });
            let terms: Vec<f64> = terms.collect();
            let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = terms.iter().map(|term| (term - top).exp()).sum();
            top + (sum / points.len() as f64).ln()
        };
        Ok(rows(x).into_iter().map(of).collect())
    }
}

/// Four points in the plane, the mean of which is not 0.
fn plane(d: f64) -> (ExactPosterior, Perturbed) {
    let points = tensor([[-0.8, 0.3], [0.1, 0.9], [0.9, -0.2], [0.6, 0.6]]);
    let posterior = ExactPosterior::new(&points, Dimension::new(d).unwrap()).unwrap();
    let kernel = kernel(2, d);
    (posterior, Perturbed { points, kernel })
}

#[test]
fn gaussian_data_have_the_latents_and_the_density_of_their_closed_form() {
    let variances = [0.25, 1.0, 4.0];
    let x = tensor([[0.3, -1.2, 2.5], [-0.7, 0.1, -3.0]]);
    let [low, high] = SIGMAS.map(|s| s * s);
    for d in DS {
        let kernel = kernel(3, d);
        let found = likelihood(&TIGHT, Trace::Exact, &kernel, &Linear(variances), &x);
        let growth = variances.map(|v| ((v + high) / (v + low)).sqrt());
        for (row, x) in rows(&x).into_iter().enumerate() {
            let want: Vec<f64> = x.iter().zip(growth).map(|(x, g)| x * g).collect();
            let got = &rows(&found.latents)[row];
            let apart = |(got, want): (&f64, &f64)| (got - want).abs() / want.abs();
            let off = got.iter().zip(&want).map(apart).fold(0.0, f64::max);
            assert!(off < 1e-6, "d {d}: latents {got:?}, want {want:?}");
            let norm = want.iter().map(|x| x * x).sum::<f64>().sqrt();
            let volume: f64 = growth.iter().map(|g| g.ln()).sum();
            let want = kernel.ln_density(SIGMAS[1], norm) + volume;
            let got = found.ln_p()[row];
            assert!((got - want).abs() < 1e-6, "d {d}: got {got}, want {want}");
        }
    }
}

#[test]
fn every_solver_carries_the_log_density_at_its_own_order() {
    let variances = [0.25, 1.0, 4.0];
    let x = tensor([[0.3, -1.2, 2.5]]);
    let kernel = kernel(3, 8.0);
    let exact = likelihood(&TIGHT, Trace::Exact, &kernel, &Linear(variances), &x).ln_p()[0];
    let (order, variant) = (3, UnipcVariant::Bh2);
    let solvers: [(Box<dyn Solver>, f64); 7] = [
        (Euler.into(), 2.0),
        (Heun.into(), 4.0),
        (Dpmpp2m.into(), 4.0),
        (Dpmpp3m.into(), 8.0),
        (Unipc { order, variant }.into(), 8.0),
        (Ipndm { order: 3 }.into(), 4.0),
        (Deis { order: 2 }.into(), 4.0),
    ];
    for (solver, want) in solvers {
        let error = |num_steps| {
            let found = Likelihood {
                solver: &*solver,
                levels: &levels(num_steps),
                trace: Trace::Exact,
                terminal: &kernel,
            };
            let none = Condition::unconditional();
            let found = found.of(&Linear(variances), none, &x, &[0]).unwrap();
            (found.ln_p()[0] - exact).abs()
        };
        let (coarse, fine) = (error(80), error(160));
        println!("{solver:?}: {coarse:.2e}, {fine:.2e}");
        assert!(
            coarse / fine > 0.8 * want,
            "{solver:?}: error {coarse:.2e} in 80 steps, {fine:.2e} in 160, want a {want}th"
        );
    }
}

#[test]
fn a_single_point_has_the_density_of_the_kernel_at_the_lowest_level() {
    let x = tensor([[0.2, -0.1], [1.5, 0.7], [0.0, 0.0]]);
    for d in DS {
        let kernel = kernel(2, d);
        let origin = tensor([[0.0, 0.0]]);
        let point = ExactPosterior::new(&origin, kernel.d()).unwrap();
        let got = likelihood(&TIGHT, Trace::Exact, &kernel, &point, &x).ln_p();
        for (got, x) in got.into_iter().zip(rows(&x)) {
            let want = kernel.ln_density(SIGMAS[0], x[0].hypot(x[1]));
            assert!(
                (got - want).abs() < 1e-6,
                "d {d}, x {x:?}: got {got}, want {want}"
            );
        }
    }
}

#[test]
fn probes_estimate_what_the_exact_trace_gives() {
    let x = tensor([[0.2, -0.1], [1.5, 0.7], [-0.6, 0.4]]);
    for d in [1.0, 8.0, f64::INFINITY] {
        let (model, _) = plane(d);
        let kernel = kernel(2, d);
        let want = likelihood(&Heun, Trace::Exact, &kernel, &model, &x).ln_p();
        for kind in [ProbeKind::Rademacher, ProbeKind::Gaussian] {
            let trace = Trace::Hutchinson { probes: 200, kind };
            let found = likelihood(&Heun, trace, &kernel, &model, &x);
            for (values, want) in found.by_probe.iter().zip(&want) {
                let num = values.len() as f64;
                let mean = values.iter().sum::<f64>() / num;
                let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
                let error = (square / (num - 1.0) / num).sqrt();
                assert!(error > 0.0, "d {d}, {kind:?}: the probes do not differ");
                assert!(
                    (mean - want).abs() < 3.0 * error,
                    "d {d}, {kind:?}: got {mean} ± {error}, want {want}"
                );
            }
        }
    }
}

#[test]
fn a_sum_of_the_diagonal_needs_one_rademacher_probe_only() {
    let x = tensor([[0.3, -1.2, 2.5]]);
    let (model, kernel) = (Linear([0.25, 1.0, 4.0]), kernel(3, 8.0));
    let want = likelihood(&Heun, Trace::Exact, &kernel, &model, &x).ln_p()[0];
    let kind = ProbeKind::Rademacher;
    let trace = Trace::Hutchinson { probes: 1, kind };
    let got = likelihood(&Heun, trace, &kernel, &model, &x).ln_p()[0];
    assert!((got - want).abs() < 1e-9, "got {got}, want {want}");
}

/// Polar coordinates about the points, rings closer near the centre: the tails of D = 1 reach far.
#[test]
fn the_density_of_points_in_the_plane_integrates_to_one() {
    let (rings, spokes, last) = (64, 32, 9.0f64);
    let (mut grid, mut areas) = (Vec::new(), Vec::new());
    for ring in 0..rings {
        let step = last / f64::from(rings);
        let t = (f64::from(ring) + 0.5) * step;
        let (radius, dr) = (0.3 * t.sinh(), 0.3 * t.cosh() * step);
        for spoke in 0..spokes {
            let angle = std::f64::consts::TAU / f64::from(spokes);
            let (sin, cos) = (angle * f64::from(spoke)).sin_cos();
            grid.extend([0.2 + radius * cos, 0.4 + radius * sin]);
            areas.push(radius * dr * angle);
        }
    }
    let x = Tensor::from_vec(grid, (areas.len(), 2), &Device::Cpu).unwrap();
    for d in [1.0, 8.0, f64::INFINITY] {
        let (model, _) = plane(d);
        let kernel = kernel(2, d);
        let found = Likelihood {
            solver: &Dpmpp3m,
            levels: &levels(120),
            trace: Trace::Exact,
            terminal: &kernel,
        };
        let seeds: Vec<u64> = (0..areas.len() as u64).collect();
        let none = Condition::unconditional();
        let found = found.of(&model, none, &x, &seeds).unwrap();
        let terms = found.ln_p().into_iter().zip(&areas);
        let got: f64 = terms.map(|(ln_p, area)| ln_p.exp() * area).sum();
        println!("d {d}: {got:.5}");
        assert!(
            (got - 1.0).abs() < 0.01,
            "d {d}: got a total of {got}, want 1"
        );
    }
}

#[test]
fn the_flow_of_the_exact_posterior_carries_the_law_of_the_perturbed_data() {
    let x = tensor([[0.2, -0.1], [1.5, 0.7], [-0.6, 0.4], [4.0, -3.0]]);
    for d in [1.0, 8.0, f64::INFINITY] {
        let (model, law) = plane(d);
        let want = law.ln_density(&x, SIGMAS[0]).unwrap();
        let got = likelihood(&TIGHT, Trace::Exact, &law, &model, &x).ln_p();
        let prior = likelihood(&TIGHT, Trace::Exact, &kernel(2, d), &model, &x).ln_p();
        let off = |got: &[f64]| {
            let off = got.iter().zip(&want).map(|(got, want)| (got - want).abs());
            off.fold(0.0, f64::max)
        };
        let (exact, off) = (off(&got), off(&prior));
        println!("d {d}: {exact:.1e} with the exact law, {off:.1e} with the prior");
        assert!(exact < 1e-3, "d {d}: got {got:?}, want {want:?}");
        // The prior leaves out the data's mean, 0.45 from 0: of the order of mean / sigma_max times |x| / sigma.
        let bound = 5.0 * 0.45 / SIGMAS[1];
        assert!(
            1e-6 < off && off < bound,
            "d {d}: off by {off} with the prior, want at most {bound}"
        );
    }
}

#[test]
fn a_likelihood_does_not_depend_on_the_batch() {
    let mut rngs = SampleRng::batch(3, Stream::Other(0), 0, 4);
    let x = standard_normal(&[2], &mut rngs, DType::F64, &Device::Cpu).unwrap();
    let kind = ProbeKind::Gaussian;
    let (model, kernel) = (plane(1.0).0, kernel(2, 1.0));
    let loose = Rk45 {
        rtol: 1e-4,
        atol: 1e-4,
    };
    for solver in [&Heun as &dyn Solver, &loose] {
        let of = |x: &Tensor, seeds: &[u64], probes| {
            let found = Likelihood {
                solver,
                levels: &levels(12),
                trace: Trace::Hutchinson { probes, kind },
                terminal: &kernel,
            };
            let none = Condition::unconditional();
            found.of(&model, none, x, seeds).unwrap()
        };
        let together = of(&x, &[7, 8, 9, 10], 2);
        assert_ne!(together.by_probe[0][0], together.by_probe[0][1]);
        for row in 0..4 {
            let alone = of(&x.narrow(0, row, 1).unwrap(), &[7 + row as u64], 2);
            assert_eq!(
                alone.by_probe[0], together.by_probe[row],
                "{solver:?}: datum {row} depends on its batch"
            );
        }
    }
}

#[test]
fn evaluations_are_those_of_the_solver_up_its_levels_and_one() {
    let x = tensor([[0.2, -0.1], [1.5, 0.7]]);
    let (model, kernel) = (plane(8.0).0, kernel(2, 8.0));
    let got = likelihood(&Heun, Trace::Exact, &kernel, &model, &x).evaluations;
    let want = 1.0 + Heun.evaluations(&levels(40).reversed()).unwrap() as f64;
    assert_eq!(got, want);
}

#[test]
fn traces_that_do_not_fit_are_refused() {
    let kind = ProbeKind::Rademacher;
    for (trace, n, want) in [
        (Trace::Exact, 65, "exact_trace must be"),
        (
            Trace::Hutchinson { probes: 0, kind },
            2,
            "probes must be from 1 to 4096, got 0",
        ),
    ] {
        let got = trace.check(n).unwrap_err().to_string();
        assert!(got.contains(want), "got {got}, want {want}");
    }
    Trace::Exact.check(64).unwrap();
}
