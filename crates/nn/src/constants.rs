//! Constants that state dictionaries carry beside the trained weights.

/// Taps of a change of resolution, which the network knows itself.
pub(crate) const RESAMPLE_FILTER: &str = "resample_filter";

/// Frequencies of a Fourier embedding, drawn with the initial weights and never trained.
pub(crate) const FREQUENCIES: &str = "freqs";

/// The same by the name that diffusers gives them, which is that of trained weights but for its folder.
pub(crate) const PROJECTION: &str = "time_proj.weight";

/// Whether `name` in a state dictionary is that of a constant rather than of trained weights.
///
/// Names are compared by their last part: `model.enc.4x4_down.conv0.resample_filter` is one.
pub fn is_constant(name: &str) -> bool {
    [RESAMPLE_FILTER, FREQUENCIES].contains(&last_part(name))
        || name == PROJECTION
        || name
            .strip_suffix(PROJECTION)
            .is_some_and(|folder| folder.ends_with('.'))
}

/// Whether `name` is that of a constant which follows from the configuration, so that nothing has to be kept.
pub(crate) fn is_computed(name: &str) -> bool {
    last_part(name) == RESAMPLE_FILTER
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
