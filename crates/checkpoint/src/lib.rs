//! Checkpoints: weights and configuration, written whole or not at all.
