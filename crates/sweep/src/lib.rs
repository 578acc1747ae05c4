//! YAML sweeps: ordered runs, execution, results and report.
