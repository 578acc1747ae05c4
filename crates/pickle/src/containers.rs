//! The opcodes that make and fill tuples, lists, dictionaries and sets.

use crate::machine::Machine;
use crate::{Id, PickleError, Value};

impl Machine<'_> {
    pub(super) fn tuple(&mut self, opcode: u8) -> Result<(), PickleError> {
        let len = match opcode {
            b't' => {
                let items = self.pop_mark()?;
                return self.push_tuple(items);
            }
            b')' => 0,
            _ => opcode - 0x84,
        };
        let mut items: Vec<Id> = (0..len).map(|_| self.pop()).collect::<Result<_, _>>()?;
        items.reverse();
        self.push_tuple(items)
    }

    fn push_tuple(&mut self, items: Vec<Id>) -> Result<(), PickleError> {
        let parts = items.clone();
        self.push(Value::Tuple(items), &parts)
    }

    pub(super) fn list(&mut self, opcode: u8) -> Result<(), PickleError> {
        let items = match opcode {
            b']' => return self.push(Value::List(Vec::new()), &[]),
            b'l' => {
                let items = self.pop_mark()?;
                let parts = items.clone();
                return self.push(Value::List(items), &parts);
            }
            b'a' => vec![self.pop()?],
            _ => self.pop_mark()?,
        };
        let list = self.top()?;
        match self.value(list) {
            Value::List(own) => own.extend(&items),
            // A subclass of list: its items are what is of use.
            Value::Call(_) => *self.value(list) = Value::List(items.clone()),
            _ => return Err(self.damaged("it appends to something that is not a list")),
        }
        self.deepen(list, &items)
    }

    pub(super) fn dict(&mut self, opcode: u8) -> Result<(), PickleError> {
        let items = match opcode {
            b'}' => return self.push(Value::Dict(Vec::new()), &[]),
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Value::Dict(Vec::new()), &[])?;
                items
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.pop_mark()?,
        };
        let dict = self.top()?;
        if items.len() % 2 != 0 {
            return Err(self.damaged("a dictionary has a key without a value"));
        }
        let entries = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match self.value(dict) {
            Value::Dict(own) => own.extend(entries),
            // A subclass of dict: its entries are what is of use.
            Value::Call(_) => *self.value(dict) = Value::Dict(entries.collect()),
            _ => return Err(self.damaged("it sets an entry of something that is not a dictionary")),
        }
        self.deepen(dict, &items)
    }

    pub(super) fn set(&mut self, opcode: u8) -> Result<(), PickleError> {
        if opcode == 0x8f {
            return self.push(Value::Set(Vec::new()), &[]);
        }
        let items = self.pop_mark()?;
        if opcode == 0x91 {
            self.push(Value::Set(Vec::new()), &[])?;
        }
        let set = self.top()?;
        match self.value(set) {
            Value::Set(own) => own.extend(&items),
            Value::Call(_) => *self.value(set) = Value::Set(items.clone()),
            _ => return Err(self.damaged("it adds to something that is not a set")),
        }
        self.deepen(set, &items)
    }
}
