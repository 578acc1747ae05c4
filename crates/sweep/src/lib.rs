//! YAML sweeps: ordered runs, execution, results and report.
//!
//! A [`Plan`] is read from a file and checked whole; [`Plan::fetch`] brings here what it names; [`Sweep::open`] makes sure that every run can
//! begin; [`Sweep::execute`] runs what is not finished, several runs at a time.

mod execute;
mod fetch;
mod plan;
pub mod report;
mod results;
mod summary;

pub use execute::{Sweep, SweepObserver};
pub use plan::{Jobs, Plan, Point};
pub use results::{Row, Status, SweepResult};
pub use summary::report_of;
