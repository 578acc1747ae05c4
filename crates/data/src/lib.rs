//! Data sets and the batch loader.
