//! Solvers and the sampler against closed forms, fine solutions and golden trajectories.

mod golden;
mod order;
mod problems;
mod rk45;
mod sampler;
