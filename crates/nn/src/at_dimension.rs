//! One network for many D: how it is told which.

use std::f64::consts::PI;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Dimension};

use crate::{Context, Network};

/// Values that tell a network the dimension D; they stand before those of augmentation.
pub const DIMENSION_LABELS: usize = 8;

/// What a network for many D is told of one D and data of `n` values: smooth in D up to infinity, so that it may be asked
/// at a D between those that it was trained at.
///
/// ```text
/// [cos(π k u), cos(π k v)],   k = 1 .. 4,   u = D / (N + D),   v = D / (1 + D)
/// ```
///
/// u is the share with which a level counts beside the sample itself, v tells small D apart, whose noise scales spread.
pub fn dimension_labels(n: usize, d: Dimension) -> [f32; DIMENSION_LABELS] {
    let share = |of: f64| match d {
        Dimension::Finite(d) => d / (of + d),
        Dimension::Infinite => 1.0,
    };
    let (u, v) = (share(n as f64), share(1.0));
    std::array::from_fn(|i| {
        let coordinate = if i < DIMENSION_LABELS / 2 { u } else { v };
        let k = (i % (DIMENSION_LABELS / 2) + 1) as f64;
        (PI * k * coordinate).cos() as f32
    })
}

/// A network for many D at one of them.
pub struct AtDimension {
    network: Arc<dyn Network>,
    /// D, then zeros for images that are not augmented.
    labels: Vec<f32>,
}

impl AtDimension {
    /// `network`, for data of `n` values, at `d`; it is told [`dimension_labels`] as the first of its `augment_dim`
    /// augmentation parameters.
    #[must_use]
    pub fn new(network: Arc<dyn Network>, (n, d): (usize, Dimension), augment_dim: usize) -> Self {
        let mut labels = dimension_labels(n, d).to_vec();
        labels.resize(augment_dim, 0.0);
        Self { network, labels }
    }
}

impl Network for AtDimension {
    fn takes(&self) -> ConditionSpec {
        self.network.takes()
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let told = Tensor::new(self.labels.as_slice(), x.device())?;
        let told = told.unsqueeze(0)?.repeat((x.dim(0)?, 1))?;
        let context = Context {
            augment: Some(&told),
            ..*context
        };
        self.network.forward(x, c_noise, &context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_d_is_told_apart_and_what_is_told_is_continuous_up_to_infinity() {
        let n = 64;
        let told = |d: f64| dimension_labels(n, Dimension::new(d).unwrap());
        let distance = |a: f64, b: f64| {
            let pairs = told(a).into_iter().zip(told(b));
            pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max)
        };
        let all = [0.5, 1.0, 2.0, 8.0, 64.0, 128.0, 2048.0, f64::INFINITY];
        for pair in all.windows(2) {
            let got = distance(pair[0], pair[1]);
            assert!(got > 0.004, "{pair:?}: got {got}, want above 0.004");
        }
        let got = distance(1e9, f64::INFINITY);
        assert!(got < 1e-6, "got {got}, want below 1e-6");
    }
}
