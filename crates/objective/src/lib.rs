//! The unbiased PFGM++ objective.
