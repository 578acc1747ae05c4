use candle_core::{DType, Device, Tensor};
use pfgmpp_metrics::{GaussianFit, energy_distance, sliced_wasserstein};

use crate::{normals, tensor};

/// The message, which must be the same for both distances.
fn refusal(x: &Tensor, y: &Tensor) -> String {
    let message = energy_distance(x, y).unwrap_err().to_string();
    assert_eq!(
        sliced_wasserstein(x, y, 4, 0).unwrap_err().to_string(),
        message
    );
    message
}

#[test]
fn samples_of_different_size_are_refused() {
    let got = refusal(&normals(4, 3, 0), &normals(4, 2, 0));
    assert_eq!(
        got,
        "x and y must have samples of equal size, got 3 and 2 values per sample"
    );
}

#[test]
fn sets_that_are_too_small_are_refused() {
    let (one, many) = (tensor(&[1.0, 2.0], 2), normals(4, 2, 0));
    let got = refusal(&many, &one);
    assert_eq!(
        got,
        "y must hold at least 2 samples of at least 1 value, got shape [1, 2]"
    );
    let got = GaussianFit::fit(&one).unwrap_err().to_string();
    assert_eq!(
        got,
        "data must hold at least 2 samples of at least 1 value, got shape [1, 2]"
    );
    let shapes: [&[usize]; 3] = [&[], &[4, 0], &[0, 4]];
    for shape in shapes {
        let got = refusal(
            &Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap(),
            &many,
        );
        assert!(
            got.starts_with("x must hold") && got.ends_with(&format!("{shape:?}")),
            "got {got}"
        );
    }
}

#[test]
fn the_first_value_that_is_not_finite_is_named() {
    let x = tensor(&[0.0, 1.0, 2.0, f64::NAN, f64::INFINITY, 5.0], 2);
    let got = refusal(&x, &normals(4, 2, 0));
    assert_eq!(
        got,
        "x must be finite and within ±1e150, got NaN at value 1 of sample 1"
    );
    let y = tensor(&[0.0, 1.0, 2.0, 3.0, f64::NEG_INFINITY, 5.0], 2)
        .to_dtype(DType::F32)
        .unwrap();
    let got = refusal(&normals(4, 2, 0), &y);
    assert_eq!(
        got,
        "y must be finite and within ±1e150, got -inf at value 0 of sample 2"
    );
    let got = refusal(&(normals(4, 2, 0) * 1e200).unwrap(), &normals(4, 2, 0));
    assert!(
        got.starts_with("x must be finite and within ±1e150"),
        "got {got}"
    );
}

#[test]
fn other_dtypes_are_refused() {
    let x = Tensor::zeros((2, 2), DType::U8, &Device::Cpu).unwrap();
    assert_eq!(
        refusal(&x, &normals(2, 2, 0)),
        "x must be f32 or f64, got U8"
    );
}

#[test]
fn a_sliced_distance_needs_slices() {
    let got = sliced_wasserstein(&normals(2, 2, 0), &normals(2, 2, 1), 0, 0)
        .unwrap_err()
        .to_string();
    assert_eq!(got, "num_projections must be at least 1, got 0");
}
