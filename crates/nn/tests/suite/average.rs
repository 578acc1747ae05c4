//! Moving averages in one pass against the same in `f64` by the backend's operations.

use crate::check::{pattern, relative_error};
use candle_core::{DType, Result, Tensor, Var};
use pfgmpp_nn::ops::move_averages;

const SHARES: [f64; 3] = [0.2, 1e-3, 1.0];

/// Three averages after three steps of one weight.
fn after_three_steps(dims: &[usize], dtype: DType) -> Result<Vec<Tensor>> {
    let start = |factor: f64| -> Result<Var> {
        Var::from_tensor(&(pattern(dims) * factor)?.to_dtype(dtype)?)
    };
    let weight = start(1.0)?;
    let averages = [start(0.5)?, start(-2.0)?, start(3.0)?];
    for k in 1..=3 {
        weight.set(&(weight.as_detached_tensor() * (1.0 + f64::from(k)))?)?;
        let moving: Vec<_> = averages.iter().zip(SHARES).collect();
        move_averages(&weight, &moving)?;
    }
    let plain = |var: &Var| var.as_detached_tensor().to_dtype(DType::F64);
    averages.iter().map(plain).collect()
}

#[test]
fn averages_in_one_pass_agree_with_the_formula() -> Result<()> {
    // One element, an odd number, and more than one piece.
    for dims in [vec![1], vec![7, 3], vec![150, 333]] {
        let got = after_three_steps(&dims, DType::F32)?;
        let want = after_three_steps(&dims, DType::F64)?;
        for ((got, want), share) in got.iter().zip(&want).zip(SHARES) {
            let error = relative_error(got, want);
            assert!(
                error < 1e-6,
                "{dims:?}, share {share}: got error {error:e}, want below 1e-6"
            );
        }
    }
    Ok(())
}

#[test]
fn an_average_of_another_shape_is_refused() -> Result<()> {
    let var = |len: usize| Var::from_tensor(&pattern(&[len]).to_dtype(DType::F32)?);
    let (four, other, five) = (var(4)?, var(4)?, var(5)?);
    let error = move_averages(&four, &[(&other, 0.5), (&five, 0.5)]).expect_err("a refusal");
    assert!(error.to_string().contains("[5]"), "{error}");
    Ok(())
}
