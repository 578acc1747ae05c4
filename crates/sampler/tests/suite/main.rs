//! Solvers and the sampler against closed forms, fine solutions and golden trajectories.

mod churn;
mod golden;
mod order;
mod problems;
mod raise;
mod rk45;
mod sampler;
mod trajectory;
