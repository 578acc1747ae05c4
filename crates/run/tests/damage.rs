//! One bit of one file of a finished run is another: it is noticed, it heals or it does no harm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Checkpoint, Tensors};
use pfgmpp_config::yaml::parse_assignment;
use pfgmpp_config::{Document, RunConfig};
use pfgmpp_data::Splits;
use pfgmpp_hub::Hub;
use pfgmpp_run::{
    Lookup, Observer, Outcome, Progress, ResolvedRun, RunFolder, StopFlag, read_evaluations, run,
};
use pfgmpp_train::{PowerProfile, Snapshot, reconstruct_weights};

/// Bits to turn.
const FLIPS: usize = 500;

/// A table and a network of some tens of weights, with everything that a run may leave.
const SMALL: [&str; 16] = [
    "network.mlp.hidden_dim=4",
    "network.mlp.num_layers=1",
    "optimizer.lr_ramp_up=64",
    "training.batch_size=32",
    "training.log_every=32",
    "training.state_every=32",
    "training.grid_every=0",
    "training.score_every=64",
    "post_hoc_ema={sigma_rel: [0.05, 0.1], snapshot_every: 64}",
    "sampler.schedule.edm.num_steps=2",
    "scoring.num_samples=16",
    "scoring.batch_size=16",
    "scoring.num_projections=2",
    "scoring.metrics=[energy_distance, sliced_wasserstein]",
    "evaluations={weights.bits: [32, 3]}",
    "seed=1",
];

/// Runs that are tried at a time.
const WORKERS: usize = 8;

/// One bit that is another.
struct Flip<'a> {
    /// Of this file.
    name: &'a PathBuf,
    /// Of this byte.
    at: usize,
    bit: usize,
}

/// Of the same run again and of a longer one: whether it was refused, or what was wrong.
type Judgement = [Result<bool, String>; 2];

/// Nobody watches; what is noted is kept.
#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn progress(&mut self, _: &Progress) {}
    fn note(&mut self, note: &str) {
        self.0.push(note.to_string());
    }
}

fn config(table: &Path, nimg: u64) -> RunConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/returns.yaml");
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    let own = [
        format!("data.csv.path={}", table.display()),
        format!("training.nimg={nimg}"),
    ];
    for text in SMALL.into_iter().chain(own.iter().map(String::as_str)) {
        let (key, value) = parse_assignment(text).unwrap();
        document.set::<RunConfig>(&key, value, text).unwrap();
    }
    RunConfig::read(&document, &[]).unwrap()
}

/// A run in `folder`, begun or gone on with: all numbers that it ends with, but for times.
fn numbers(config: &RunConfig, splits: &Splits, folder: &Path) -> Result<Vec<String>, String> {
    let said = |e: &dyn std::fmt::Display| e.to_string();
    let opened = RunFolder::open(folder).map_err(|e| said(&e))?;
    let stop = StopFlag::default();
    let mut notes = Notes::default();
    let resolved = ResolvedRun::resolve(
        config.clone(),
        Some(folder),
        &Lookup::new(&Hub::from_env(), &[]),
    );
    let resolved = resolved.map_err(|e| said(&e))?;
    let ended = run(&resolved, splits, &opened, &Device::Cpu, &mut notes, &stop);
    assert!(notes.0.iter().all(|note| note.lines().count() == 1));
    let Outcome::Finished(mut result) = ended.map_err(|e| said(&e))? else {
        panic!("nobody stopped it");
    };
    result.seconds = 0.0;
    let mut all = vec![format!("{result:?}")];
    let found = read_evaluations(config, folder, result.nimg).map_err(|e| said(&e))?;
    all.extend(
        found
            .iter()
            .map(|e| format!("{:?} {:?}", e.values, e.scores)),
    );
    all.push(weights(&opened.checkpoint())?);
    all.push(weights(&opened.best())?);
    all.push(average(&opened.averages(), result.nimg)?);
    Ok(all)
}

/// An average that no run has tracked, of those that were saved.
fn average(folder: &Path, nimg: u64) -> Result<String, String> {
    let snapshots = Snapshot::list(folder).map_err(|e| e.to_string())?;
    let target = (PowerProfile::new(0.08).unwrap(), nimg);
    let made = reconstruct_weights(&snapshots, target).map_err(|e| e.to_string())?;
    Ok(bits(&made.expect("averages were saved").0))
}

/// Every bit of some tensors.
fn bits(tensors: &Tensors) -> String {
    let values = |tensor: &Tensor| -> Vec<u32> {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    let sorted: BTreeMap<_, _> = tensors.iter().map(|(name, t)| (name, values(t))).collect();
    format!("{sorted:?}")
}

/// What a checkpoint holds, every bit of its weights included.
fn weights(checkpoint: &Path) -> Result<String, String> {
    let read = Checkpoint::load(checkpoint, &Device::Cpu).map_err(|e| e.to_string())?;
    Ok(format!("{:?} {}", read.config, bits(&read.weights)))
}

/// The files of a folder, by their place in it.
fn files(folder: &Path, below: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let name = below.join(entry.unwrap().file_name());
        let path = folder.join(&name);
        match path.is_dir() {
            true => files(folder, &name, all),
            false => drop(all.insert(name, fs::read(path).unwrap())),
        }
    }
}

fn write(folder: &Path, all: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, bytes) in all {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// SplitMix64.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as usize
}

/// What has to hold of each step behind a damage: an error of one line that names the file, or the same numbers.
fn judge(got: &Result<Vec<String>, String>, want: &[String], name: &Path) -> Result<bool, String> {
    match got {
        Ok(got) if got == want => Ok(false),
        Ok(got) => {
            let other = got.iter().zip(want).find(|(got, want)| got != want);
            Err(format!("other numbers: {other:.300?}"))
        }
        Err(said) => {
            // The configuration is told by its folder and the key that is another there.
            let named = said.contains(name.file_name().unwrap().to_str().unwrap())
                || (name == Path::new("config.yaml") && said.contains("another configuration ("));
            match named && said.lines().count() == 1 {
                true => Ok(true),
                false => Err(format!("the file is not named: {said}")),
            }
        }
    }
}

/// A finished run, and what it is gone on with to.
struct Trial<'a> {
    all: &'a BTreeMap<PathBuf, Vec<u8>>,
    splits: &'a Splits,
    /// The same again and longer, each with its numbers.
    steps: [(&'a RunConfig, &'a Vec<String>); 2],
}

impl Trial<'_> {
    /// What becomes of the run in `place` with this bit turned.
    fn judge(&self, flip: &Flip, place: &Path) -> Judgement {
        let mut damaged = self.all.clone();
        damaged.get_mut(flip.name).unwrap()[flip.at] ^= 1 << flip.bit;
        write(place, &damaged);
        let judged = self
            .steps
            .map(|(config, want)| judge(&numbers(config, self.splits, place), want, flip.name));
        fs::remove_dir_all(place).unwrap();
        judged
    }
}

/// Prints what became of the flips, and fails if any was gone on from with other numbers.
fn report(flips: &[Flip], judged: Vec<Judgement>) {
    let mut faults = Vec::new();
    let mut noticed: BTreeMap<&PathBuf, [usize; 2]> = BTreeMap::new();
    for (flip, [again, longer]) in flips.iter().zip(judged) {
        let any = again == Ok(true) || longer == Ok(true);
        noticed.entry(flip.name).or_default()[usize::from(any)] += 1;
        for (step, judged) in [("the same again", again), ("longer", longer)] {
            let Flip { name, at, bit } = flip;
            if let Err(why) = judged {
                let name = name.display();
                faults.push(format!("bit {bit} of byte {at} of {name}, {step}: {why}"));
            }
        }
    }
    for (name, [quiet, said]) in noticed {
        println!(
            "{}: {said} refused, {quiet} healed or harmless",
            name.display()
        );
    }
    assert!(
        faults.is_empty(),
        "{} of {FLIPS}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn a_bit_of_a_finished_run_that_is_another_is_noticed_heals_or_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("t.csv");
    let rows = (0..60).map(|i| format!("{},{}\n", f64::from(i).sin(), (f64::from(i) * 0.7).cos()));
    fs::write(&table, "a,b\n".to_string() + &rows.collect::<String>()).unwrap();
    let (short, long) = (config(&table, 128), config(&table, 192));
    let splits: Splits = short.data.load().unwrap();
    let place = folder.path().join("run");
    let want = numbers(&short, &splits, &place).unwrap();
    let mut all = BTreeMap::new();
    files(&place, Path::new(""), &mut all);
    let want_longer = numbers(&long, &splits, &place).unwrap();
    assert_ne!(want, want_longer);
    let with_bits = all.iter().filter(|(_, bytes)| !bytes.is_empty());
    let names: Vec<&PathBuf> = with_bits.map(|(name, _)| name).collect();
    for needed in [
        "config.yaml",
        "metrics.json",
        "evaluations.json",
        "log.jsonl",
    ] {
        assert!(all.contains_key(Path::new(needed)), "{needed} of {names:?}");
    }

    let mut state = 13;
    let flips: Vec<Flip> = (0..FLIPS)
        .map(|flip| {
            let name = names[flip % names.len()];
            let at = random(&mut state) % all[name].len();
            let bit = random(&mut state) % 8;
            Flip { name, at, bit }
        })
        .collect();
    let trial = Trial {
        all: &all,
        splits: &splits,
        steps: [(&short, &want), (&long, &want_longer)],
    };
    // What is synced takes longer than what is computed.
    let judged: Vec<Judgement> = thread::scope(|scope| {
        let parts = flips.chunks(FLIPS.div_ceil(WORKERS)).enumerate();
        let (trial, folder) = (&trial, folder.path());
        let work = |(worker, flips): (usize, &[Flip])| {
            let place = folder.join(format!("{worker}"));
            flips.iter().map(|flip| trial.judge(flip, &place)).collect()
        };
        let workers: Vec<_> = parts
            .map(|part| scope.spawn(move || -> Vec<Judgement> { work(part) }))
            .collect();
        workers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect()
    });
    report(&flips, judged);
}
