//! Where in a file the weights stand: at its root, or under a name, among several that could be meant.

use std::collections::BTreeMap;

use pfgmpp_pickle::{Id, Value};

use super::{ForeignError, Module};
use crate::Tensors;
use crate::torch::TorchFile;

/// What programs call an average of the weights over training, the usual first.
const AVERAGED: [&str; 11] = [
    "ema",
    "model_ema",
    "ema_model",
    "ema_state_dict",
    "state_dict_ema",
    "ema_net",
    "net_ema",
    "unet_ema",
    "ema_unet",
    "params_ema",
    "G_ema",
];
/// What programs call the weights that training left, the usual first.
const LAST: [&str; 13] = [
    "net",
    "model",
    "state_dict",
    "model_state_dict",
    "unet",
    "network",
    "denoiser",
    "generator",
    "weights",
    "params",
    "module",
    "state",
    "G",
];
/// What stands beside weights and holds tensors that are none.
const BESIDE: [&str; 14] = [
    "optimizer",
    "optimizer_state",
    "optimizer_states",
    "optimizer_state_dict",
    "optim",
    "opt",
    "opt_state",
    "lr_scheduler",
    "lr_schedulers",
    "scaler",
    "rng_state",
    "callbacks",
    "loss_fn",
    "augment_pipe",
];

/// Dictionaries within dictionaries that are looked into.
const MAX_DEPTH: usize = 6;
/// Values that are looked at.
const MAX_VISITS: usize = 20_000;
/// Names that an error shows.
const SHOWN: usize = 4;

/// What a file holds: a module, or tensors by name.
pub(crate) enum Contents<'a> {
    Module(Module<'a>),
    Tensors(BTreeMap<String, Id>),
}

impl Contents<'_> {
    /// All tensors by name.
    pub(crate) fn tensors(self) -> Result<BTreeMap<String, Id>, ForeignError> {
        match self {
            Self::Module(module) => module.tensors(),
            Self::Tensors(tensors) => Ok(tensors),
        }
    }
}

/// Weights, and where they stand.
struct Candidate<'a> {
    path: Vec<String>,
    contents: Contents<'a>,
}

impl Candidate<'_> {
    fn name(&self) -> String {
        self.path.join(".")
    }

    /// The better, the lower: averaged weights, then others with usual names.
    fn rank(&self) -> usize {
        let usual = || AVERAGED.iter().chain(&LAST);
        let rank = |part: &String| match is_average_of_length(part) {
            true => Some(AVERAGED.len() - 1),
            false => usual().position(|known| known == part),
        };
        let ranks = self.path.iter().filter_map(rank);
        ranks.min().unwrap_or(usize::MAX)
    }
}

/// Whether a name is `ema_0.9999` or the like: an average with its decay or length.
fn is_average_of_length(name: &str) -> bool {
    let rest = AVERAGED.iter().find_map(|known| name.strip_prefix(known));
    let rest = rest.map(|rest| rest.trim_start_matches(['_', '-', '.']));
    rest.is_some_and(|rest| rest.parse::<f64>().is_ok())
}

/// Finds the weights in a file: those under `key` if one is given, else the best that are there; `notes` collects what
/// a user of them must know.
pub(crate) fn find<'a>(
    file: &'a TorchFile,
    key: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Contents<'a>, ForeignError> {
    let mut search = Search {
        file,
        found: Vec::new(),
        visits: 0,
    };
    search.look(file.pickle.root(), &mut Vec::new());
    let found = search.found;
    note_passed_over(file, notes);
    match key {
        Some(key) => chosen(found, key),
        None => best(file, found, notes),
    }
}

struct Search<'a> {
    file: &'a TorchFile,
    found: Vec<Candidate<'a>>,
    visits: usize,
}

impl Search<'_> {
    fn look(&mut self, id: Id, path: &mut Vec<String>) {
        self.visits += 1;
        if self.visits > MAX_VISITS || path.len() > MAX_DEPTH {
            return;
        }
        if let Some(contents) = contents(self.file, id) {
            let path = path.clone();
            self.found.push(Candidate { path, contents });
            return;
        }
        let pickle = &self.file.pickle;
        let parts: Vec<(String, Id)> = match pickle.get(id) {
            Value::Dict(entries) => entries
                .iter()
                .filter_map(|(key, value)| Some((pickle.text(*key)?.to_owned(), *value)))
                .filter(|(key, _)| !BESIDE.contains(&key.as_str()))
                .collect(),
            Value::List(items) | Value::Tuple(items) => {
                let numbered = items.iter().enumerate();
                numbered.map(|(i, id)| (i.to_string(), *id)).collect()
            }
            _ => Vec::new(),
        };
        for (key, value) in parts {
            path.push(key);
            self.look(value, path);
            path.pop();
        }
    }
}

fn contents(file: &TorchFile, id: Id) -> Option<Contents<'_>> {
    if let Some(module) = Module::new(file, id)
        && module.attribute("_modules").is_some()
    {
        return Some(Contents::Module(module));
    }
    let entries = file.pickle.entries(id)?;
    let tensors: BTreeMap<String, Id> = entries
        .iter()
        .filter(|(_, value)| file.is_tensor(*value))
        .filter_map(|(key, value)| Some((file.pickle.text(*key)?.to_owned(), *value)))
        .collect();
    // A dictionary of mostly other things is not one of weights.
    (!tensors.is_empty() && 2 * tensors.len() >= entries.len())
        .then_some(Contents::Tensors(tensors))
}

/// The candidate of the best name; the shallower of two.
fn best<'a>(
    file: &'a TorchFile,
    mut found: Vec<Candidate<'a>>,
    notes: &mut Vec<String>,
) -> Result<Contents<'a>, ForeignError> {
    let place = |candidate: &Candidate| (candidate.rank(), candidate.path.len());
    let Some(least) = found.iter().map(place).min() else {
        return Err(nothing(file));
    };
    let as_good = found.iter().filter(|candidate| place(candidate) == least);
    if as_good.clone().count() > 1 {
        let names: Vec<String> = as_good.map(Candidate::name).collect();
        return Err(ForeignError::Several(list(&names)));
    }
    let index = found.iter().position(|candidate| place(candidate) == least);
    let taken = found.swap_remove(index.unwrap_or_default());
    if least.0 >= AVERAGED.len() && !taken.path.is_empty() {
        notes.push(last_weights(file, &taken));
    }
    Ok(taken.contents)
}

/// What a user of weights that are not averaged must know.
fn last_weights(file: &TorchFile, taken: &Candidate) -> String {
    let pickle = &file.pickle;
    let averaged = |name: &&&str| {
        let id = pickle.entry(pickle.root(), name);
        id.is_some_and(|id| !matches!(pickle.get(id), Value::None))
    };
    let name = shown(&taken.name());
    match AVERAGED.iter().find(averaged) {
        Some(unread) => format!(
            "the weights are those of `{name}`, as training left them: `{unread}` holds none that have names"
        ),
        None => format!(
            "the weights are those of `{name}`, as training left them: the file holds no averaged ones (`ema`), which sample better"
        ),
    }
}

fn nothing(file: &TorchFile) -> ForeignError {
    let pickle = &file.pickle;
    let root = pickle.root();
    let keys = pickle.entries(root).unwrap_or_default();
    let keys: Vec<String> = keys
        .iter()
        .filter_map(|(key, _)| pickle.text(*key).map(str::to_owned))
        .collect();
    let found = match keys.as_slice() {
        [] => pickle.describe(root),
        keys => format!("a dictionary of {}", list(keys)),
    };
    ForeignError::Contents {
        found,
        wanted: "a network, or tensors by name",
    }
}

/// The candidate that `key` names: its place, or its place and the beginning of its tensors' names.
fn chosen<'a>(found: Vec<Candidate<'a>>, key: &str) -> Result<Contents<'a>, ForeignError> {
    let mut there = Vec::new();
    for candidate in found {
        let name = candidate.name();
        if name == key {
            return Ok(candidate.contents);
        }
        let below = match name.as_str() {
            "" => Some(key),
            name => key
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        if let (Some(start), Contents::Tensors(tensors)) = (below, &candidate.contents) {
            let picked: BTreeMap<String, Id> = tensors
                .iter()
                .filter_map(|(name, id)| Some((below_prefix(name, start)?.to_owned(), *id)))
                .collect();
            if !picked.is_empty() {
                return Ok(Contents::Tensors(picked));
            }
            there.extend(groups(tensors.keys().map(String::as_str)));
        }
        if !name.is_empty() {
            there.push(name);
        }
    }
    Err(ForeignError::NoKey {
        key: shown(key),
        there: list(&there),
    })
}

/// Those of `tensors` whose names begin with `key`, without it.
///
/// # Errors
///
/// None does.
pub(crate) fn select(tensors: Tensors, key: &str) -> Result<Tensors, ForeignError> {
    let there = groups(tensors.keys().map(String::as_str));
    let picked: Tensors = tensors
        .into_iter()
        .filter_map(|(name, tensor)| Some((below_prefix(&name, key)?.to_owned(), tensor)))
        .collect();
    if picked.is_empty() {
        return Err(ForeignError::NoKey {
            key: shown(key),
            there: list(&there),
        });
    }
    Ok(picked)
}

/// What follows `prefix.` in a name.
fn below_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('.')
}

/// The first parts of names, each once.
fn groups<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut groups: Vec<String> = names
        .filter_map(|name| Some(name.split_once('.')?.0.to_owned()))
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

/// Names as an error or a note shows them.
pub(super) fn list(names: &[String]) -> String {
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| shown(name)).collect();
    if names.len() > SHOWN {
        text.push(format!("... ({} in all)", names.len()));
    }
    match text.is_empty() {
        true => "nothing that can be named".into(),
        false => text.join(", "),
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn note_passed_over(file: &TorchFile, notes: &mut Vec<String>) {
    let names: Vec<String> = file.pickle.passed_over().map(str::to_owned).collect();
    if !names.is_empty() {
        notes.push(format!(
            "objects beside the weights are passed over and not run: {}",
            list(&names)
        ));
    }
}
