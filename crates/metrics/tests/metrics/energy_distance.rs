use candle_core::{DType, Tensor};
use pfgmpp_metrics::energy_distance;

use crate::{
    assert_close, assert_mean, assert_same_on_any_number_of_threads, normals, residues_x,
    residues_y, tensor,
};

fn distance(x: &Tensor, y: &Tensor) -> f64 {
    energy_distance(x, y).unwrap()
}

#[test]
fn two_pairs_of_numbers_by_hand() {
    // |x - y| is 1, 5, 1, 3; |x - x'| is 2; |y - y'| is 4.
    let (x, y) = (tensor(&[0.0, 2.0], 1), tensor(&[1.0, 5.0], 1));
    assert_eq!(distance(&x, &y), 2.0 * 2.5 - 2.0 - 4.0);
}

// 2 cdist(x, y).mean() - pdist(x).mean() - pdist(y).mean() by scipy.spatial.distance; in one
// dimension the biased form of it is the square of scipy.stats.energy_distance.
#[test]
fn agrees_with_scipy() {
    let cases = [
        (7, 10, 5, 0.4216368587304551),
        (300, 520, 3, 0.43002032813986024),
        (7, 10, 1, 0.9436000000000001),
    ];
    for (n, m, dim, want) in cases {
        let (x, y) = (residues_x(n, dim), residues_y(m, dim));
        assert_close(distance(&x, &y), want, 1e-12);
        let single = |x: &Tensor| x.to_dtype(DType::F32).unwrap();
        assert_close(distance(&single(&x), &single(&y)), want, 1e-6);
    }
}

#[test]
fn shape_beyond_the_first_axis_does_not_matter() {
    let (x, y) = (residues_x(6, 4), residues_y(5, 4));
    let (cubes_x, cubes_y) = (
        x.reshape((6, 1, 2, 2)).unwrap(),
        y.reshape((5, 2, 1, 2)).unwrap(),
    );
    assert_eq!(distance(&cubes_x, &cubes_y), distance(&x, &y));
}

// E|aX - bY| of standard normal X, Y in N dimensions is c sqrt(a² + b²), c = sqrt(2) Γ((N+1)/2) / Γ(N/2).
#[test]
fn normals_of_two_scales_are_as_far_apart_as_theory_says() {
    let c8 = 2.0_f64.sqrt() * 11.631728396567448 / 6.0; // Γ(4.5) / Γ(4)
    let want = c8 * (2.0 * 5.0_f64.sqrt() - 2.0_f64.sqrt() - 8.0_f64.sqrt());
    let replicate = |seed| {
        distance(
            &normals(300, 8, seed),
            &(normals(300, 8, seed + 1000) * 2.0).unwrap(),
        )
    };
    assert_mean(&(0..32).map(replicate).collect::<Vec<_>>(), want, 4.0);
}

#[test]
fn small_sets_of_one_distribution_are_zero_apart_on_average() {
    // The biased form would give about c (1/6 + 1/9) sqrt(2) = 0.6 in place of 0.
    let replicate = |seed| distance(&normals(6, 3, seed), &normals(9, 3, seed + 10_000));
    assert_mean(&(0..2000).map(replicate).collect::<Vec<_>>(), 0.0, 4.0);
}

#[test]
fn halves_of_one_set_are_close() {
    let set = normals(2000, 16, 1);
    let (x, y) = (
        set.narrow(0, 0, 1000).unwrap(),
        set.narrow(0, 1000, 1000).unwrap(),
    );
    let got = distance(&x, &y);
    assert!(
        got.abs() < 0.005,
        "got {got}, want 0 within 0.005, distances being about 5.6"
    );
}

#[test]
fn moves_do_not_change_it_and_scaling_scales_it() {
    let (x, y) = (residues_x(40, 3), residues_y(30, 3));
    let want = distance(&x, &y);
    assert_close(distance(&y, &x), want, 1e-13);
    let moved = |x: &Tensor| (x + 1000.0).unwrap();
    assert_close(distance(&moved(&x), &moved(&y)), want, 1e-9);
    let rotation = tensor(&[0.6, 0.8, 0.0, -0.8, 0.6, 0.0, 0.0, 0.0, -1.0], 3);
    let rotated = |x: &Tensor| x.matmul(&rotation).unwrap();
    assert_close(distance(&rotated(&x), &rotated(&y)), want, 1e-12);
    let scaled = |x: &Tensor| (x * 7.0).unwrap();
    assert_close(distance(&scaled(&x), &scaled(&y)), 7.0 * want, 1e-12);
}

#[test]
fn close_points_far_from_the_centre_keep_their_distance() {
    // The product form alone would see |x - y| of 1e-6 as 0 or as 1e-5 beside |x| of 1000.
    let close = 2.0_f64.powi(-20);
    let x = tensor(&[1000.0, 0.0, -1000.0, 0.0], 2);
    let y = tensor(&[1000.0, close, -1000.0, -close], 2);
    let (got, want) = (distance(&x, &y), -2000.0 + close);
    assert!(
        (got - want).abs() < 1e-11,
        "got {got} - {want} = {}",
        got - want
    );
}

#[test]
fn an_outlier_does_not_blur_the_other_distances() {
    // One sample 1e9 away pulls the centre, as heavy-tailed samples at small D do.
    let (num, dim) = (20, 4);
    let mut values = residues_x(num, dim)
        .flatten_all()
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    values[0] = 1e9;
    let y = residues_y(num, dim)
        .flatten_all()
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    let mean = |a: &[f64], b: &[f64], skip: bool| {
        let (mut sum, mut count) = (0.0, 0.0);
        for (i, a) in a.chunks(dim).enumerate() {
            for b in b.chunks(dim).skip(if skip { i + 1 } else { 0 }) {
                sum += a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| (a - b).powi(2))
                    .sum::<f64>()
                    .sqrt();
                count += 1.0;
            }
        }
        sum / count
    };
    let want = 2.0 * mean(&values, &y, false) - mean(&values, &values, true) - mean(&y, &y, true);
    let got = distance(&tensor(&values, dim), &tensor(&y, dim));
    assert!(
        (got - want).abs() < 1e-6,
        "got {got}, want {want}, which f64 holds to 1e-8"
    );
}

#[test]
fn threads_do_not_change_a_bit() {
    let (x, y) = (normals(700, 20, 1), normals(300, 20, 2));
    assert_same_on_any_number_of_threads(|| vec![distance(&x, &y)]);
}
