use candle_core::Tensor;
use pfgmpp_metrics::sliced_wasserstein;

use crate::{
    assert_close, assert_same_on_any_number_of_threads, normals, residues_x, residues_y, tensor,
};

fn distance(x: &Tensor, y: &Tensor, num_projections: usize) -> f64 {
    sliced_wasserstein(x, y, num_projections, 0).unwrap()
}

// sqrt(cost) of scipy.optimize.linear_sum_assignment on squared differences, each number of x
// repeated 10 times and each of y 7 times.
#[test]
fn one_dimension_agrees_with_optimal_assignment() {
    let got = distance(&residues_x(7, 1), &residues_y(10, 1), 3);
    assert_close(got, 0.7322939811695456, 1e-12);
}

#[test]
fn sets_of_different_size_by_hand() {
    // Quantile functions 0 | 3 at 1/2 and 0 | 3 at 2/3 differ by 3 on a stretch of 1/6.
    let (x, y) = (tensor(&[3.0, 0.0], 1), tensor(&[0.0, 3.0, 0.0], 1));
    assert_close(distance(&x, &y, 1), 1.5_f64.sqrt(), 1e-15);
}

#[test]
fn repeating_every_sample_changes_nothing() {
    let (x, y) = (residues_x(12, 3), residues_y(9, 3));
    let thrice = Tensor::cat(&[&x, &x, &x], 0).unwrap();
    assert_close(distance(&thrice, &y, 16), distance(&x, &y, 16), 1e-12);
    let got = distance(&thrice, &x, 16);
    assert!(got < 1e-14, "got {got}, want 0");
}

// W2 along u is |u·v|, and E (u·v)² = |v|² / N; (u·v)² has variance 2 |v|⁴ (N-1) / (N² (N+2)).
#[test]
fn a_shift_costs_its_length_over_the_root_of_the_dimension() {
    for dim in [1, 2, 16] {
        let x = normals(50, dim, 1);
        let y = (&x + 0.3).unwrap();
        let (n, num) = (dim as f64, 2000);
        let squared_norm = 0.09 * n;
        let want = squared_norm / n;
        let error = squared_norm * (2.0 * (n - 1.0) / (n * n * (n + 2.0)) / num as f64).sqrt();
        let got = distance(&x, &y, num).powi(2);
        assert!(
            (got - want).abs() <= 4.0 * error + 1e-14,
            "N = {dim}: got {got}, want {want} +- {error}"
        );
    }
}

#[test]
fn stretching_one_number_line_costs_its_spread() {
    let x = residues_x(300, 1);
    let mean_square = x
        .sqr()
        .unwrap()
        .mean_all()
        .unwrap()
        .to_scalar::<f64>()
        .unwrap();
    let y = (&x * 1.25).unwrap();
    assert_close(distance(&x, &y, 1), 0.25 * mean_square.sqrt(), 1e-12);
}

#[test]
fn halves_of_one_set_come_closer_with_their_size() {
    let halves = |num: usize| {
        let set = normals(2 * num, 8, 1);
        distance(
            &set.narrow(0, 0, num).unwrap(),
            &set.narrow(0, num, num).unwrap(),
            64,
        )
    };
    let (few, many) = (halves(100), halves(6400));
    assert!(
        many < 0.04 && few > 4.0 * many,
        "got {few} from 100 samples and {many} from 6,400"
    );
}

#[test]
fn moves_do_not_change_it_and_scaling_scales_it() {
    let (x, y) = (residues_x(40, 3), residues_y(30, 3));
    let want = distance(&x, &y, 200);
    assert_close(distance(&y, &x, 200), want, 1e-12);
    let (moved_x, moved_y) = ((&x - 1000.0).unwrap(), (&y - 1000.0).unwrap());
    assert_close(distance(&moved_x, &moved_y, 200), want, 1e-9);
    let (scaled_x, scaled_y) = ((&x * 7.0).unwrap(), (&y * 7.0).unwrap());
    assert_close(distance(&scaled_x, &scaled_y, 200), 7.0 * want, 1e-12);
}

#[test]
fn the_seed_and_nothing_else_decides() {
    let (x, y) = (residues_x(40, 3), residues_y(30, 3));
    let got = |seed| sliced_wasserstein(&x, &y, 8, seed).unwrap();
    assert_eq!(got(1), got(1));
    assert_ne!(got(1), got(2));
}

#[test]
fn threads_do_not_change_a_bit() {
    let (x, y) = (normals(700, 20, 1), normals(300, 20, 2));
    assert_same_on_any_number_of_threads(|| vec![distance(&x, &y, 150)]);
}
