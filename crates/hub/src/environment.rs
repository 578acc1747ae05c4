//! Variables as the Hub's programs read them.

use std::ffi::OsString;
use std::path::PathBuf;

/// Variables by name, those of a process or others.
pub(crate) struct Environment<'a> {
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Environment<'_> {
    /// What a variable says, without white space around it; an empty one says nothing.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?.into_string().ok()?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_string())
    }

    /// Whether a variable says yes.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        let value = self.text(name).unwrap_or_default().to_uppercase();
        ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
    }

    /// The path that a variable names, which no shell may have seen: `~` at its beginning is the home folder, `$NAME`
    /// and `${NAME}` are what those variables say, if they are set.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        let value = (self.variable)(name).filter(|value| !value.is_empty())?;
        let Some(text) = value.to_str() else {
            return Some(value.into());
        };
        let text = match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("{}{rest}", self.home().display())
            }
            _ => text.to_string(),
        };
        Some(self.expanded(&text).into())
    }

    /// The home folder.
    pub(crate) fn home(&self) -> PathBuf {
        let given = (self.variable)("HOME").filter(|value| !value.is_empty());
        let other = || std::env::home_dir().unwrap_or_default();
        given.map_or_else(other, PathBuf::from)
    }

    fn expanded(&self, text: &str) -> String {
        let mut parts = text.split('$');
        let mut out = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = part.find(|c| !in_name(c)).unwrap_or(part.len());
            let braced = part.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let (name, rest) = braced.unwrap_or_else(|| part.split_at(end));
            match (self.variable)(name).and_then(|value| value.into_string().ok()) {
                Some(value) if !name.is_empty() => out += &format!("{value}{rest}"),
                _ => out += &format!("${part}"),
            }
        }
        out
    }
}
