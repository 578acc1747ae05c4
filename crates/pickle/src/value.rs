//! What a pickle describes.

use std::collections::BTreeSet;

/// Number of a value in its [`Pickle`]. A value that the pickle names twice has one number: nothing is copied.
pub type Id = u32;

/// A value of Python, or the call that would make it.
#[derive(Debug)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of up to 16 bytes.
    Int(i128),
    /// An integer of more than 16 bytes, by its number of bytes.
    LongInt(u32),
    /// A number of double precision.
    Float(f64),
    /// A text, or a short string of Python 2.
    Text(Box<str>),
    /// Bytes, or a string of Python 2 of more than 255: position and length in the pickle's window.
    Bytes(u64, u64),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list, or an object of a class that is one.
    List(Vec<Id>),
    /// A `dict` or `OrderedDict`, in order.
    Dict(Vec<(Id, Id)>),
    /// A `set` or `frozenset`.
    Set(Vec<Id>),
    /// A function or class: `module.name`.
    Global(Box<str>),
    /// An object that a call makes.
    Call(Box<Call>),
    /// Something that the file holds beside the pickle, such as a storage.
    Persistent(Id),
}

/// A call that a Python interpreter would make here.
#[derive(Debug)]
pub struct Call {
    /// The function or class, a [`Value::Global`].
    pub function: Id,
    /// A tuple.
    pub arguments: Id,
    /// The state that the new object is given.
    pub state: Option<Id>,
}

/// All values of a pickle.
#[derive(Debug)]
pub struct Pickle {
    pub(crate) values: Vec<Value>,
    pub(crate) root: Id,
    pub(crate) end: u64,
    pub(crate) passed_over: BTreeSet<Box<str>>,
}

impl Pickle {
    /// The value that the pickle stands for.
    pub fn root(&self) -> Id {
        self.root
    }

    /// Where the pickle ends in its window.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Names of the functions and classes that are not known here and were passed over.
    pub fn passed_over(&self) -> impl ExactSizeIterator<Item = &str> {
        self.passed_over.iter().map(|name| &**name)
    }

    /// All values, those of no further use included.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of a number that this pickle gave.
    pub fn get(&self, id: Id) -> &Value {
        // Numbers are made by the machine only, one for each value.
        &self.values[id as usize]
    }

    /// A text, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dictionary, in order.
    pub fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry of a dictionary under a text; the last, if there are several.
    pub fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        let entries = self.entries(dict)?;
        let found = entries
            .iter()
            .rev()
            .find(|(k, _)| self.text(*k) == Some(key));
        found.map(|(_, value)| *value)
    }

    /// A call, if it is one.
    pub fn call(&self, id: Id) -> Option<&Call> {
        match self.get(id) {
            Value::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The name of the function or class that is called.
    pub fn function(&self, call: &Call) -> &str {
        match self.get(call.function) {
            Value::Global(name) => name,
            _ => "",
        }
    }

    /// The arguments of a call.
    pub fn arguments(&self, call: &Call) -> &[Id] {
        self.items(call.arguments).unwrap_or_default()
    }

    /// An integer that fits in memory, such as a size.
    pub fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A few words on a value, for an error.
    pub fn describe(&self, id: Id) -> String {
        match self.get(id) {
            Value::None => "None".into(),
            Value::Bool(value) => if *value { "True" } else { "False" }.into(),
            Value::Int(value) => value.to_string(),
            Value::LongInt(bytes) => format!("an integer of {bytes} bytes"),
            Value::Float(value) => value.to_string(),
            Value::Text(text) => {
                format!("the text {:?}", text.chars().take(40).collect::<String>())
            }
            Value::Bytes(..) => "bytes".into(),
            Value::Tuple(_) => "a tuple".into(),
            Value::List(_) => "a list".into(),
            Value::Dict(_) => "a dictionary".into(),
            Value::Set(_) => "a set".into(),
            Value::Global(name) => (**name).into(),
            Value::Call(call) => format!("an object of {}", self.function(call)),
            Value::Persistent(_) => "a storage".into(),
        }
    }
}
