//! Modules of PyTorch as their pickles describe them.

use std::collections::BTreeMap;

use pfgmpp_pickle::{Id, Value};

use super::ForeignError;
use crate::torch::TorchFile;

/// Modules and tensors that one network may have: the largest published one has some hundreds.
const MAX_PARTS: usize = 100_000;
/// Modules within modules.
const MAX_DEPTH: usize = 64;

/// A module: its class, and the attributes that its state holds.
#[derive(Clone)]
pub(crate) struct Module<'a> {
    pub(crate) file: &'a TorchFile,
    class: &'a str,
    state: Id,
}

impl<'a> Module<'a> {
    /// The module that a value describes, if it is one.
    ///
    /// Two kinds: an object with a state (`training.networks.SongUNet`), and an object that carries its
    /// source text along (`_reconstruct_persistent_obj`), of which only class and state are looked at.
    pub(crate) fn new(file: &'a TorchFile, id: Id) -> Option<Self> {
        let pickle = &file.pickle;
        let call = pickle.call(id)?;
        let (class, state) = match pickle.function(call) {
            "torch_utils.persistence._reconstruct_persistent_obj" => {
                let meta = *pickle.arguments(call).first()?;
                let class = pickle.text(pickle.entry(meta, "class_name")?)?;
                (class, pickle.entry(meta, "state")?)
            }
            // `copyreg` writes (attributes, slots) for classes with slots.
            name => match pickle.get(call.state?) {
                Value::Tuple(parts) => (name, *parts.first()?),
                _ => (name, call.state?),
            },
        };
        pickle.entries(state)?;
        let class = class.rsplit('.').next().unwrap_or(class);
        Some(Self { file, class, state })
    }

    /// Name of its class, without the Python module.
    pub(crate) fn class(&self) -> &'a str {
        self.class
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<Id> {
        self.file.pickle.entry(self.state, name)
    }

    /// The arguments that its constructor was given, where its author had them recorded.
    pub(crate) fn arguments(&self) -> Option<Id> {
        let arguments = self.attribute("_init_kwargs")?;
        self.file.pickle.entries(arguments).map(|_| arguments)
    }

    /// The module of that name within this one.
    pub(crate) fn child(&self, name: &str) -> Option<Self> {
        let id = self.file.pickle.entry(self.attribute("_modules")?, name)?;
        Self::new(self.file, id)
    }

    /// All parameters and buffers by their names in the state dictionary.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Id>, ForeignError> {
        let mut tensors = BTreeMap::new();
        let mut parts = 0;
        self.collect("", 0, &mut parts, &mut tensors)?;
        Ok(tensors)
    }

    fn collect(
        &self,
        prefix: &str,
        depth: usize,
        parts: &mut usize,
        tensors: &mut BTreeMap<String, Id>,
    ) -> Result<(), ForeignError> {
        // A module that holds itself, or one that holds another many times over, has no end.
        let bad = |problem: &str| ForeignError::Module {
            module: if prefix.is_empty() {
                self.class
            } else {
                prefix
            }
            .into(),
            problem: problem.into(),
        };
        if depth > MAX_DEPTH {
            return Err(bad("modules are nested without end"));
        }
        for group in ["_parameters", "_buffers", "_modules"] {
            for (key, value) in self.group(group).ok_or_else(|| bad("it is not a module"))? {
                *parts += 1;
                if *parts > MAX_PARTS {
                    return Err(bad("there are more parts than any network has"));
                }
                let key = self
                    .file
                    .pickle
                    .text(*key)
                    .ok_or_else(|| bad("a name is not a text"))?;
                let name = format!("{prefix}{key}");
                if matches!(self.file.pickle.get(*value), Value::None) {
                    continue;
                }
                if group != "_modules" {
                    tensors.insert(name, *value);
                } else if let Some(module) = Self::new(self.file, *value) {
                    module.collect(&format!("{name}."), depth + 1, parts, tensors)?;
                } else {
                    let found = self.file.pickle.describe(*value);
                    return Err(bad(&format!("{key:.40} is {found}, not a module")));
                }
            }
        }
        Ok(())
    }

    /// The entries of `_parameters`, `_buffers` or `_modules`.
    fn group(&self, name: &str) -> Option<&'a [(Id, Id)]> {
        self.file.pickle.entries(self.attribute(name)?)
    }
}
