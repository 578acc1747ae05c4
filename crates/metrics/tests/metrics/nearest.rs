//! The nearest neighbour, against all distances taken one by one.

use candle_core::{Device, Tensor};
use pfgmpp_metrics::nearest;

/// Numbers without a pattern in [-1, 1).
fn points(num: usize, dim: usize, salt: u64) -> Vec<Vec<f64>> {
    let value = |i: usize| {
        let word = (i as u64 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / 2f64.powi(52)
            - 1.0
    };
    (0..num)
        .map(|row| (0..dim).map(|k| value(row * dim + k)).collect())
        .collect()
}

fn tensor(rows: &[Vec<f64>]) -> Tensor {
    let flat: Vec<f64> = rows.concat();
    Tensor::from_vec(flat, (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
}

#[test]
fn the_nearest_is_that_of_all_distances() {
    // More of both than one block holds.
    let (x, y) = (points(300, 5, 1), points(700, 5, 9_999));
    let square =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
    let got = nearest(&tensor(&x), &tensor(&y)).unwrap();
    for (a, got) in x.iter().zip(got) {
        let want = (0..y.len()).min_by(|&i, &j| square(a, &y[i]).total_cmp(&square(a, &y[j])));
        assert_eq!(Some(got), want);
    }
}

#[test]
fn a_sample_that_is_there_is_nearest_to_itself() {
    let y = points(600, 3, 7);
    let got = nearest(&tensor(&y[250..600]), &tensor(&y)).unwrap();
    assert_eq!(got, (250..600).collect::<Vec<_>>());
}

#[test]
fn samples_of_another_size_are_refused() {
    let error = nearest(&tensor(&points(3, 2, 0)), &tensor(&points(3, 4, 0))).unwrap_err();
    let got = error.to_string();
    assert!(got.contains("got 2 and 4 values per sample"), "got {got}");
}
