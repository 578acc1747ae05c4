//! The verdict of real runs: where D matters by construction the right D is named, and where it does not none is.
//!
//! The data are points of four clusters, N = 2, and the model is their exact posterior, so nothing but D differs. Noise as large as the
//! level is added after each step, of which the solver does not know. A model at D reads its level off each sample with the weight
//! N/(N + D): 0.67 at D = 1, 0.02 at D = 128, 0 at D = inf. So D = 1 bears that noise and the others do not.

use std::fs;

use candle_core::Device;
use pfgmpp_data::Found;
use pfgmpp_hub::Hub;
use pfgmpp_run::{Progress, StopFlag};
use pfgmpp_sweep::{Jobs, Plan, Point, Row, Share, Sweep, SweepObserver, SweepResult, judgements};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sweeps of five seeds each.
const REPETITIONS: usize = 10;
const SEEDS: usize = 5;
/// Of which so many have to be right.
const RIGHT: usize = 9;

struct Silent;

impl SweepObserver for Silent {
    fn checked(&self, _: &[Found], _: &[String]) {}
    fn references(&self, _: &Progress) {}
    fn started(&self, _: usize, _: &Point) {}
    fn progress(&self, _: usize, _: &Progress) {}
    fn note(&self, _: usize, _: &str) {}
    fn ended(&self, _: usize, _: &Row) {}
}

/// A thousand points around (1, 1), (1, -1), (-1, 1) and (-1, -1), spread by a tenth.
fn points() -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut table = "x,y\n".to_string();
    for index in 0..1000 {
        let centre = [index % 2, index / 2 % 2].map(|side| f64::from(2 * side - 1));
        let [x, y] =
            centre.map(|centre| centre + 0.1 * (rng.random::<f64>() + rng.random::<f64>() - 1.0));
        table += &format!("{x:.6},{y:.6}\n");
    }
    table
}

/// The runs of D = 1, 128 and inf with fifty seeds.
fn swept() -> SweepResult {
    let folder = tempfile::tempdir().unwrap();
    let config = "d: 128
seed: 0
data: {csv: {path: points.csv, range: [-2, 2]}}
model: exact
sampler:
  solver: heun
  schedule:
    edm: {num_steps: 12, sigma_min: 0.002, sigma_max: 80.0, rho: 7.0}
  injected_noise: 1.0
scoring: {num_samples: 384, batch_size: 384, num_projections: 16, seed: 0, metrics: [energy_distance]}
";
    let table = folder.path().join("points.csv");
    fs::write(&table, points()).unwrap();
    let config = config.replace("points.csv", table.to_str().unwrap());
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    let seeds: Vec<String> = (0..REPETITIONS * SEEDS)
        .map(|seed| seed.to_string())
        .collect();
    let sweep = format!(
        "name: calibration\ndescription: Does the verdict name the right D?\nbase: config.yaml\njobs: auto\naxes:\n  d: [1, 128, inf]\n  seed: [{}]\n",
        seeds.join(", ")
    );
    let file = folder.path().join("sweep.yaml");
    fs::write(&file, sweep).unwrap();
    let (out, device) = (folder.path().join("out"), Device::Cpu);
    let plan = Plan::read(&file, &[]).unwrap();
    let plan = plan.resolve(&out, &Hub::from_env()).unwrap();
    let sweep = Sweep::open(&plan, &Share::All, &out, &device, &Silent).unwrap();
    let result = sweep
        .execute(Some(Jobs::Auto), &device, &Silent, &StopFlag::default())
        .unwrap();
    assert!(
        result.is_finished(),
        "got {:?}",
        result
            .rows
            .iter()
            .map(|row| &row.message)
            .collect::<Vec<_>>()
    );
    result
}

/// The sweeps of five seeds each that `all` is made of.
fn repetitions(all: &SweepResult) -> impl Iterator<Item = SweepResult> + '_ {
    (0..REPETITIONS).map(|repetition| {
        let seeds = repetition * SEEDS..(repetition + 1) * SEEDS;
        let rows = all
            .rows
            .iter()
            .filter(|row| seeds.contains(&(row.seed as usize)));
        SweepResult {
            rows: rows.cloned().collect(),
            ..all.clone()
        }
    })
}

/// What is said of the energy distance: the winner, and the sentence.
fn verdict(result: &SweepResult) -> (Option<String>, String) {
    let found = judgements(result).remove(0).verdict;
    let winner = found
        .winner()
        .map(|index| found.standings[index].label.clone());
    (winner, found.sentence)
}

/// Gives the scores of each seed to the values of D in an order drawn for that seed, so that D says nothing.
fn relabelled(result: &SweepResult, rng: &mut ChaCha8Rng) -> SweepResult {
    let mut mixed = result.clone();
    let mut seeds: Vec<u64> = result.rows.iter().map(|row| row.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    for seed in seeds {
        let rows = (0..result.rows.len()).filter(|&row| result.rows[row].seed == seed);
        let rows: Vec<usize> = rows.collect();
        let mut drawn = rows.clone();
        drawn.shuffle(rng);
        for (row, from) in rows.into_iter().zip(drawn) {
            mixed.rows[row].result.clone_from(&result.rows[from].result);
        }
    }
    mixed
}

#[test]
fn the_right_d_is_named_where_d_matters_and_none_where_it_does_not() {
    let all = swept();
    let found: Vec<_> = repetitions(&all).map(|result| verdict(&result)).collect();
    let is_right = |(winner, _): &&(Option<String>, String)| winner.as_deref() == Some("D = 1");
    let right = found.iter().filter(is_right).count();
    println!("D = 1 is named in {right} of {REPETITIONS}");
    assert!(
        right >= RIGHT,
        "D = 1 is named in {right} of {REPETITIONS}: {found:#?}"
    );

    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let found: Vec<_> = repetitions(&all)
        .map(|result| verdict(&relabelled(&result, &mut rng)))
        .collect();
    let is_none = |(winner, sentence): &&(Option<String>, String)| {
        winner.is_none() && sentence.contains("no D can be told apart")
    };
    let none = found.iter().filter(is_none).count();
    println!("relabelled: none is told apart in {none} of {REPETITIONS}");
    assert!(
        none >= RIGHT,
        "relabelled: none is told apart in {none} of {REPETITIONS}: {found:#?}"
    );
}
