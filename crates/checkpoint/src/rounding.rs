//! Weights rounded to few bits.

use candle_core::{DType, Result};

use crate::config::DATA_MEAN;
use crate::tensors::Tensors;

/// Rounds each tensor of two axes or more to `bits` bits, evenly spaced and symmetric about zero:
///
/// ```text
/// step = max |w| / (2^(bits - 1) - 1),   w -> step round(w / step)
/// ```
///
/// Biases and scales of normalisations, which have one axis, stay as they are: they are few. From 2 bits up.
pub(crate) fn round_weights(weights: &mut Tensors, bits: u32) -> Result<()> {
    for (name, tensor) in weights.iter_mut() {
        if name == DATA_MEAN || tensor.rank() < 2 || !tensor.dtype().is_float() {
            continue;
        }
        let largest = tensor.abs()?.flatten_all()?.max(0)?;
        let largest = largest.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        let step = largest / f64::from((1u32 << (bits - 1)) - 1);
        if step > 0.0 {
            *tensor = ((&*tensor / step)?.round()? * step)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn weights_have_as_many_values_as_their_bits_allow_and_biases_all() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.7).sin()).collect();
        let matrix = Tensor::from_vec(values.clone(), (20, 50), &Device::Cpu).unwrap();
        let bias = matrix.get(0).unwrap();
        for bits in 2..=8 {
            let mut weights = Tensors::new();
            weights.insert("w".into(), matrix.clone());
            weights.insert("b".into(), bias.clone());
            round_weights(&mut weights, bits).unwrap();
            let rounded = weights["w"]
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let step = largest / ((1 << (bits - 1)) - 1) as f32;
            let mut found: Vec<i32> = Vec::new();
            for (got, want) in rounded.iter().zip(&values) {
                assert!(
                    (got - want).abs() <= 0.5001 * step,
                    "{bits} bits: {got} for {want}"
                );
                found.push((got / step).round() as i32);
            }
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), (1 << bits) - 1, "{bits} bits");
            let kept = weights["b"].to_vec1::<f32>().unwrap();
            assert_eq!(kept, bias.to_vec1::<f32>().unwrap());
        }
    }
}
