//! The tails of columns, against closed forms and laws that are known.

use candle_core::Tensor;
use pfgmpp_metrics::{
    Inputs, Score, Scores, TailReport, hill_index, kurtosis, metric, rank_correlation,
    tail_distance,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};

use crate::{assert_close, assert_same_on_any_number_of_threads, normals, tensor};

/// Rows of a multivariate Student-t, `[num, 3]`, by one chi-square a row.
fn student_t(nu: f64, num: usize, seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let chi_squared = ChiSquared::new(nu).unwrap();
    let mut values = Vec::new();
    for _ in 0..num {
        let spread = (nu / chi_squared.sample(&mut rng)).sqrt();
        values.extend((0..3).map(|_| spread * rng.sample::<f64, _>(StandardNormal)));
    }
    tensor(&values, 3)
}

fn score(name: &str, samples: &Tensor, held_out: &Tensor) -> (f64, f64) {
    let inputs = Inputs {
        samples: Some(samples),
        held_out: Some(held_out),
        resample: true,
        ..Inputs::default()
    };
    let found = metric(name).unwrap().evaluate(&inputs).unwrap();
    (found.value, found.standard_error.unwrap())
}

#[test]
fn hill_finds_the_index_of_exact_pareto_quantiles() {
    for index in [0.5, 1.0, 3.0, 8.0] {
        let num = 10_000;
        // P(m > t) = t^-index at the middle of each of `num` equal parts, in a shuffled order.
        let quantile = |i: usize| ((i as f64 + 0.5) / num as f64).powf(-1.0 / index);
        let mut magnitudes: Vec<f64> = (0..num).map(|i| quantile(i * 7919 % num)).collect();
        let k = 500;
        let got = hill_index(&mut magnitudes, k).unwrap();
        // k / Σ ln(m_i/m_k+1) in closed form: Σ_(i<k) ln((k + 1/2)/(i + 1/2)) = k ln(k + 1/2) - ln Γ(k + 1/2) + ln Γ(1/2), by Stirling.
        let k = k as f64;
        let sum = k * (k + 0.5).ln() - (k * k.ln() - k + 0.5 * (2.0_f64).ln() - 1.0 / (24.0 * k));
        assert_close(got, index * k / sum, 1e-6);
        assert_close(got, index, 2e-3);
    }
}

#[test]
fn hill_says_nothing_where_there_is_no_tail() {
    for (mut magnitudes, k) in [
        (vec![1.0, 2.0], 2),
        (vec![1.0, 2.0, 3.0], 0),
        (vec![-1.0, 0.0, 3.0], 1),
        (vec![2.0; 5], 2),
    ] {
        let got = hill_index(&mut magnitudes, k);
        assert_eq!(got, None, "{magnitudes:?}, {k}");
    }
}

#[test]
fn kurtosis_is_that_worked_by_hand() {
    // Deviations -2, -1, 0, 1, 2: (16 + 1 + 0 + 1 + 16)/5 over 2².
    assert_close(kurtosis(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap(), 1.7, 1e-15);
    assert_eq!(kurtosis(&[4.0, 4.0]), None);
    let normal = normals(200_000, 1, 1).flatten_all().unwrap();
    // Five standard errors of sqrt(24/n).
    let got = kurtosis(&normal.to_vec1::<f64>().unwrap()).unwrap();
    assert!((got - 3.0).abs() < 0.055, "got {got}, want 3");
}

#[test]
fn a_tail_distance_is_that_worked_by_hand() {
    let data: Vec<f64> = (1..=100).map(f64::from).collect();
    let distance = |samples: &[f64]| tail_distance(samples, &data, 0.1);
    assert_eq!(distance(&data), 0.0);
    // Nothing beyond either quantile: all of the tail is missing.
    assert_close(distance(&[50.0; 40]), 1.0, 1e-12);
    // What happens within the quantiles has no part in it.
    let mut inner = data.clone();
    inner[20..80].fill(50.0);
    assert_eq!(distance(&inner), 0.0);
    // The five highest moved to the middle: half of the right tail, at its end.
    let mut moved = data.clone();
    moved[95..].fill(50.0);
    assert_close(distance(&moved), 0.5, 1e-12);
    // The right tail as often as the data: 20 of 100 against 10.
    let mut doubled = data.clone();
    doubled[80..90].fill(1000.0);
    assert_close(distance(&doubled), 1.0, 1e-12);
}

#[test]
fn rank_correlations_are_those_worked_by_hand() {
    let x = [1.0, 2.0, 3.0, 4.0, 5.0];
    assert_close(
        rank_correlation(&x, &[1.0, 4.0, 9.0, 1e9, 1e20]).unwrap(),
        1.0,
        1e-15,
    );
    assert_close(
        rank_correlation(&x, &[5.0, 4.0, 3.0, 2.0, 1.0]).unwrap(),
        -1.0,
        1e-15,
    );
    // Differences of ranks 0, 1, 1, 1, 1: 1 - 6 * 4 / (5 * 24).
    assert_close(
        rank_correlation(&x, &[1.0, 3.0, 2.0, 5.0, 4.0]).unwrap(),
        0.8,
        1e-15,
    );
    // Equal values share ranks 1/2, 1/2, 2, 3, 4: 9.5 / sqrt(10 * 9.5).
    let got = rank_correlation(&x, &[0.0, 0.0, 1.0, 2.0, 3.0]).unwrap();
    assert_close(got, 9.5 / 95f64.sqrt(), 1e-12);
    assert_eq!(rank_correlation(&x, &[1.0; 5]), None);
}

#[test]
fn samples_of_the_same_law_are_within_their_errors_of_no_difference() {
    let (x, y) = (student_t(3.0, 20_000, 1), student_t(3.0, 10_000, 2));
    for name in ["hill_left", "hill_right"] {
        let (value, error) = score(name, &x, &y);
        assert!(
            (value - 1.0).abs() < 4.0 * error,
            "{name}: got {value} ± {error}, want 1"
        );
        // Of three columns with 500 rows of a tail, which depend on each other, and as many of 1,000.
        assert!(
            (0.02..0.07).contains(&error),
            "{name}: got an error of {error}"
        );
    }
    for name in ["tail_ks_95", "tail_ks_99"] {
        let (value, _) = score(name, &x, &y);
        assert!(value < 0.3, "{name}: got {value}");
    }
    let (value, _) = score("correlation_error", &x, &y);
    assert!(value < 0.05, "got {value}");
}

#[test]
fn lighter_and_heavier_tails_are_told_apart() {
    let data = student_t(3.0, 20_000, 1);
    let (light, heavy) = (normals(20_000, 3, 2), student_t(1.5, 20_000, 3));
    for name in ["hill_left", "hill_right"] {
        let (value, error) = score(name, &light, &data);
        assert!(value - 1.0 > 10.0 * error, "{name}: got {value} ± {error}");
        let (value, error) = score(name, &heavy, &data);
        assert!(1.0 - value > 5.0 * error, "{name}: got {value} ± {error}");
    }
    for name in ["tail_ks_95", "tail_ks_99"] {
        let (value, error) = score(name, &light, &data);
        assert!(value > 5.0 * error, "{name}: got {value} ± {error}");
    }
    for name in ["hill_left_99", "hill_right_99"] {
        let (value, error) = score(name, &light, &data);
        assert!(value - 1.0 > 5.0 * error, "{name}: got {value} ± {error}");
    }
    assert!(score("kurtosis", &light, &data).0 < 0.5);
    assert!(score("kurtosis", &heavy, &data).0 > 2.0);
}

#[test]
fn columns_that_are_shifted_and_scaled_have_the_same_tails() {
    let (x, y) = (student_t(3.0, 2000, 1), student_t(4.0, 1000, 2));
    let moved = |x: &Tensor| {
        let scale = tensor(&[1e3, 1e-6, 7.0], 3);
        let shift = tensor(&[-5.0, 3e-6, 1e4], 3);
        x.broadcast_mul(&scale)
            .unwrap()
            .broadcast_add(&shift)
            .unwrap()
    };
    for name in [
        "kurtosis",
        "hill_left",
        "hill_right",
        "tail_ks_95",
        "correlation_error",
    ] {
        let (want, got) = (score(name, &x, &y), score(name, &moved(&x), &moved(&y)));
        assert_close(got.0, want.0, 1e-6);
        assert_close(got.1, want.1, 1e-6);
    }
}

#[test]
fn intervals_hold_the_index_of_fresh_rows_as_often_as_they_say() {
    let names: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
    // What 5 % of very many rows give: the estimate has a bias for a Student-t, which samples and data share.
    let many = TailReport::measure(&student_t(3.0, 100_000, 9), &normals(100, 3, 1), &names, 0);
    let want = many.unwrap().all.samples.hill_right.value;
    assert!((2.0..3.0).contains(&want), "got {want}");
    let mut held = 0;
    for seed in 0..40 {
        let rows = student_t(3.0, 1000, 100 + seed);
        let report = TailReport::measure(&rows, &rows, &names, seed).unwrap();
        assert_eq!(report.columns[1].name, "b");
        let [low, high] = report.all.data.hill_right.interval.unwrap();
        held += u64::from(low < want && want < high);
    }
    // Of 40 with 95 %: 38, four binomial deviations of 1.4; percentiles lose a little.
    assert!(held >= 32, "got {held} of 40");
}

#[test]
fn tails_are_the_same_bits_on_any_number_of_threads() {
    let (x, y) = (student_t(3.0, 500, 1), student_t(3.0, 400, 2));
    assert_same_on_any_number_of_threads(|| {
        let (value, error) = score("hill_left", &x, &y);
        vec![value, error, score("correlation_error", &x, &y).1]
    });
}

#[test]
fn what_is_no_table_is_refused() {
    let (x, y) = (normals(99, 2, 1), normals(200, 2, 2));
    let inputs = Inputs {
        samples: Some(&x),
        held_out: Some(&y),
        ..Inputs::default()
    };
    let error = metric("hill_left").unwrap().evaluate(&inputs).unwrap_err();
    let want = "x must be a table of at least 100 rows and at most 1024 columns, got 99 rows of 2";
    assert_eq!(error.to_string(), want);
}

#[test]
fn scores_that_have_no_value_say_why() {
    let (tied, spread) = (tensor(&[1.0; 900], 3), normals(300, 3, 1));
    for (samples, data, want) in [
        (
            &tied,
            &tied,
            Some("hill_left: no value: no column of the data"),
        ),
        (&tied, &spread, Some("hill_left: infinite: in a column")),
        (&spread, &spread, None),
    ] {
        let inputs = Inputs {
            samples: Some(samples),
            held_out: Some(data),
            ..Inputs::default()
        };
        let scores = Scores::measure(&[metric("hill_left").unwrap()], &inputs).unwrap();
        let said: Vec<String> = scores.iter().filter_map(Score::absence).collect();
        match want {
            None => assert!(said.is_empty(), "got {said:?}"),
            Some(want) => assert!(said.len() == 1 && said[0].starts_with(want), "got {said:?}"),
        }
    }
}
