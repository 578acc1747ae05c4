//! `pfgmpp doctor`: what this program finds here, to paste into an issue.

use std::thread::available_parallelism;

use pfgmpp_hub::Settings;
use pfgmpp_run::free_memory;
use serde::Serialize;

use crate::failure::Failure;
use crate::terminal::{print, print_json};
use crate::version::{COMMIT, features};

#[derive(clap::Args)]
pub struct Args {
    /// Write it as JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
struct Found {
    version: &'static str,
    commit: &'static str,
    system: String,
    features: Vec<&'static str>,
    cores: usize,
    threads: usize,
    vector_instructions: Vec<&'static str>,
    free_memory_bytes: Option<u64>,
    devices: Vec<String>,
    hub: String,
    hub_cache: String,
    variables: Vec<String>,
}

pub fn doctor(args: &Args) -> Result<(), Failure> {
    let hub = Settings::from_env();
    let offline = if hub.offline { ", offline" } else { "" };
    let token = if hub.token.is_some() {
        "with"
    } else {
        "without"
    };
    let found = Found {
        version: env!("CARGO_PKG_VERSION"),
        commit: COMMIT,
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        features: features(),
        cores: available_parallelism().map_or(0, usize::from),
        threads: rayon::current_num_threads(),
        vector_instructions: vector_instructions(),
        free_memory_bytes: free_memory(),
        devices: devices(),
        hub: format!("{}, {token} a token{offline}", hub.endpoint),
        hub_cache: hub.cache.display().to_string(),
        variables: variables(),
    };
    if args.json {
        return print_json(&found);
    }
    let list = |items: &[String]| match items.is_empty() {
        true => "none".to_string(),
        false => items.join(", "),
    };
    let words = |items: &[&str]| list(&items.iter().map(ToString::to_string).collect::<Vec<_>>());
    let memory = found
        .free_memory_bytes
        .map_or("unknown".to_string(), |bytes| {
            format!("{:.1} GiB free", bytes as f64 / (1u64 << 30) as f64)
        });
    for (name, value) in [
        (
            "version",
            format!("{}, commit {}", found.version, found.commit),
        ),
        ("system", found.system),
        ("features", words(&found.features)),
        (
            "cores",
            format!("{}, {} threads used", found.cores, found.threads),
        ),
        ("vectors", words(&found.vector_instructions)),
        ("memory", memory),
        ("devices", list(&found.devices)),
        ("hub", found.hub),
        ("hub cache", found.hub_cache),
        ("variables", list(&found.variables)),
    ] {
        print(format_args!("{name:<10} {value}"));
    }
    Ok(())
}

/// The vector instructions of this processor that kernels are written for.
#[cfg(target_arch = "x86_64")]
fn vector_instructions() -> Vec<&'static str> {
    let all = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
    ];
    let there = all.into_iter().filter(|(_, is_there)| *is_there);
    there.map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn vector_instructions() -> Vec<&'static str> {
    Vec::new()
}

/// Where this binary can compute here.
fn devices() -> Vec<String> {
    let mut devices = vec!["cpu".to_string()];
    if cfg!(feature = "cuda") {
        let opened = candle_core::Device::new_cuda(0);
        devices.push(opened.map_or_else(|e| format!("cuda (not usable: {e})"), |_| "cuda".into()));
    }
    if cfg!(feature = "metal") {
        let opened = candle_core::Device::new_metal(0);
        devices
            .push(opened.map_or_else(|e| format!("metal (not usable: {e})"), |_| "metal".into()));
    }
    devices
}

/// The variables that are set and that this program reads, without what may be secret.
fn variables() -> Vec<String> {
    let shown = [
        "RAYON_NUM_THREADS",
        "PFGMPP_CONV",
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "XDG_CACHE_HOME",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_DOWNLOAD_TIMEOUT",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "CUDA_VISIBLE_DEVICES",
        "SLURM_CPUS_PER_TASK",
        "OMPI_COMM_WORLD_SIZE",
        "NO_COLOR",
    ];
    let set = shown.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some(format!(
            "{name}={}",
            without_login(&value.to_string_lossy())
        ))
    });
    set.collect()
}

/// The same without the name and password that an address may hold.
fn without_login(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        // A proxy may be named without its scheme.
        return match value.rsplit_once('@') {
            Some((login, host)) if login.contains(':') => format!("***@{host}"),
            _ => value.to_string(),
        };
    };
    let host = rest.split('/').next().unwrap_or(rest);
    match host.rfind('@') {
        None => value.to_string(),
        Some(at) => format!("{scheme}://***@{}", &rest[at + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_passwords() {
        for (value, want) in [
            ("https://user:pass@hub/a@b", "https://***@hub/a@b"),
            ("https://hub/x", "https://hub/x"),
            ("user:p@ss@proxy:8080", "***@proxy:8080"),
            ("cache/me@work", "cache/me@work"),
        ] {
            assert_eq!(without_login(value), want);
        }
    }
}
