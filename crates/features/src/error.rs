//! Why there are no features.

/// Why a network cannot be built, or cannot look at images.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// A weight that the network has is not there.
    #[error("weight {name} is missing, which {network} has; there are {there}")]
    Missing {
        /// Its name, as the network's published weights call it.
        name: String,
        /// The network.
        network: &'static str,
        /// Some names that are there.
        there: String,
    },
    /// There are weights that the network does not have.
    #[error("weight {name} is not one of {network}{}", match count { 1 => String::new(), _ => format!(", and {} others are not", count - 1) })]
    Unknown {
        /// The name of the first.
        name: String,
        /// The network.
        network: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A weight of another shape.
    #[error("weight {name} must be of shape {want}, got {got:?}")]
    Shape {
        /// Its name.
        name: String,
        /// What is accepted.
        want: String,
        /// The shape that it has.
        got: Vec<usize>,
    },
    /// A weight that is not numbers with a fraction, or not finite.
    #[error("weight {name} {problem}")]
    Values {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What is looked at is not images.
    #[error("images must be of shape [n, C, H, W] with 1 or 3 channels, got {got:?}")]
    Images {
        /// The shape.
        got: Vec<usize>,
    },
    /// A pixel is not a number, or infinite.
    #[error("pixels must be finite, got {value} in image {image} of the batch")]
    Pixel {
        /// The value.
        value: f32,
        /// The image that has it.
        image: usize,
    },
    /// Whoever watches has asked for a stop.
    #[error("stopped")]
    Stopped,
    /// A failure of the tensor backend.
    #[error(transparent)]
    Backend(#[from] candle_core::Error),
}
