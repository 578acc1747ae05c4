//! Which classes the samples of a run are of.

use pfgmpp_sampler::Classes;

/// The classes that samples are asked to be of.
pub(crate) struct ClassesAsked {
    /// As the sampler names them.
    pub classes: Classes,
    /// Classes that the model has.
    pub label_dim: usize,
    /// Training images of each class.
    pub counts: Vec<usize>,
    /// The seed of sample 0.
    pub first_seed: u64,
}

impl ClassesAsked {
    /// All of `label_dim` classes alike.
    pub fn uniform(label_dim: usize) -> Self {
        Self {
            classes: Classes::Uniform,
            label_dim,
            counts: Vec::new(),
            first_seed: 0,
        }
    }

    /// The class of the sample of `seed`.
    pub fn of_sample(&self, seed: u64) -> usize {
        let index = seed.wrapping_sub(self.first_seed);
        let Self {
            label_dim, counts, ..
        } = self;
        self.classes.of_sample(seed, index, *label_dim, counts)
    }
}
