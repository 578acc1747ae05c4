//! Sampling that starts from the image that a model is shown.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng,
    Stream, standard_normal,
};
use pfgmpp_sampler::{Euler, Sampler, SamplerConfig, SolverConfig, StartFromCondition};
use pfgmpp_transfer::{EdmSchedule, Levels, Schedule};

/// 200 images of 1 by 2 by 2 on a curve.
fn images() -> Tensor {
    let values: Vec<f64> = (0..200)
        .flat_map(|i| {
            let t = f64::from(i) / 200.0 * std::f64::consts::TAU;
            [t.cos(), t.sin(), (2.0 * t).cos(), 0.5]
        })
        .collect();
    Tensor::from_vec(values, (200, 1, 2, 2), &Device::Cpu).unwrap()
}

fn noisy(sigma: f64) -> (Tensor, Tensor) {
    let y = images().narrow(0, 0, 50).unwrap();
    let mut rngs = SampleRng::batch(3, Stream::Observation, 0, 50);
    let noise = standard_normal(&[1, 2, 2], &mut rngs, DType::F64, &Device::Cpu).unwrap();
    let c = (&y + (noise * sigma).unwrap()).unwrap();
    (y, c)
}

fn levels() -> Levels {
    Levels::edm(18, 0.002, 80.0, 7.0).unwrap()
}

fn sampler(start: StartFromCondition) -> Sampler {
    let sampler = Sampler::new(Euler, levels()).unwrap();
    sampler.starting_from_condition(start).unwrap()
}

fn drawn(sampler: &Sampler, denoiser: &dyn Denoiser, d: Dimension, c: &Tensor) -> Result<Tensor> {
    let condition = Condition::none().with_image(c.clone())?;
    let (kernel, seeds) = (Kernel::new(4, d)?, (0..50).collect::<Vec<u64>>());
    sampler.sample(
        denoiser,
        &condition,
        &kernel,
        &[1, 2, 2],
        &seeds,
        &Device::Cpu,
    )
}

fn rms(a: &Tensor, b: &Tensor) -> f64 {
    let off = (a.to_dtype(DType::F64).unwrap() - b.to_dtype(DType::F64).unwrap()).unwrap();
    let square = off.sqr().unwrap().mean_all().unwrap();
    square.to_scalar::<f64>().unwrap().sqrt()
}

const START: StartFromCondition = StartFromCondition {
    sigma: 0.5,
    weight: None,
    one_step: false,
};

#[test]
fn one_step_is_the_estimate_at_the_image_and_several_end_nearer_to_the_data() {
    let (y, c) = noisy(0.5);
    let exact = ExactPosterior::new(&images(), Dimension::Infinite).unwrap();
    let one = StartFromCondition {
        one_step: true,
        ..START
    };
    let one = sampler(one);
    assert_eq!(one.evaluations(), Some(1));
    let got = drawn(&one, &exact, Dimension::Infinite, &c).unwrap();
    let sigma = vec![0.5; 50];
    let want = exact.denoise(&Query::new(&c, &sigma)).unwrap();
    assert!(rms(&got, &want) < 1e-6, "got {}", rms(&got, &want));
    assert!(
        rms(&got, &y) < rms(&c, &y),
        "an estimate is nearer than the image"
    );
    let several = sampler(START);
    // The start, and the levels of the schedule below it.
    let below = levels();
    let below = below
        .as_slice()
        .iter()
        .filter(|level| **level > 0.0 && **level < 0.5);
    assert_eq!(several.evaluations(), Some(1 + below.count()));
    let got = drawn(&several, &exact, Dimension::Infinite, &c).unwrap();
    let nearest = exact.denoise(&Query::new(
        &got.to_dtype(DType::F64).unwrap(),
        &vec![1e-4; 50],
    ));
    let off = rms(&got, &nearest.unwrap());
    assert!(off < 0.02, "samples lie on the data: got {off} off");
}

#[test]
fn the_level_of_the_noise_is_the_one_to_start_at_at_finite_d_too() {
    let (_, c) = noisy(0.5);
    let best = ExactPosterior::new(&images(), Dimension::Infinite).unwrap();
    let want = best.denoise(&Query::new(&c, &[0.5; 50])).unwrap();
    // Of four values a sample shows most of its level itself at D = 1, where little hangs on the schedule's.
    for d in [8.0, 128.0, f64::INFINITY] {
        let d = Dimension::new(d).unwrap();
        let exact = ExactPosterior::new(&images(), d).unwrap();
        let off = |sigma: f64| {
            let start = StartFromCondition {
                sigma,
                one_step: true,
                ..START
            };
            rms(&drawn(&sampler(start), &exact, d, &c).unwrap(), &want)
        };
        let [low, at, high] = [0.25, 0.5, 1.0].map(off);
        assert!(
            at < low && at < high,
            "D = {d}: got {low} {at} {high} at half, once and twice the noise"
        );
    }
}

#[test]
fn the_weight_is_the_models_share_and_nothing_else_is_changed() {
    let (_, c) = noisy(0.5);
    let exact = ExactPosterior::new(&images(), Dimension::Finite(8.0)).unwrap();
    let at = |weight| {
        let start = StartFromCondition { weight, ..START };
        drawn(&sampler(start), &exact, Dimension::Finite(8.0), &c).unwrap()
    };
    let (all, none, some) = (at(None), at(Some(0.0)), at(Some(0.75)));
    assert!(rms(&none, &c) < 1e-7, "got {}", rms(&none, &c));
    let all = all.to_dtype(DType::F64).unwrap();
    let mixed = ((&all * 0.75).unwrap() + (&c * 0.25).unwrap()).unwrap();
    assert!(rms(&some, &mixed) < 1e-6, "got {}", rms(&some, &mixed));
    assert_eq!(rms(&at(Some(1.0)), &all), 0.0);
}

/// A model that is told an image, and gives it.
struct Shows;

impl Denoiser for Shows {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec {
            image_channels: 1,
            ..ConditionSpec::NONE
        }
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.takes().check(query)?;
        Ok(query.condition.image().expect("checked").clone())
    }
}

#[test]
fn a_model_of_pairs_is_told_the_image_besides_and_samples_of_none_are_refused() {
    let (_, c) = noisy(0.5);
    let got = drawn(&sampler(START), &Shows, Dimension::Infinite, &c).unwrap();
    assert!(rms(&got, &c) < 1e-6, "got {}", rms(&got, &c));
    let (kernel, none) = (
        Kernel::new(4, Dimension::Infinite).unwrap(),
        Condition::none(),
    );
    let exact = ExactPosterior::new(&images(), Dimension::Infinite).unwrap();
    let refused = sampler(START).sample(&exact, &none, &kernel, &[1, 2, 2], &[0], &Device::Cpu);
    let got = refused.unwrap_err().to_string();
    assert!(got.contains("conditioned on no image"), "got {got}");
    let wide = Condition::none()
        .with_image(Tensor::zeros((1, 2, 2, 2), DType::F64, &Device::Cpu).unwrap());
    let refused = sampler(START).sample(
        &exact,
        &wide.unwrap(),
        &kernel,
        &[1, 2, 2],
        &[0],
        &Device::Cpu,
    );
    let got = refused.unwrap_err().to_string();
    assert!(
        got.contains("of the shape of a sample, [1, 2, 2]"),
        "got {got}"
    );
}

#[test]
fn levels_and_weights_out_of_range_are_refused_by_name() {
    let edm = EdmSchedule {
        num_steps: 8,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    };
    let config = |start| SamplerConfig {
        start_from_condition: Some(start),
        ..SamplerConfig::new(SolverConfig::Euler, Schedule::Edm(edm.clone()))
    };
    assert!(config(START).check().is_ok());
    let at = |sigma, weight| StartFromCondition {
        sigma,
        weight,
        ..START
    };
    for (start, want) in [
        (at(81.0, None), "start_from_condition.sigma"),
        (at(0.001, None), "start_from_condition.sigma"),
        (at(f64::NAN, None), "start_from_condition.sigma"),
        (at(0.5, Some(1.5)), "start_from_condition.weight"),
    ] {
        let got = config(start).check().unwrap_err().to_string();
        assert!(got.contains(want), "got {got}, want {want}");
    }
    let warm = SamplerConfig {
        temperature: Some(0.9),
        ..config(START)
    };
    let got = warm.check().unwrap_err().to_string();
    assert!(got.contains("absent with temperature"), "got {got}");
}
