//! Reference rows are measured once for all calls of a sweep, and again where they would be others.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use pfgmpp_data::Found;
use pfgmpp_hub::Hub;
use pfgmpp_run::{Progress, StopFlag};
use pfgmpp_sweep::{Plan, Point, Row, Share, Sweep, SweepObserver, SweepResult};

/// Counts what it is told of reference rows.
#[derive(Default)]
struct Told(AtomicUsize);

impl SweepObserver for Told {
    fn checked(&self, _: &[Found], _: &[String]) {}
    fn references(&self, _: &Progress) {
        self.0.fetch_add(1, Ordering::SeqCst);
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

/// Executes the sweep in `folder`, with `config`; gives its table and how often reference rows were told of.
fn sweep(folder: &Path, config: &str) -> (SweepResult, usize) {
    fs::write(folder.join("config.yaml"), config).unwrap();
    let file = folder.join("sweep.yaml");
    let text = "name: one\ndescription: One.\nbase: config.yaml\njobs: 1\naxes:\n  d: [8, inf]\n";
    fs::write(&file, text).unwrap();
    let (out, device, told) = (folder.join("out"), Device::Cpu, Told::default());
    let plan = Plan::read(&file, &[]).unwrap();
    let plan = plan.resolve(&out, &Hub::from_env()).unwrap();
    let sweep = Sweep::open(&plan, &Share::All, &out, &device, &told).unwrap();
    let stop = StopFlag::default();
    let result = sweep.execute(None, &device, &told, &stop).unwrap();
    assert!(result.is_finished());
    let count = told.0.load(Ordering::SeqCst);
    assert_eq!(
        Sweep::collect(&plan, &out, &told).unwrap().references,
        result.references
    );
    assert_eq!(
        told.0.load(Ordering::SeqCst),
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
    // Damaged at any place: measured again, to the same numbers.
    let kept = path.join("out/references.json");
    let bytes = fs::read(&kept).unwrap();
    for place in [0, bytes.len() / 3, bytes.len() / 2] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        fs::write(&kept, damaged).unwrap();
        let (again, told) = sweep(path, CONFIG);
        assert_eq!(
            (&again.references, told),
            (&first.references, 10),
            "byte {place}"
        );
        assert_eq!(fs::read(&kept).unwrap(), bytes, "byte {place}");
    }
    // Of another way of scoring they are others.
    fs::remove_dir_all(path.join("out/d=8")).unwrap();
    fs::remove_dir_all(path.join("out/d=inf")).unwrap();
    let other = CONFIG.replace("seed: 0, metrics", "seed: 1, metrics");
    let (other, told) = sweep(path, &other);
    assert_eq!(told, 10);
    assert_ne!(other.references, first.references);
}
