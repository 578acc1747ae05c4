//! The unbiased objective against its exact minimiser.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Dimension, Kernel, SampleRng, Stream};
use pfgmpp_objective::{TrainingModel, UnbiasedObjective, Weighted};
use pfgmpp_transfer::NoiseLaw;

/// Two points, -1 and +1 in every coordinate, and their exact posterior mean, shifted by `bias`.
struct TwoPoints {
    d: f64,
    n: f64,
    bias: f64,
}

impl TrainingModel for TwoPoints {
    fn predict(&self, x: &Tensor, sigma: &[f64]) -> Result<Weighted> {
        let rows = x.to_vec2::<f64>()?;
        let mut out = Vec::new();
        for (row, sigma) in rows.iter().zip(sigma) {
            let ln_weight = |y: f64| {
                let q: f64 = row.iter().map(|v| (v - y).powi(2)).sum();
                if self.d.is_infinite() {
                    -q / (2.0 * sigma * sigma)
                } else {
                    -0.5 * (self.n + self.d) * (q / (self.d * sigma * sigma)).ln_1p()
                }
            };
            let mean = (0.5 * (ln_weight(1.0) - ln_weight(-1.0))).tanh();
            out.extend(std::iter::repeat_n(mean + self.bias, row.len()));
        }
        let weight = vec![1.0; sigma.len()];
        Ok(Weighted {
            prediction: Tensor::from_vec(out, x.dims(), x.device())?,
            weight,
        })
    }
}

fn mean_loss(d: f64, model: &TwoPoints) -> f64 {
    let (n, b) = (2, 4000);
    let dimension = if d.is_infinite() {
        Dimension::Infinite
    } else {
        Dimension::Finite(d)
    };
    let law = NoiseLaw::LogNormal {
        p_mean: 0.0,
        p_std: 0.5,
    };
    let objective = UnbiasedObjective::new(Kernel::new(n, dimension).unwrap(), law).unwrap();
    let y: Vec<f64> = (0..b * n)
        .map(|i| if (i / n) % 2 == 0 { 1.0 } else { -1.0 })
        .collect();
    let y = Tensor::from_vec(y, (b, n), &Device::Cpu).unwrap();
    let mut rngs: Vec<_> = (0..b as u64)
        .map(|i| SampleRng::new(3, Stream::Training, i))
        .collect();
    let loss = objective.loss(model, &y, &mut rngs).unwrap();
    assert_eq!(loss.per_sample.dims(), [b]);
    assert_eq!(loss.per_sample.dtype(), DType::F64);
    loss.mean.to_scalar::<f64>().unwrap()
}

#[test]
fn the_posterior_mean_minimises_the_loss_at_every_d() {
    for d in [0.5, 1.0, 8.0, 2048.0, f64::INFINITY] {
        let at = |bias| mean_loss(d, &TwoPoints { d, n: 2.0, bias });
        let (exact, above, below) = (at(0.0), at(0.15), at(-0.15));
        // A bias b adds b² = 0.0225 to the loss of the minimiser; the cross term is sampling error,
        // 2 b sqrt(loss / (b n)) < 0.004 at two standard errors.
        for got in [above - exact, below - exact] {
            assert!((got - 0.0225).abs() < 0.01, "d {d}: got {got}, want 0.0225");
        }
    }
}

#[test]
fn the_posterior_of_another_d_has_a_larger_loss() {
    let exact = mean_loss(
        1.0,
        &TwoPoints {
            d: 1.0,
            n: 2.0,
            bias: 0.0,
        },
    );
    let other = mean_loss(
        1.0,
        &TwoPoints {
            d: f64::INFINITY,
            n: 2.0,
            bias: 0.0,
        },
    );
    assert!(other > exact + 0.005, "got {other}, want above {exact}");
}

#[test]
fn equal_generators_give_equal_losses() {
    let model = TwoPoints {
        d: 1.0,
        n: 2.0,
        bias: 0.1,
    };
    assert_eq!(mean_loss(1.0, &model), mean_loss(1.0, &model));
}

#[test]
fn samples_of_many_d_lose_what_each_loses_among_samples_of_its_own() {
    let (n, b) = (2, 12);
    let law = || NoiseLaw::LogNormal {
        p_mean: 0.0,
        p_std: 0.5,
    };
    let all =
        [1.0, 8.0, f64::INFINITY].map(|d| Kernel::new(n, Dimension::new(d).unwrap()).unwrap());
    let y = Tensor::ones((b, n), DType::F64, &Device::Cpu).unwrap();
    let rngs = || -> Vec<_> {
        (0..b as u64)
            .map(|i| SampleRng::new(3, Stream::Training, i))
            .collect()
    };
    let model = TwoPoints {
        d: 8.0,
        n: n as f64,
        bias: 0.1,
    };
    let objective = |kernel: &Kernel| UnbiasedObjective::new(kernel.clone(), law()).unwrap();
    let kernels: Vec<&Kernel> = (0..b).map(|i| &all[i % all.len()]).collect();
    let mixed = objective(&all[0]);
    let mixed = mixed.loss_at(&kernels, &model, &y, &mut rngs()).unwrap();
    let got = mixed.per_sample.to_vec1::<f64>().unwrap();
    for (at, kernel) in all.iter().enumerate() {
        let own = objective(kernel).loss(&model, &y, &mut rngs()).unwrap();
        let want = own.per_sample.to_vec1::<f64>().unwrap();
        for i in (at..b).step_by(all.len()) {
            assert_eq!(
                got[i].to_bits(),
                want[i].to_bits(),
                "sample {i} at D = {}",
                kernel.d()
            );
        }
        assert_eq!(mixed.sigma, own.sigma);
    }
}
