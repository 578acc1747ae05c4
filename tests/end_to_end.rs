//! The binary as a user meets it: files in, exit codes, lines and files out.

#[path = "end_to_end/advise.rs"]
mod advise;
#[path = "end_to_end/bad_input.rs"]
mod bad_input;
#[path = "end_to_end/bad_setups.rs"]
mod bad_setups;
#[path = "end_to_end/bench.rs"]
mod bench;
#[path = "end_to_end/classes.rs"]
mod classes;
#[path = "end_to_end/convert.rs"]
mod convert;
#[path = "end_to_end/data.rs"]
mod data;
#[path = "end_to_end/docs.rs"]
mod docs;
#[path = "end_to_end/ema.rs"]
mod ema;
#[path = "end_to_end/evaluations.rs"]
mod evaluations;
#[path = "end_to_end/features.rs"]
mod features;
#[cfg(target_os = "linux")]
#[path = "end_to_end/file_faults.rs"]
mod file_faults;
#[path = "end_to_end/fine_tuning.rs"]
mod fine_tuning;
#[path = "end_to_end/hub.rs"]
mod hub;
#[cfg(feature = "datasets")]
#[path = "end_to_end/hub_data.rs"]
mod hub_data;
#[path = "end_to_end/interruption.rs"]
mod interruption;
#[path = "end_to_end/latents.rs"]
mod latents;
#[path = "end_to_end/likelihood.rs"]
mod likelihood;
#[path = "end_to_end/long_training.rs"]
mod long_training;
#[path = "end_to_end/lost_files.rs"]
mod lost_files;
#[path = "end_to_end/pairs.rs"]
mod pairs;
#[cfg(feature = "datasets")]
#[path = "../crates/data/tests/hub_sets/parquet_file.rs"]
mod parquet_file;
#[path = "end_to_end/program.rs"]
mod program;
#[path = "end_to_end/python.rs"]
mod python;
#[cfg(unix)]
#[path = "end_to_end/ranks.rs"]
mod ranks;
#[cfg(unix)]
#[path = "end_to_end/ranks_srun.rs"]
mod ranks_srun;
#[cfg(unix)]
#[path = "end_to_end/real_slurm.rs"]
mod real_slurm;
#[path = "end_to_end/restore.rs"]
mod restore;
#[path = "end_to_end/sample.rs"]
mod sample;
#[path = "end_to_end/score.rs"]
mod score;
#[path = "end_to_end/scoring_features.rs"]
mod scoring_features;
#[path = "end_to_end/setups.rs"]
mod setups;
// Not every fault is tried through the binary.
#[allow(dead_code)]
#[path = "../crates/hub/tests/hub/server/mod.rs"]
mod server;
#[path = "end_to_end/shards.rs"]
mod shards;
#[path = "end_to_end/shells.rs"]
mod shells;
#[cfg(unix)]
#[path = "end_to_end/slurm.rs"]
mod slurm;
#[path = "end_to_end/sweep.rs"]
mod sweep;
#[path = "end_to_end/tables.rs"]
mod tables;
#[path = "end_to_end/transfer.rs"]
mod transfer;
#[cfg(unix)]
#[path = "end_to_end/tutorials.rs"]
mod tutorials;
#[path = "end_to_end/wheel.rs"]
mod wheel;
#[path = "end_to_end/words.rs"]
mod words;
#[path = "end_to_end/work_lost.rs"]
mod work_lost;
