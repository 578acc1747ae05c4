//! Scores are what their metrics give, in the order asked for.

use std::cell::RefCell;
use std::error::Error;

use candle_core::{Device, Tensor};
use pfgmpp_kernel::SampleRng;
use pfgmpp_metrics::{
    Estimate, HeldOutDenoiser, Inputs, METRICS, MetricError, Scores, Selection, energy_distance,
    sliced_wasserstein,
};
use rand::Rng;

use crate::{residues_x, residues_y};

/// Misses every value by a number that grows with the level, and notes what it was asked for.
struct Misses {
    data: usize,
    asked: RefCell<Vec<(usize, f64, u64)>>,
}

impl Misses {
    fn new(data: usize) -> Self {
        let asked = RefCell::default();
        Self { data, asked }
    }
}

impl HeldOutDenoiser for Misses {
    fn len(&self) -> usize {
        self.data
    }

    fn errors(
        &self,
        indices: &[usize],
        sigma: f64,
        rngs: &mut [SampleRng],
    ) -> Result<Tensor, Box<dyn Error + Send + Sync>> {
        assert_eq!(indices.len(), rngs.len(), "a stream a datum");
        let drawn = indices.iter().zip(rngs);
        let drawn = drawn.map(|(index, rng)| (*index, sigma, rng.next_u64()));
        self.asked.borrow_mut().extend(drawn);
        let misses = vec![-2.0 * sigma; 3 * indices.len()];
        Ok(Tensor::from_vec(misses, (indices.len(), 3), &Device::Cpu)?)
    }

    fn nll(&self, indices: &[usize], seed: u64) -> Result<Vec<f64>, Box<dyn Error + Send + Sync>> {
        Ok(indices.iter().map(|&i| (i as u64 + seed) as f64).collect())
    }
}

/// A model that fails.
struct Broken;

impl HeldOutDenoiser for Broken {
    fn len(&self) -> usize {
        5
    }

    fn errors(
        &self,
        _: &[usize],
        _: f64,
        _: &mut [SampleRng],
    ) -> Result<Tensor, Box<dyn Error + Send + Sync>> {
        Err("weights that are not finite".into())
    }

    fn nll(&self, _: &[usize], _: u64) -> Result<Vec<f64>, Box<dyn Error + Send + Sync>> {
        Err("weights that are not finite".into())
    }
}

fn select(names: &[&str]) -> Selection {
    let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
    Selection::try_from(names).unwrap()
}

fn names(scores: &Scores) -> Vec<&str> {
    scores.iter().map(|score| score.name.as_str()).collect()
}

#[test]
fn values_are_those_of_the_distances_in_the_order_asked_for() {
    let (x, y) = (residues_x(40, 3), residues_y(30, 3));
    let inputs = Inputs {
        samples: Some(&x),
        held_out: Some(&y),
        num_projections: 16,
        seed: 5,
        ..Inputs::default()
    };
    let selection = select(&["sliced_wasserstein", "energy_distance"]);
    let scores = Scores::measure(selection.metrics(), &inputs).unwrap();
    let want = [
        (
            "sliced_wasserstein".to_string(),
            sliced_wasserstein(&x, &y, 16, 5).unwrap(),
        ),
        (
            "energy_distance".to_string(),
            energy_distance(&x, &y).unwrap(),
        ),
    ];
    assert_eq!(scores.columns().collect::<Vec<_>>(), want);
}

#[test]
fn a_metric_whose_needs_are_not_met_is_left_out_of_a_list_and_refused_alone() {
    let (x, y) = (residues_x(40, 3), residues_y(30, 3));
    let of_samples = Inputs {
        samples: Some(&x),
        held_out: Some(&y),
        num_projections: 4,
        ..Inputs::default()
    };
    let scores = Scores::measure(Selection::default().metrics(), &of_samples).unwrap();
    assert_eq!(names(&scores), ["energy_distance", "sliced_wasserstein"]);
    for metric in METRICS {
        let error = metric.evaluate(&Inputs::default()).unwrap_err();
        let name = metric.description().name;
        assert!(
            matches!(error, MetricError::Missing { .. }),
            "{name}: got {error}"
        );
    }
}

#[test]
fn the_denoising_error_is_the_root_mean_square_over_levels() {
    let denoiser = Misses::new(300);
    let inputs = Inputs {
        denoiser: Some(&denoiser),
        seed: 3,
        ..Inputs::default()
    };
    let selection = select(&["denoising_error"]);
    let scores = Scores::measure(selection.metrics(), &inputs).unwrap();
    let got = scores.get("denoising_error").unwrap().value;
    // Misses of 2 sigma at 0.1, 0.2, 0.5, 1, 2 and 5.
    let want = (4.0 * (0.01 + 0.04 + 0.25 + 1.0 + 4.0 + 25.0) / 6.0_f64).sqrt();
    assert!((got - want).abs() < 1e-14, "got {got}, want {want}");

    let asked = denoiser.asked.into_inner();
    assert_eq!(asked.len(), 6 * 300, "each datum once a level");
    let mut streams: Vec<u64> = asked.iter().map(|(_, _, drawn)| *drawn).collect();
    streams.sort_unstable();
    streams.dedup();
    assert_eq!(streams.len(), asked.len(), "streams of their own");
    // The first word of the stream of datum 0 at the first level under seed 3: what results so far were made with.
    let mut rng = SampleRng::new(3, pfgmpp_kernel::Stream::Metric, 0);
    assert_eq!(asked[0], (0, 0.1, rng.next_u64()));
}

#[test]
fn the_denoising_error_is_taken_over_512_data_at_most() {
    let denoiser = Misses::new(5000);
    let inputs = Inputs {
        denoiser: Some(&denoiser),
        ..Inputs::default()
    };
    let selection = select(&["denoising_error"]);
    Scores::measure(selection.metrics(), &inputs).unwrap();
    let asked = denoiser.asked.into_inner();
    let last = asked.iter().map(|(index, _, _)| *index).max();
    assert_eq!((asked.len(), last), (6 * 512, Some(511)));
}

#[test]
fn a_failure_of_the_model_is_told_in_its_words() {
    let inputs = Inputs {
        denoiser: Some(&Broken),
        ..Inputs::default()
    };
    let got = Scores::measure(select(&["denoising_error"]).metrics(), &inputs);
    let got = got.unwrap_err().to_string();
    assert_eq!(got, "weights that are not finite");
}

#[test]
fn a_mean_is_over_sets_and_its_error_shrinks_with_their_root() {
    let set = |value, error| {
        let mut scores = Scores::default();
        scores.push("a", value);
        let standard_error = Some(error);
        scores.push(
            "b",
            Estimate {
                value,
                standard_error,
            },
        );
        scores
    };
    let mean = Scores::mean(&[set(1.0, 0.3), set(4.0, 0.4)]);
    let got: Vec<_> = mean.columns().collect();
    let want = [("a", 2.5), ("b", 2.5), ("b_standard_error", 0.25)];
    assert_eq!(got, want.map(|(name, value)| (name.to_string(), value)));
}

#[test]
fn the_likelihood_is_a_mean_with_its_error_over_256_data_at_most() {
    let select = |data| {
        let misses = Misses::new(data);
        let inputs = Inputs {
            denoiser: Some(&misses),
            seed: 7,
            ..Inputs::default()
        };
        let scores = Scores::measure(select(&["nll"]).metrics(), &inputs).unwrap();
        scores.get("nll").unwrap()
    };
    // 7, 8, 9: a mean of 8 and a variance of 1.
    let got = select(3);
    assert_eq!(
        (got.value, got.standard_error),
        (8.0, Some((1.0f64 / 3.0).sqrt()))
    );
    assert_eq!(select(1).standard_error, None);
    // 7 and the places 1000 i / 256, rounded down: 498.05 less 0.48 in the mean.
    assert_eq!(select(1000).value, 504.5625);
}
