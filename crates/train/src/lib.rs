//! Training: Adam, EMA, the loop, resume, TensorBoard.
