//! Reference rows are measured once for all calls of a sweep, and again where they would be others.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use pfgmpp_data::Found;
use pfgmpp_hub::Hub;
use pfgmpp_run::{Progress, RunError, StopFlag};
use pfgmpp_store::StoreError;
use pfgmpp_sweep::{Plan, Point, ResolvedPlan, Row, Share, Sweep, SweepObserver, SweepResult};

/// Counts what it is told of reference rows, and removes a folder when it is told first.
#[derive(Default)]
struct Told {
    count: AtomicUsize,
    removes: Option<PathBuf>,
}

impl SweepObserver for Told {
    fn checked(&self, _: &[Found], _: &[String]) {}
    fn references(&self, _: &Progress) {
        self.count.fetch_add(1, Ordering::SeqCst);
        if let Some(folder) = &self.removes
            && folder.exists()
        {
            fs::remove_dir_all(folder).unwrap();
        }
    }
    fn started(&self, _: usize, _: &Point) {}
    fn progress(&self, _: usize, _: &Progress) {}
    fn note(&self, _: usize, _: &str) {}
    fn ended(&self, _: usize, _: &Row) {}
}

const CONFIG: &str = "d: 128
seed: 0
data: eight_gaussians
model: exact
sampler:
  solver: heun
  schedule:
    edm: {num_steps: 4, sigma_min: 0.002, sigma_max: 80.0, rho: 7.0}
scoring: {num_samples: 64, batch_size: 64, num_projections: 8, seed: 0, metrics: [energy_distance, sliced_wasserstein]}
";

/// The sweep of two D in `folder`, with `config`.
fn plan(folder: &Path, config: &str) -> ResolvedPlan {
    fs::write(folder.join("config.yaml"), config).unwrap();
    let file = folder.join("sweep.yaml");
    let text = "name: one\ndescription: One.\nbase: config.yaml\njobs: 1\naxes:\n  d: [8, inf]\n";
    fs::write(&file, text).unwrap();
    let plan = Plan::read(&file, &[]).unwrap();
    plan.resolve(&folder.join("out"), &Hub::from_env()).unwrap()
}

/// Executes the sweep in `folder`, with `config`; gives its table and how often reference rows were told of.
fn sweep(folder: &Path, config: &str) -> (SweepResult, usize) {
    let (out, device, told) = (folder.join("out"), Device::Cpu, Told::default());
    let plan = plan(folder, config);
    let sweep = Sweep::open(&plan, &Share::All, &out, &device, &told).unwrap();
    let stop = StopFlag::default();
    let result = sweep.execute(None, &device, &told, &stop).unwrap();
    assert!(result.is_finished());
    let count = told.count.load(Ordering::SeqCst);
    assert_eq!(
        Sweep::collect(&plan, &out, &told).unwrap().references,
        result.references
    );
    assert_eq!(
        told.count.load(Ordering::SeqCst),
        count,
        "a collection measures nothing again"
    );
    (result, count)
}

#[test]
fn what_an_earlier_call_measured_is_taken_while_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (first, told) = sweep(path, CONFIG);
    assert_eq!((first.references.len(), told), (3, 10));
    let (second, told) = sweep(path, CONFIG);
    assert_eq!((&second.references, told), (&first.references, 0));
    // Damaged, in a number or as a whole, or without its checksum: measured again, to the same numbers.
    let kept = path.join("out/references.json");
    let bytes = fs::read(&kept).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let first_digit = text.find("energy_distance").unwrap()
        + text[text.find("energy_distance").unwrap()..]
            .find(|c: char| ('1'..='9').contains(&c))
            .unwrap();
    let mut other_number = bytes.clone();
    other_number[first_digit] ^= 1;
    let seal = text.rfind(",\n").unwrap();
    let unsealed = format!("{}\n}}\n", &text[..seal]).into_bytes();
    for (place, damaged) in [other_number, b"[]".to_vec(), unsealed]
        .into_iter()
        .enumerate()
    {
        fs::write(&kept, damaged).unwrap();
        let (again, told) = sweep(path, CONFIG);
        assert_eq!(
            (&again.references, told),
            (&first.references, 10),
            "damage {place}"
        );
        assert_eq!(fs::read(&kept).unwrap(), bytes, "damage {place}");
    }
    // Of another way of scoring they are others.
    fs::remove_dir_all(path.join("out/d=8")).unwrap();
    fs::remove_dir_all(path.join("out/d=inf")).unwrap();
    let other = CONFIG.replace("seed: 0, metrics", "seed: 1, metrics");
    let (other, told) = sweep(path, &other);
    assert_eq!(told, 10);
    assert_ne!(other.references, first.references);
    // Of other data too; those of before are kept beside them.
    for run in ["d=8", "d=inf"] {
        fs::remove_dir_all(path.join("out").join(run)).unwrap();
    }
    let (moons, told) = sweep(path, &CONFIG.replace("eight_gaussians", "two_moons"));
    assert_eq!(told, 10);
    assert_ne!(moons.references, first.references);
    for run in ["d=8", "d=inf"] {
        fs::remove_dir_all(path.join("out").join(run)).unwrap();
    }
    let (again, told) = sweep(path, CONFIG);
    assert_eq!((&again.references, told), (&first.references, 0));
}

#[test]
fn a_folder_that_is_removed_while_they_are_measured_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path(), folder.path().join("out"));
    let plan = plan(path, CONFIG);
    let removing = || Told {
        count: AtomicUsize::default(),
        removes: Some(out.clone()),
    };
    let device = Device::Cpu;
    let refused = |error: RunError| {
        assert!(
            matches!(error, RunError::Store(StoreError::Gone { .. })),
            "got {error}"
        );
        assert!(!out.exists());
    };
    // A folder that is new, one that was there, and one whose table is collected.
    let open = || Sweep::open(&plan, &Share::All, &out, &device, &removing()).err();
    let collect = || Sweep::collect(&plan, &out, &removing()).err();
    refused(open().unwrap());
    for call in [&open as &dyn Fn() -> Option<RunError>, &collect] {
        sweep(path, CONFIG);
        fs::remove_file(out.join("references.json")).unwrap();
        refused(call().unwrap());
    }
}
