//! The arguments of a module's constructor.

use pfgmpp_pickle::{Id, Value};

use super::{ForeignError, Module};

/// Reads arguments by name: as they were given, else as the constructor's default.
pub(super) struct Settings<'a> {
    module: &'a Module<'a>,
    arguments: Id,
}

impl<'a> Settings<'a> {
    /// The settings of a module whose arguments are recorded, all of them by name.
    pub(super) fn of(module: &'a Module<'a>) -> Result<Self, ForeignError> {
        let not_recorded = |name| ForeignError::NotRecorded {
            class: module.class().into(),
            name,
        };
        let arguments = module
            .arguments()
            .ok_or_else(|| not_recorded("the arguments that it was made with"))?;
        let pickle = &module.file.pickle;
        let unnamed = module
            .attribute("_init_args")
            .and_then(|id| pickle.items(id));
        if unnamed.is_some_and(|items| !items.is_empty()) {
            return Err(not_recorded("the names of its arguments"));
        }
        Ok(Self { module, arguments })
    }

    /// The value that was given under a name, `None` counting as none.
    pub(super) fn given(&self, name: &str) -> Option<Id> {
        let pickle = &self.module.file.pickle;
        let id = pickle.entry(self.arguments, name)?;
        (!matches!(pickle.get(id), Value::None)).then_some(id)
    }

    /// Refuses a size, where it was given, that is another than the preconditioning around says.
    pub(super) fn agree(&self, name: &'static str, want: usize) -> Result<(), ForeignError> {
        match self.given(name) {
            Some(id) if self.to_size(id) != Some(want) => {
                let accepted = format!("{want}, as the preconditioning around it says");
                Err(self.refuse(name, id, &accepted))
            }
            _ => Ok(()),
        }
    }

    /// Refuses arguments that are not among `known`, nor handed on to the module inside.
    pub(super) fn refuse_others(
        &self,
        known: &[&str],
        inside: Option<&Settings>,
    ) -> Result<(), ForeignError> {
        let pickle = &self.module.file.pickle;
        for (key, value) in pickle.entries(self.arguments).unwrap_or_default() {
            let name = pickle.text(*key).unwrap_or("a name that is not a text");
            let handed_on = inside.is_some_and(|inside| inside.given(name).is_some());
            // An argument of None is one that was left out.
            if known.contains(&name) || handed_on || matches!(pickle.get(*value), Value::None) {
                continue;
            }
            return Err(ForeignError::Unsupported(format!(
                "{} with {name:.60} = {:.60}",
                self.module.class(),
                pickle.describe(*value)
            )));
        }
        Ok(())
    }

    pub(super) fn number(&self, name: &str, default: f64) -> Result<f64, ForeignError> {
        match self.given(name) {
            None => Ok(default),
            Some(id) => {
                let number = self.module.file.number(id);
                number.ok_or_else(|| self.refuse(name, id, "a number"))
            }
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, ForeignError> {
        Ok(self.number(name, 0.0)? != 0.0)
    }

    pub(super) fn size(
        &self,
        name: &'static str,
        default: Option<usize>,
    ) -> Result<usize, ForeignError> {
        match (self.given(name), default) {
            (Some(id), _) => self
                .to_size(id)
                .ok_or_else(|| self.refuse(name, id, "a size")),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(ForeignError::NotRecorded {
                class: self.module.class().into(),
                name,
            }),
        }
    }

    pub(super) fn sizes(&self, name: &str, default: &[usize]) -> Result<Vec<usize>, ForeignError> {
        let Some(id) = self.given(name) else {
            return Ok(default.to_vec());
        };
        let items = self.module.file.pickle.items(id);
        items
            .filter(|items| items.len() <= 64)
            .and_then(|items| items.iter().map(|&item| self.to_size(item)).collect())
            .ok_or_else(|| self.refuse(name, id, "a list of sizes"))
    }

    pub(super) fn word<'b>(
        &'b self,
        name: &str,
        default: &'b str,
    ) -> Result<&'b str, ForeignError> {
        match self.given(name) {
            None => Ok(default),
            Some(id) => {
                let text = self.module.file.pickle.text(id);
                text.ok_or_else(|| self.refuse(name, id, "a word"))
            }
        }
    }

    fn to_size(&self, id: Id) -> Option<usize> {
        let number = self.module.file.number(id)?;
        ((0.0..=1e9).contains(&number) && number.fract() == 0.0).then_some(number as usize)
    }

    fn refuse(&self, name: &str, id: Id, accepted: &str) -> ForeignError {
        ForeignError::Setting {
            name: format!("{} of {}", name, self.module.class()),
            value: self.module.file.pickle.describe(id),
            accepted: accepted.into(),
        }
    }
}
