use candle_core::{DType, Tensor};
use pfgmpp_metrics::GaussianFit;

use crate::{assert_mean, assert_same_on_any_number_of_threads, normals, residues_x, tensor};

fn rows(x: &Tensor) -> Vec<Vec<f64>> {
    x.to_dtype(DType::F64).unwrap().to_vec2().unwrap()
}

fn mean(rows: &[Vec<f64>], i: usize) -> f64 {
    rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64
}

#[test]
fn samples_have_the_mean_and_covariance_of_the_data() {
    // More rows than one block, so that blocks must add up; then so many that a factor of the covariance is used.
    for num in [600, 20_000] {
        assert_mean_and_covariance_of(num);
    }
}

fn assert_mean_and_covariance_of(num: usize) {
    let mix = tensor(&[1.0, 0.5, 0.0, 0.0, 0.2, -0.4, 0.3, 0.0, 2.0], 3);
    // A mean that is not 0.
    let data = (normals(num, 3, 5).matmul(&mix).unwrap() + 4.0).unwrap();
    let drawn = rows(&GaussianFit::fit(&data).unwrap().sample(40_000, 7).unwrap());
    let data = rows(&data);
    for i in 0..3 {
        let (mean_i, column) = (mean(&data, i), drawn.iter().map(|x| x[i]));
        assert_mean(&column.collect::<Vec<_>>(), mean_i, 4.0);
        for j in 0..=i {
            let mean_j = mean(&data, j);
            let product = |x: &Vec<f64>| (x[i] - mean_i) * (x[j] - mean_j);
            let covariance = data.iter().map(product).sum::<f64>() / (data.len() as f64 - 1.0);
            assert_mean(
                &drawn.iter().map(product).collect::<Vec<_>>(),
                covariance,
                4.0,
            );
        }
    }
}

#[test]
fn samples_are_gaussian_even_from_two_points() {
    let drawn = rows(
        &GaussianFit::fit(&tensor(&[-1.0, 1.0], 1))
            .unwrap()
            .sample(40_000, 1)
            .unwrap(),
    );
    // The variance of -1 and 1 is 2 (divisor n - 1); a Gaussian's fourth moment is 3 times its square.
    let power = |p: i32| drawn.iter().map(|x| x[0].powi(p)).collect::<Vec<_>>();
    assert_mean(&power(2), 2.0, 4.0);
    assert_mean(&power(4), 12.0, 4.0);
}

#[test]
fn samples_stay_where_the_data_span() {
    // Points (t, 2 t, 5): a covariance of rank 1, which no factorisation would like.
    let points: Vec<f64> = (0..9)
        .flat_map(|t| [t as f64, 2.0 * t as f64, 5.0])
        .collect();
    let drawn = rows(
        &GaussianFit::fit(&tensor(&points, 3))
            .unwrap()
            .sample(50, 1)
            .unwrap(),
    );
    for x in drawn {
        assert!(
            (x[1] - 2.0 * x[0]).abs() < 1e-12 && x[2] == 5.0,
            "got {x:?}"
        );
    }
}

#[test]
fn a_sample_does_not_depend_on_how_many_are_drawn() {
    let fit = GaussianFit::fit(&residues_x(30, 7)).unwrap();
    let (few, many) = (
        rows(&fit.sample(5, 3).unwrap()),
        rows(&fit.sample(200, 3).unwrap()),
    );
    assert_eq!(few, many[..5]);
    assert_ne!(rows(&fit.sample(5, 4).unwrap()), few, "another seed");
}

#[test]
fn samples_have_the_shape_and_dtype_of_the_data() {
    let data = residues_x(10, 8)
        .reshape((10, 2, 2, 2))
        .unwrap()
        .to_dtype(DType::F32)
        .unwrap();
    let fit = GaussianFit::fit(&data).unwrap();
    let got = fit.sample(70, 0).unwrap();
    assert_eq!(
        (got.dims(), got.dtype()),
        ([70, 2, 2, 2].as_slice(), DType::F32)
    );
    assert_eq!(fit.sample(0, 0).unwrap().dims(), [0, 2, 2, 2]);
}

#[test]
fn threads_do_not_change_a_bit() {
    let fit = GaussianFit::fit(&normals(600, 20, 1)).unwrap();
    assert_same_on_any_number_of_threads(|| {
        fit.sample(150, 2)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    });
}
