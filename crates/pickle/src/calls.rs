//! The opcodes that name classes and call them: here, that write down the call.

use crate::machine::{Machine, Regard};
use crate::{Call, Id, PickleError, Value};

/// Longest line: modules and names.
const LINE: usize = 1024;

impl Machine<'_> {
    pub(super) fn global(&mut self, opcode: u8) -> Result<(), PickleError> {
        let (module, name) = if opcode == b'c' {
            let module = self.cursor.take_line(LINE)?;
            let name = self.cursor.take_line(LINE)?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            (text(module), text(name))
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |id: Id| match &self.values[id as usize] {
                Value::Text(text) if text.len() <= LINE => Ok(text.to_string()),
                _ => Err(self.damaged("the name of a class is not a text")),
            };
            (text(module)?, text(name)?)
        };
        let full = format!("{module}.{name}");
        self.count_text(full.len() as u64)?;
        match (self.limits.regard)(&module, &name) {
            Regard::Known => {}
            Regard::PassedOver => drop(self.passed_over.insert(full.as_str().into())),
            Regard::Refused => {
                return Err(PickleError::Global {
                    at: self.at,
                    name: full,
                });
            }
        }
        self.push(Value::Global(full.into()), &[])
    }

    pub(super) fn call(&mut self, opcode: u8) -> Result<(), PickleError> {
        let named = (opcode == 0x92).then(|| self.pop()).transpose()?;
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Global(name) = &self.values[function as usize] else {
            return Err(self.damaged("what is called is not a function"));
        };
        // Keyword arguments of __new__: tensors and modules have none.
        let empty = |id: Id| matches!(&self.values[id as usize], Value::Dict(entries) if entries.is_empty());
        if !named.is_none_or(empty) && !self.passed_over.contains(name) {
            return Err(self.damaged("a class is called with named arguments"));
        }
        let Value::Tuple(items) = &self.values[arguments as usize] else {
            return Err(self.damaged("the arguments of a call are not a tuple"));
        };
        let call = || Call {
            function,
            arguments,
            state: None,
        };
        let value = match (container(name), items.as_slice()) {
            (Some(Container::Dict), []) => Value::Dict(Vec::new()),
            (Some(Container::Dict), &[list]) => Value::Dict(self.pairs(list)?),
            (Some(Container::Set), []) => Value::Set(Vec::new()),
            (Some(Container::Set), &[list]) => Value::Set(self.members(list)?),
            _ => Value::Call(Box::new(call())),
        };
        self.push(value, &[arguments])
    }

    /// The entries of `dict([(key, value), ...])`.
    fn pairs(&mut self, list: Id) -> Result<Vec<(Id, Id)>, PickleError> {
        let items = self.members(list)?;
        let pair = |item: Id| match &self.values[item as usize] {
            Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(self.damaged("a dictionary is made of something that is not a pair")),
        };
        items.into_iter().map(pair).collect()
    }

    /// A copy of a list's items. Copies are counted: a long list copied often would fill the memory.
    fn members(&mut self, list: Id) -> Result<Vec<Id>, PickleError> {
        let Value::List(items) = &self.values[list as usize] else {
            return Err(self.damaged("a container is made of something that is not a list"));
        };
        if self.copied + items.len() > self.limits.opcodes {
            return Err(self.limit("copies of items", self.limits.opcodes));
        }
        self.copied += items.len();
        Ok(items.clone())
    }

    /// Something that lies beside the pickle. Old versions of `torch.save` put the classes of modules there too, as
    /// `('module', class, file, source text)`: they are the class.
    pub(super) fn persistent(&mut self) -> Result<(), PickleError> {
        let key = self.pop()?;
        if let Value::Tuple(parts) = &self.values[key as usize]
            && let &[kind, class, ..] = parts.as_slice()
            && matches!(&self.values[kind as usize], Value::Text(kind) if **kind == *"module")
        {
            self.stack.push(class);
            return Ok(());
        }
        self.push(Value::Persistent(key), &[key])
    }

    pub(super) fn build(&mut self) -> Result<(), PickleError> {
        let (state, object) = (self.pop()?, self.top()?);
        match &mut self.values[object as usize] {
            Value::Call(call) => call.state = Some(state),
            // Attributes of an OrderedDict, such as the versions beside a state dictionary.
            Value::Dict(_) => {}
            // A class of its own that is a list or a set to Python.
            Value::List(_) | Value::Set(_) => {}
            _ => return Err(self.damaged("a state is given to something that has none")),
        }
        self.deepen(object, &[state])
    }
}

enum Container {
    Dict,
    Set,
}

/// Classes whose objects are plain containers here.
fn container(function: &str) -> Option<Container> {
    match function {
        "collections.OrderedDict"
        | "builtins.dict"
        | "__builtin__.dict"
        | "dnnlib.util.EasyDict"
        | "dnnlib.EasyDict" => Some(Container::Dict),
        "builtins.set" | "__builtin__.set" | "builtins.frozenset" | "__builtin__.frozenset" => {
            Some(Container::Set)
        }
        _ => None,
    }
}
