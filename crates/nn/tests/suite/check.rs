//! Comparison of a function in `f32`, which runs fused, with the same function in `f64`, which is composed.

use candle_core::{DType, Device, Result, Tensor, Var};
use pfgmpp_kernel::Condition;

/// Values of order one that follow no grid, in `f64`.
pub fn pattern(dims: &[usize]) -> Tensor {
    let phase = dims.iter().sum::<usize>() as f64;
    let values: Vec<f64> = (0..dims.iter().product())
        .map(|i| (1.7 * i as f64 + phase).sin() + (0.311 * i as f64).cos())
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu).expect("as many values as the shape holds")
}

/// Largest difference relative to the largest magnitude wanted.
pub fn relative_error(got: &Tensor, want: &Tensor) -> f64 {
    let largest = |t: &Tensor| {
        t.abs()
            .and_then(|t| t.flatten_all()?.max(0)?.to_scalar::<f64>())
            .expect("values")
    };
    assert_eq!(got.shape(), want.shape(), "shapes");
    let got = got.to_dtype(DType::F64).expect("a conversion");
    largest(&(got - want).expect("equal shapes")) / largest(want).max(1e-12)
}

/// Checks value, gradients, and the gradients' projections against finite differences.
pub fn agree(name: &str, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    agree_within(name, 3e-6, inputs, f);
}

/// As [`agree`], for an operation whose rounding error is known to be another.
pub fn agree_within(
    name: &str,
    bound: f64,
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    try_agree(name, bound, inputs, f).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn try_agree(
    name: &str,
    bound: f64,
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let (value, grads) = differentiate(inputs, DType::F32, &f)?;
    let (want_value, want_grads) = differentiate(inputs, DType::F64, &f)?;
    let error = relative_error(&value, &want_value);
    assert!(
        error < bound,
        "{name}: value off by {error:e}, want below {bound:e}"
    );
    for (i, (got, want)) in grads.iter().zip(&want_grads).enumerate() {
        let error = relative_error(got, want);
        assert!(
            error < 2e-5,
            "{name}: gradient {i} off by {error:e}, want below 2e-5"
        );
        let got = (got.to_dtype(DType::F64)? * pattern(got.dims()))?
            .sum_all()?
            .to_scalar::<f64>()?;
        let want = central_difference(inputs, i, &f)?;
        // The projection may cancel; its terms do not.
        let scale = (grads[i].to_dtype(DType::F64)? * pattern(grads[i].dims()))?
            .abs()?
            .sum_all()?
            .to_scalar::<f64>()?;
        let error = (got - want).abs() / scale.max(1e-12);
        assert!(
            error < 2e-5,
            "{name}: gradient {i} projects to {got}, finite difference {want}"
        );
    }
    Ok(())
}

/// A scalar that every output element moves by its own weight.
fn probe(out: &Tensor) -> Result<Tensor> {
    let weights = pattern(out.dims())
        .affine(1.0, 0.2)?
        .to_dtype(out.dtype())?;
    (out * weights)?.sum_all()
}

fn differentiate(
    inputs: &[Tensor],
    dtype: DType,
    f: &impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<(Tensor, Vec<Tensor>)> {
    let vars = inputs
        .iter()
        .map(|t| Var::from_tensor(&t.to_dtype(dtype)?.copy()?))
        .collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let value = f(&tensors)?;
    let grads = probe(&value)?.backward()?;
    let grads = vars
        .iter()
        .map(|var| grads.get(var).expect("every input has a gradient").clone())
        .collect();
    Ok((value, grads))
}

/// Slope of the probe along `pattern` in input `i`, from the composition in `f64`.
fn central_difference(
    inputs: &[Tensor],
    i: usize,
    f: &impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<f64> {
    const STEP: f64 = 1e-5;
    let at = |step: f64| {
        let mut moved = inputs.to_vec();
        moved[i] = (&moved[i] + (pattern(moved[i].dims()) * step)?)?;
        probe(&f(&moved)?)?.to_scalar::<f64>()
    };
    Ok((at(STEP)? - at(-STEP)?) / (2.0 * STEP))
}

/// A condition of labels alone; none without them.
pub fn labelled(labels: Option<&Tensor>) -> Result<Condition> {
    match labels {
        Some(labels) => Condition::none().with_labels(labels.clone()),
        None => Ok(Condition::none()),
    }
}
