//! Distances between sample sets.
