//! The kernel distance, KID (Bińkowski et al. 2018, "Demystifying MMD GANs", arXiv:1801.01401).

use candle_core::Tensor;

use crate::inputs::{Inputs, Need};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::pairs::{Scratch, SetPair};
use crate::samples::{MetricError, Samples};

/// The squared maximum mean discrepancy of two sets under the cubic kernel, unbiased, with its standard error.
///
/// ```text
/// E k(X, X') + E k(Y, Y') - 2 E k(X, Y),     k(a, b) = (a·b / N + 1)³
/// ```
///
/// Over distinct pairs, of all samples at once in place of random subsets, so that the value has no random part; near 0
/// it may come out negative. The standard error is the jackknife's over both sets, `None` for fewer than 3 samples. Many
/// programs show it times 1,000.
///
/// `x` has shape `[n, ...]`, `y` `[m, ...]`, each with `N` values a sample; `f32` or `f64`.
///
/// # Errors
///
/// Samples of different size, fewer than 2 of them, values that are not finite, another dtype, and failures of the tensor
/// backend.
pub fn kernel_distance(x: &Tensor, y: &Tensor) -> Result<Estimate, MetricError> {
    let (x, y) = Samples::read_pair(x, y)?;
    let (n, origin) = (x.dim as f64, vec![0.0; x.dim]);
    let pair = SetPair::of(&x, &y, &origin, move |scratch: &mut Scratch, row| {
        let values = scratch.products(row);
        values
            .iter_mut()
            .for_each(|product| *product = (*product / n + 1.0).powi(3));
        values
    });
    Ok(Estimate {
        value: pair.value([1.0, -2.0]),
        standard_error: pair.standard_error([1.0, -2.0]),
    })
}

/// [`kernel_distance`] of the samples from the held-out data, or of their features.
pub struct KernelDistance;

impl Metric for KernelDistance {
    fn description(&self) -> Description {
        Description {
            name: "kernel_distance",
            label: "kernel distance",
            short: "kernel dist.",
            unit: "of the kernel (a·b/N + 1)³",
            meaning: "squared maximum mean discrepancy under a cubic kernel (KID where the values are Inception's \
                      features); unbiased, so that an excellent model may fall slightly below 0",
            better: Better::Lower,
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Features]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let [samples, data] = inputs.features()?;
        kernel_distance(samples, data)
    }
}
