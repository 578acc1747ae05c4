//! Levels of models whose levels are known.

use candle_core::Tensor;
use pfgmpp_config::yaml::parse_value;
use pfgmpp_data::{DataSource, Dataset};
use pfgmpp_kernel::ExactPosterior;
use pfgmpp_sampler::SamplerConfig;

use super::*;

/// What samples of the exact posterior of the digits at `d` meet.
fn met(d: f64, sampler: &str, num: u64) -> LevelsMet {
    let splits = DataSource::Digits.load().unwrap();
    let d = Dimension::new(d).unwrap();
    let exact = ExactPosterior::new(&splits.train.images().unwrap(), d).unwrap();
    let edm = "{num_steps: STEPS, sigma_min: 0.05, sigma_max: 40.0, rho: 7.0}";
    let text = format!(
        "{{{}, schedule: {{edm: {edm}}}}}",
        sampler.split('|').next().unwrap()
    );
    let text = text.replace("STEPS", sampler.split('|').nth(1).unwrap());
    let config: SamplerConfig = parse_value(&text, "a test").unwrap();
    let shape = splits.train.image_shape();
    let model = SamplingModel::new(
        Box::new(exact),
        d,
        shape,
        || unreachable!("no other D"),
        &config,
    )
    .unwrap();
    let seeds: Vec<u64> = (0..num).collect();
    // The posterior knows its own data.
    let data = &splits.train;
    model
        .levels_met(
            &seeds,
            data,
            (64, &Device::Cpu),
            &StopFlag::default(),
            &|_| (),
        )
        .unwrap()
}

#[test]
fn an_exact_model_with_many_steps_deserves_its_schedule() {
    let found = met(f64::INFINITY, "solver: heun|40", 200);
    assert!(found.levels.iter().filter(|level| level.readable).count() > 20);
    let [low, high] = found.kappa_interval();
    assert!(
        low > 100.0 && high == f64::INFINITY,
        "got kappa {low} to {high}: {found:?}"
    );
}

#[test]
fn noise_on_the_way_and_few_steps_cost_the_schedule_trust() {
    let noisy = met(f64::INFINITY, "solver: euler, injected_noise: 0.4|18", 200);
    let [low, high] = noisy.kappa_interval();
    assert!(
        low <= noisy.kappa() && noisy.kappa() <= high,
        "got {} in {low} to {high}",
        noisy.kappa()
    );
    assert!(high < 50.0, "noise: got kappa {low} to {high}");
    let few = met(f64::INFINITY, "solver: euler|5", 200);
    assert!(
        few.kappa_interval()[1] < 50.0,
        "few steps: got {:?}",
        few.kappa_interval()
    );
}

#[test]
fn the_levels_of_a_prior_of_finite_d_deserve_about_that_d() {
    // Of ln s given sigma the variance is psi'(D/2)/4: at D = 8 0.0710, of which 1/(2 V) is 7.0.
    let found = met(8.0, "solver: heun|40", 400);
    let [low, high] = found.kappa_interval();
    assert!(
        low < 9.0 && high > 6.0 && high < 16.0,
        "got kappa {} in {low} to {high}, want 7",
        found.kappa()
    );
}

#[test]
fn the_batch_changes_nothing() {
    let splits = DataSource::EightGaussians.load().unwrap();
    let d = Dimension::Infinite;
    let exact = ExactPosterior::new(&splits.train.images().unwrap(), d).unwrap();
    let text = "{solver: euler, schedule: {edm: {num_steps: 6, sigma_min: 0.2, sigma_max: 10.0, rho: 7.0}}}";
    let config: SamplerConfig = parse_value(text, "a test").unwrap();
    let model = SamplingModel::new(
        Box::new(exact),
        d,
        [2, 1, 1],
        || unreachable!("no other D"),
        &config,
    )
    .unwrap();
    let met = |batch| {
        let seeds: Vec<u64> = (0..30).collect();
        model
            .levels_met(
                &seeds,
                &splits.held_out,
                (batch, &Device::Cpu),
                &StopFlag::default(),
                &|_| (),
            )
            .unwrap()
    };
    let (few, many) = (met(7), met(100));
    assert_eq!(few.levels.len(), 6);
    let error = (few.mean_square / many.mean_square - 1.0).abs();
    assert!(
        error < 1e-6,
        "got {} and {}",
        few.mean_square,
        many.mean_square
    );
}

#[test]
fn an_evaluation_that_is_done_in_parts_is_one() {
    // 65,536 values each: more than four at a time are evaluated in parts.
    let shape = [1, 256, 256];
    let values = (0..12 * 65_536u32)
        .map(|i| ((i.wrapping_mul(2_654_435_761) >> 16) as f32 / 32_768.0) - 1.0);
    let images = Tensor::from_iter(values, &Device::Cpu).unwrap();
    let images = images.reshape((12, 1, 256, 256)).unwrap();
    let data = Dataset::new("wide", &images, None).unwrap();
    let d = Dimension::Infinite;
    let exact = ExactPosterior::new(&data.images().unwrap(), d).unwrap();
    let text = "{solver: euler, schedule: {edm: {num_steps: 4, sigma_min: 0.2, sigma_max: 10.0, rho: 7.0}}}";
    let config: SamplerConfig = parse_value(text, "a test").unwrap();
    let moments = || unreachable!("no other D");
    let model = SamplingModel::new(Box::new(exact), d, shape, moments, &config).unwrap();
    let met = |batch| {
        let seeds: Vec<u64> = (0..10).collect();
        let stop = StopFlag::default();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let found =
            pool.install(|| model.levels_met(&seeds, &data, (batch, &Device::Cpu), &stop, &|_| ()));
        found.unwrap()
    };
    let (apart, together) = (met(2), met(10));
    assert_eq!((together.num, together.levels.len()), (10, 4));
    for (a, b) in apart.levels.iter().zip(&together.levels) {
        let same = (a.bias - b.bias).abs() < 1e-6 && (a.variance - b.variance).abs() < 1e-6;
        assert!(a.sigma == b.sigma && same, "got {b:?}, want {a:?}");
    }
}
