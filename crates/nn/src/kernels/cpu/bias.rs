//! What is added to every pixel of a sample.

/// Rows of a value for each output channel: one for each sample, or one for all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bias<'a> {
    values: &'a [f32],
    columns: usize,
}

impl<'a> Bias<'a> {
    /// `columns` values, or as many for each of `batch` samples.
    pub(crate) fn new(values: &'a [f32], batch: usize, columns: usize) -> Self {
        assert!(values.len() == columns || values.len() == batch * columns);
        Self { values, columns }
    }

    /// The row of a sample.
    pub(crate) fn row(&self, sample: usize) -> &'a [f32] {
        if self.values.len() == self.columns {
            return self.values;
        }
        &self.values[sample * self.columns..][..self.columns]
    }
}
