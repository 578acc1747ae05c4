//! The effective noise level against limits, a dense quadrature and simulated truth.

use pfgmpp_kernel::Dimension;
use pfgmpp_transfer::{
    Coefficients, DataScale, EdmPreconditioning, NoiseLevel, PosteriorNoise, Preconditioning,
};
use rand::SeedableRng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};

const DIGITS: DataScale = DataScale {
    second_moment: 0.7,
    n_eff: 40.0,
};

/// The same posterior mean from 100,000 points, the formula written out plainly.
fn dense(n: f64, d: f64, data: DataScale, x2: f64, sigma: f64) -> f64 {
    let (m2, x2) = (data.second_moment, x2 / n);
    let f = |u: f64| {
        let s2 = (2.0 * u).exp();
        let total = m2 + s2;
        let dof = total * total / (m2 * m2 / data.n_eff + s2 * (s2 + 2.0 * m2) / n);
        -d * u - d * sigma * sigma / (2.0 * s2)
            + dof.ln() / 2.0
            + dof / 2.0 * (1.0 + (x2 / total).ln() - x2 / total)
    };
    let (low, high, points) = (-20.0, 30.0, 100_000);
    let step = (high - low) / f64::from(points);
    let us: Vec<f64> = (0..points).map(|i| low + step * f64::from(i)).collect();
    let max = us.iter().map(|&u| f(u)).fold(f64::NEG_INFINITY, f64::max);
    let (mut mass, mut moment) = (0.0, 0.0);
    for &u in &us {
        let w = (f(u) - max).exp();
        mass += w;
        moment += w * u;
    }
    (moment / mass).exp()
}

#[test]
fn the_quadrature_agrees_with_a_dense_grid() {
    for d in [0.5, 1.0, 8.0, 64.0, 2048.0, 1e5] {
        for n_eff in [3.0, 40.0, 800.0] {
            let data = DataScale { n_eff, ..DIGITS };
            for sigma in [0.002, 0.1, 1.0, 80.0] {
                // Per-element second moments from no noise at all to a far outlier.
                for x2 in [0.3, 0.7, 1.2, 40.0, 1e4, 1e8] {
                    let posterior = PosteriorNoise::new(64, Dimension::Finite(d), data);
                    let got = posterior.sigma_eff(64.0 * x2, sigma);
                    let want = dense(64.0, d, data, 64.0 * x2, sigma);
                    // The posterior itself is wider than 1e-3 in every case here.
                    assert!(
                        (got / want - 1.0).abs() < 1e-4,
                        "d {d} n_eff {n_eff} sigma {sigma} x2 {x2}: got {got}, want {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn at_infinite_d_the_effective_level_is_sigma_and_large_d_approaches_it() {
    let infinite = PosteriorNoise::new(64, Dimension::Infinite, DIGITS);
    assert_eq!(infinite.sigma_eff(1e9, 0.3), 0.3);
    for d in [1e8, 1e12] {
        let got = PosteriorNoise::new(64, Dimension::Finite(d), DIGITS).sigma_eff(50.0, 0.3);
        // The posterior's mean differs from sigma by the order of n_eff / D.
        assert!(
            (got / 0.3 - 1.0).abs() < 100.0 / d + 1e-9,
            "d {d}: got {got}"
        );
    }
}

#[test]
fn at_large_noise_the_norm_alone_gives_the_scale() {
    let posterior = PosteriorNoise::new(3072, Dimension::Finite(1.0), DIGITS);
    // Noise of scale s gives |x|² = N s² when the data is small beside it.
    let (n, s) = (3072.0, 5e4);
    let got = posterior.sigma_eff(n * s * s, 80.0);
    // Width of the posterior in ln s: 1 / sqrt(2 (N + D)) = 0.013; its mean sits within it.
    assert!((got / s).ln().abs() < 0.013, "got {got}, want about {s}");
}

#[test]
fn the_effective_level_tracks_the_true_scale_better_than_sigma() {
    let (n, sigma, d) = (64_usize, 1.0, 1.0);
    let data = DataScale {
        second_moment: 0.7,
        n_eff: n as f64,
    };
    let posterior = PosteriorNoise::new(n, Dimension::Finite(d), data);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let chi = ChiSquared::new(d).unwrap();
    let (mut nominal, mut effective) = (0.0, 0.0);
    let draws = 2000;
    for _ in 0..draws {
        let s = sigma * (d / chi.sample(&mut rng)).sqrt();
        let x2: f64 = (0..n)
            .map(|_| {
                let (y, e): (f64, f64) = (
                    StandardNormal.sample(&mut rng),
                    StandardNormal.sample(&mut rng),
                );
                (data.second_moment.sqrt() * y + s * e).powi(2)
            })
            .sum();
        nominal += (s / sigma).ln().powi(2) / f64::from(draws);
        effective += (s / posterior.sigma_eff(x2, sigma)).ln().powi(2) / f64::from(draws);
    }
    // Var(ln s) at D = 1 is pi²/8 plus its offset from ln sigma; given |x| about 1 / (2 (N + D)) remains.
    assert!(nominal > 1.0, "got {nominal}");
    assert!(effective < 0.06, "got {effective}");
}

#[test]
fn an_infinite_norm_is_reported_as_not_a_number() {
    let posterior = PosteriorNoise::new(64, Dimension::Finite(1.0), DIGITS);
    assert!(posterior.sigma_eff(f64::INFINITY, 1.0).is_nan());
}

#[test]
fn extreme_inputs_give_finite_positive_levels() {
    for d in [1e-3, 0.5, 1.0, 1e6, 1e15] {
        for sigma in [1e-12, 1.0, 1e12] {
            for x2 in [0.0, 1e-20, 1.0, 1e30] {
                let got =
                    PosteriorNoise::new(64, Dimension::Finite(d), DIGITS).sigma_eff(x2, sigma);
                assert!(
                    got.is_finite() && got > 0.0,
                    "d {d} sigma {sigma} x2 {x2}: got {got}"
                );
            }
        }
    }
}

fn edm() -> Preconditioning {
    Preconditioning::Edm(EdmPreconditioning {
        sigma_data: 0.5,
        noise: NoiseLevel::Posterior,
    })
}

/// White Gaussian data in the plane at D = 1, where `|x|` tells little of the noise: the targets of a
/// network, `(y - c_skip x) / c_out`, have unit mean square on average under averaged scalings, and are far
/// larger at one level.
#[test]
fn averaged_scalings_keep_the_targets_of_a_network_at_unit_size() {
    let (n, sd, draws) = (2, 0.5, 40_000);
    let data = DataScale {
        second_moment: sd * sd,
        n_eff: 2.0,
    };
    let posterior = PosteriorNoise::new(n, Dimension::Finite(1.0), data);
    let chi_square = ChiSquared::new(1.0).unwrap();
    for sigma in [0.02, 0.1] {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let (mut averaged, mut single) = (0.0, 0.0);
        for _ in 0..draws {
            let w: f64 = chi_square.sample(&mut rng);
            let s = sigma / w.sqrt();
            let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
            let y = [sd * normal(), sd * normal()];
            let x = [y[0] + s * normal(), y[1] + s * normal()];
            let x_norm_sq = x[0] * x[0] + x[1] * x[1];
            let target = |c: Coefficients| {
                let miss = |i: usize| (y[i] - c.c_skip * x[i]) / c.c_out;
                (miss(0).powi(2) + miss(1).powi(2)) / 2.0
            };
            averaged += target(posterior.coefficients(&edm(), x_norm_sq, sigma));
            single += target(edm().coefficients(posterior.sigma_eff(x_norm_sq, sigma)));
        }
        let [averaged, single] = [averaged, single].map(|sum| sum / f64::from(draws));
        println!("sigma {sigma}: averaged {averaged:.2}, at one level {single:.2}");
        assert!(
            (0.7..2.0).contains(&averaged),
            "sigma {sigma}: got mean square {averaged}, want about 1"
        );
        assert!(
            single > 1.5 * averaged,
            "sigma {sigma}: at one level {single}"
        );
    }
}

#[test]
fn averaged_scalings_are_the_nominal_ones_at_infinite_d_and_the_effective_ones_where_x_tells_all() {
    let at_infinity = PosteriorNoise::new(64, Dimension::Infinite, DIGITS);
    let got = at_infinity.coefficients(&edm(), 64.0, 0.3);
    assert_eq!(got, edm().coefficients(0.3));
    let data = DataScale {
        n_eff: 1e9,
        ..DIGITS
    };
    let known = PosteriorNoise::new(100_000, Dimension::Finite(1e6), data);
    let x_norm_sq = 1e5 * (0.7 + 0.09);
    let got = known.coefficients(&edm(), x_norm_sq, 0.3);
    let want = edm().coefficients(known.sigma_eff(x_norm_sq, 0.3));
    for (name, got, want) in [
        ("c_skip", got.c_skip, want.c_skip),
        ("c_out", got.c_out, want.c_out),
        ("weight", got.weight, want.weight),
    ] {
        assert!(
            (got / want - 1.0).abs() < 1e-5,
            "{name}: got {got}, want {want}"
        );
    }
}
