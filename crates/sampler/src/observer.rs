//! Looking on while a solver moves its samples.

use candle_core::{Result, Tensor};

/// A sample that has come to a noise level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stop {
    /// Row of the tensor that holds it.
    pub(crate) row: usize,
    /// Position in the whole batch.
    pub(crate) sample: usize,
    /// The noise level.
    pub(crate) sigma: f64,
}

/// Whoever looks on.
pub(crate) trait Observer {
    /// Is shown the samples that have moved, rows of `x` `[K, ...]`.
    fn visit(&mut self, x: &Tensor, stops: &[Stop]) -> Result<()>;

    /// Is shown a whole batch that has come to one level.
    fn visit_all(&mut self, x: &Tensor, sigma: f64) -> Result<()> {
        let stop = |row| Stop {
            row,
            sample: row,
            sigma,
        };
        let stops: Vec<Stop> = (0..x.dim(0)?).map(stop).collect();
        self.visit(x, &stops)
    }
}

/// Nobody looks on.
impl Observer for () {
    fn visit(&mut self, _: &Tensor, _: &[Stop]) -> Result<()> {
        Ok(())
    }
}
