//! Networks and their fused operations.
