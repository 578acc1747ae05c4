//! The stack machine.

use std::collections::{BTreeSet, HashMap};

use crate::cursor::Cursor;
use crate::{Id, Pickle, PickleError, Value};
use pfgmpp_store::Window;

/// Bounds on what a pickle may hold.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Opcodes, and so values.
    pub opcodes: usize,
    /// Bytes of all texts and long integers together.
    pub text: usize,
    /// Containers within containers.
    pub depth: u16,
    /// What is made of functions and classes, by module and name.
    pub regard: fn(&str, &str) -> Regard,
}

/// What is made of a function or class that a pickle names. None is ever run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regard {
    /// Its description is understood.
    Known,
    /// Something that lies beside what is needed; its description is kept and means nothing here.
    PassedOver,
    /// Nothing that is read here needs it, and somebody who names it means harm.
    Refused,
}

/// Reads the pickle at the start of `window`.
///
/// # Errors
///
/// A pickle that is cut off or damaged, goes beyond `limits`, or names what they refuse.
pub fn read(window: &Window, limits: &Limits) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        cursor: Cursor::new(window),
        limits,
        at: 0,
        text: 0,
        copied: 0,
        values: Vec::new(),
        depths: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        passed_over: BTreeSet::new(),
    };
    for _ in 0..limits.opcodes {
        if machine.step()? {
            let root = machine.pop()?;
            return Ok(Pickle {
                values: machine.values,
                root,
                end: machine.cursor.at(),
                passed_over: machine.passed_over,
            });
        }
    }
    Err(machine.limit("opcodes", limits.opcodes))
}

pub(super) struct Machine<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) limits: &'a Limits,
    /// Position of the current opcode.
    pub(super) at: u64,
    /// Bytes of text so far.
    pub(super) text: usize,
    /// Items copied from one container into another so far.
    pub(super) copied: usize,
    pub(super) values: Vec<Value>,
    /// Nesting of each value.
    depths: Vec<u16>,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Names of functions and classes that are not known here.
    pub(super) passed_over: BTreeSet<Box<str>>,
}

impl Machine<'_> {
    /// Carries out one opcode; true at the end of the pickle.
    fn step(&mut self) -> Result<bool, PickleError> {
        self.at = self.cursor.at();
        let [opcode] = self.cursor.take()?;
        match opcode {
            b'.' => return Ok(true),
            // PROTO and FRAME: neither changes what is read.
            0x80 => drop(self.cursor.take::<1>()?),
            0x95 => drop(self.cursor.take::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | b'G' | 0x8a | 0x8b => self.number(opcode)?,
            b'X' | 0x8c | 0x8d | b'U' => self.string(opcode)?,
            b'B' | b'C' | b'T' | 0x8e | 0x96 => self.bytes(opcode)?,
            b')' | b't' | 0x85..=0x87 => self.tuple(opcode)?,
            b']' | b'l' | b'a' | b'e' => self.list(opcode)?,
            b'}' | b'd' | b's' | b'u' => self.dict(opcode)?,
            0x8f..=0x91 => self.set(opcode)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memo(opcode)?,
            b'c' | 0x93 => self.global(opcode)?,
            b'R' | 0x81 | 0x92 => self.call(opcode)?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            _ => {
                return Err(PickleError::Opcode {
                    at: self.at,
                    opcode,
                });
            }
        }
        Ok(false)
    }

    fn number(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.cursor.take::<1>()?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(self.cursor.take()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.cursor.take()?).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.cursor.take()?)),
            _ => {
                let len = match opcode {
                    0x8a => self.cursor.take::<1>()?[0].into(),
                    _ => u32::from_le_bytes(self.cursor.take()?),
                };
                if len > 16 {
                    // Such as the state of a random number generator: no value that is looked at here is that large.
                    self.cursor.skip(len.into())?;
                    return self.push(Value::LongInt(len), &[]);
                }
                let bytes = self.cursor.take_vec(len.into())?;
                // Two's complement, little end first: the sign fills what is not there.
                let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut whole = [if negative { 0xff } else { 0 }; 16];
                whole[..bytes.len()].copy_from_slice(&bytes);
                Value::Int(i128::from_le_bytes(whole))
            }
        };
        self.push(value, &[])
    }

    fn string(&mut self, opcode: u8) -> Result<(), PickleError> {
        let len = match opcode {
            0x8c | b'U' => self.cursor.take::<1>()?[0].into(),
            0x8d => u64::from_le_bytes(self.cursor.take()?),
            _ => u32::from_le_bytes(self.cursor.take()?).into(),
        };
        self.count_text(len)?;
        let bytes = self.cursor.take_vec(len)?;
        let text = match opcode {
            // Strings of Python 2 have no encoding; names are ASCII.
            b'U' => bytes.into_iter().map(char::from).collect(),
            _ => String::from_utf8(bytes).map_err(|_| self.damaged("a text is not UTF-8"))?,
        };
        self.push(Value::Text(text.into()), &[])
    }

    /// Keeps account of the texts in memory.
    pub(super) fn count_text(&mut self, len: u64) -> Result<(), PickleError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.text = self.text.saturating_add(len);
        if self.text > self.limits.text {
            return Err(self.limit("bytes of text", self.limits.text));
        }
        Ok(())
    }

    fn bytes(&mut self, opcode: u8) -> Result<(), PickleError> {
        let len = match opcode {
            b'C' => self.cursor.take::<1>()?[0].into(),
            // Strings of Python 2 are bytes too; those that are too long for `U` are not names.
            b'B' | b'T' => u32::from_le_bytes(self.cursor.take()?).into(),
            _ => u64::from_le_bytes(self.cursor.take()?),
        };
        let start = self.cursor.skip(len)?;
        self.push(Value::Bytes(start, len), &[])
    }

    fn memo(&mut self, opcode: u8) -> Result<(), PickleError> {
        let key = match opcode {
            b'q' | b'h' => self.cursor.take::<1>()?[0].into(),
            0x94 => self.memo.len() as u32,
            _ => u32::from_le_bytes(self.cursor.take()?),
        };
        if matches!(opcode, b'h' | b'j') {
            let known = self.memo.get(&key).copied();
            let id = known.ok_or_else(|| self.damaged("it refers to a value that is not there"))?;
            self.stack.push(id);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    /// Adds a value that holds `parts`, and puts it on the stack.
    pub(super) fn push(&mut self, value: Value, parts: &[Id]) -> Result<(), PickleError> {
        // One value an opcode: the number fits as long as the limit on opcodes does.
        let id = self.values.len() as Id;
        self.values.push(value);
        self.depths.push(0);
        self.deepen(id, parts)?;
        self.stack.push(id);
        Ok(())
    }

    /// Keeps account of nesting when `parts` are put into `id`.
    pub(super) fn deepen(&mut self, id: Id, parts: &[Id]) -> Result<(), PickleError> {
        let deepest = parts.iter().map(|&part| self.depths[part as usize]).max();
        let Some(depth) = deepest else {
            return Ok(());
        };
        if depth >= self.limits.depth {
            return Err(self.limit(
                "values nested in each other",
                usize::from(self.limits.depth),
            ));
        }
        let own = &mut self.depths[id as usize];
        *own = (*own).max(depth + 1);
        Ok(())
    }

    pub(super) fn value(&mut self, id: Id) -> &mut Value {
        &mut self.values[id as usize]
    }

    /// Takes the topmost value above the last mark.
    pub(super) fn pop(&mut self) -> Result<Id, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.damaged("it takes a value where there is none"));
        }
        self.stack
            .pop()
            .ok_or_else(|| self.damaged("it takes a value where there is none"))
    }

    pub(super) fn top(&self) -> Result<Id, PickleError> {
        let top = self.stack.last().copied();
        top.ok_or_else(|| self.damaged("it takes a value where there is none"))
    }

    /// Takes everything above the last mark.
    pub(super) fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| self.damaged("it closes what it did not open"))?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn damaged(&self, problem: &'static str) -> PickleError {
        PickleError::Damaged {
            at: self.at,
            problem,
        }
    }

    pub(super) fn limit(&self, what: &'static str, limit: usize) -> PickleError {
        PickleError::Limit {
            at: self.at,
            what,
            limit,
        }
    }
}
