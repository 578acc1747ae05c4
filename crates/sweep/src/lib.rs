//! YAML sweeps: ordered runs, execution, results and report.
//!
//! A [`Plan`] is read from a file and checked whole; [`Plan::resolve`] finds what it names;
//! [`Sweep::open`] makes sure that every run can begin; [`Sweep::execute`] runs what is not finished, several
//! runs at a time.

mod data;
mod execute;
mod execution;
mod folder;
mod jobs;
mod observer;
mod pace;
mod plan;
mod plan_file;
mod queue;
mod references;
pub mod report;
mod resolved;
mod results;
mod share;
pub mod slurm;
mod stale;
mod summary;
mod workers;

pub use execute::Sweep;
pub use jobs::Jobs;
pub use observer::SweepObserver;
pub use plan::{Plan, Point};
pub use resolved::ResolvedPlan;
pub use results::{Row, Status, SweepResult, axes};
pub use share::{Shard, Share};
pub use summary::{judgements, report_of, shell_word};
pub use workers::Workers;
