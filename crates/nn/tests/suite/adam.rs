//! Steps of Adam in one pass against the same in `f64` by the backend's operations, and norms of gradients.

use crate::check::{pattern, relative_error};
use candle_core::{DType, Result, Tensor, Var};
use pfgmpp_nn::ops::{AdamState, AdamStep, move_averages, squared_norm};

const STEP: AdamStep = AdamStep {
    beta1: 0.9,
    beta2: 0.99,
    rate: 0.03,
    eps: 1e-3,
    scale: 0.7,
    keep: 0.98,
};

/// Weight, mean and mean square after three steps.
fn after_three_steps(dims: &[usize], dtype: DType) -> Result<Vec<Tensor>> {
    let start = |factor: f64| -> Result<Var> {
        Var::from_tensor(&(pattern(dims) * factor)?.to_dtype(dtype)?)
    };
    let (weight, m, v) = (start(1.0)?, start(0.0)?, start(0.0)?);
    for k in 1..=3 {
        let state = AdamState {
            weight: &weight,
            m: &m,
            v: &v,
        };
        let grad = (pattern(dims).cos()? * f64::from(k))?.to_dtype(dtype)?;
        STEP.apply(state, &grad, &[])?;
    }
    let plain = |var: &Var| var.as_detached_tensor().to_dtype(DType::F64);
    [weight, m, v].iter().map(plain).collect()
}

#[test]
fn a_step_in_one_pass_agrees_with_the_formulas() -> Result<()> {
    // One element, an odd number, and more than one piece.
    for dims in [vec![1], vec![7, 3], vec![150, 333]] {
        let got = after_three_steps(&dims, DType::F32)?;
        let want = after_three_steps(&dims, DType::F64)?;
        for (got, want) in got.iter().zip(&want) {
            let error = relative_error(got, want);
            assert!(
                error < 3e-6,
                "{dims:?}: got error {error:e}, want below 3e-6"
            );
        }
    }
    Ok(())
}

#[test]
fn averages_that_follow_a_step_are_those_moved_after_it_to_the_bit() -> Result<()> {
    for dims in [vec![7, 3], vec![150, 333]] {
        let var = |factor: f64| Var::from_tensor(&(pattern(&dims) * factor)?.to_dtype(DType::F32)?);
        let grad = pattern(&dims).cos()?.to_dtype(DType::F32)?;
        let step = |together: bool| -> Result<Vec<Vec<f32>>> {
            let (weight, m, v) = (var(1.0)?, var(0.1)?, var(0.2)?.as_tensor().sqr()?);
            let (v, first, second) = (Var::from_tensor(&v)?, var(0.5)?, var(-2.0)?);
            let averages = [(&first, 0.01), (&second, 0.3)];
            let state = AdamState {
                weight: &weight,
                m: &m,
                v: &v,
            };
            if together {
                STEP.apply(state, &grad, &averages)?;
            } else {
                STEP.apply(state, &grad, &[])?;
                move_averages(&weight, &averages)?;
            }
            [weight, m, v, first, second]
                .iter()
                .map(|var| var.flatten_all()?.to_vec1())
                .collect()
        };
        assert!(step(true)? == step(false)?, "{dims:?}: other values");
    }
    Ok(())
}

#[test]
fn a_step_refuses_tensors_of_other_shapes() -> Result<()> {
    let var = |len: usize| Var::from_tensor(&pattern(&[len]).to_dtype(DType::F32)?);
    let (four, five) = (var(4)?, var(5)?);
    let state = AdamState {
        weight: &four,
        m: &four,
        v: &five,
    };
    assert!(STEP.apply(state, four.as_tensor(), &[]).is_err());
    let state = AdamState { v: &four, ..state };
    assert!(STEP.apply(state, five.as_tensor(), &[]).is_err());
    let averages = [(&five, 0.1)];
    assert!(STEP.apply(state, four.as_tensor(), &averages).is_err());
    Ok(())
}

#[test]
fn the_square_of_a_norm_is_the_sum_of_squares_in_f64() -> Result<()> {
    // One element, an odd number, and more than one piece.
    for dims in [vec![1], vec![7, 3], vec![150, 333]] {
        let x = (pattern(&dims) * 1e3)?.to_dtype(DType::F32)?;
        let got = squared_norm(&x)?;
        let want = x.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        let want = want.to_scalar::<f64>()?;
        let error = (got / want - 1.0).abs();
        assert!(error < 1e-13, "{dims:?}: got {got}, want {want}");
        let composed = squared_norm(&x.to_dtype(DType::F64)?)?;
        assert!(
            (composed / want - 1.0).abs() < 1e-6,
            "{dims:?}: got {composed}, want {want}"
        );
    }
    let bad = Tensor::new(&[1.0f32, f32::NAN], &candle_core::Device::Cpu)?;
    assert!(squared_norm(&bad)?.is_nan(), "got {}", squared_norm(&bad)?);
    Ok(())
}
