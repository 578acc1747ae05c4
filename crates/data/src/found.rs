//! What was found where a data set was looked for, for the first lines of a run.

use std::fmt;

use crate::dataset::Dataset;

/// What a data set consists of, and what was passed over; displayed as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The data set.
    pub name: String,
    /// Images to learn from.
    pub train: usize,
    /// Images held out.
    pub held_out: usize,
    /// The shape of an image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// The number of classes, 0 without any.
    pub classes: usize,
    /// What was left out, by kind.
    pub skipped: Vec<Skipped>,
    /// What else there is to know, a clause each.
    pub remarks: Vec<String>,
}

/// Things of one kind that are not part of a data set though they lie where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What one of them is called, such as "image" or ".jpg file".
    pub one: String,
    /// Where it lies or why it is left out, such as "in hidden folders"; may be empty.
    pub why: &'static str,
    /// How many.
    pub count: usize,
    /// The first of them.
    pub example: String,
}

impl Found {
    /// What two parts show by themselves.
    pub(crate) fn new(name: impl Into<String>, train: &Dataset, held_out: &Dataset) -> Self {
        Self {
            name: name.into(),
            train: train.num_images(),
            held_out: held_out.num_images(),
            shape: train.image_shape(),
            classes: train.num_classes(),
            skipped: Vec::new(),
            remarks: (train.unusable_labels().map(unusable).into_iter())
                .chain(unlearned(train))
                .collect(),
        }
    }
}

/// Classes that all images are held out of: a model told of classes learns nothing of them.
fn unlearned(train: &Dataset) -> Option<String> {
    let counts = train.class_counts();
    let names = train.class_labels().ok().flatten()?.names();
    let none = (0..counts.len()).filter(|&class| counts[class] == 0);
    let none: Vec<String> = none
        .map(|class| {
            names
                .get(class)
                .cloned()
                .unwrap_or_else(|| class.to_string())
        })
        .collect();
    let shown = none.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = if none.len() > 3 { ", ..." } else { "" };
    match none.len() {
        0 => None,
        1 => Some(format!("class {shown} has none to learn from")),
        several => Some(format!(
            "{several} classes have none to learn from ({shown}{more})"
        )),
    }
}

fn unusable(reason: &str) -> String {
    format!("labels are not used: {reason}")
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.shape {
            // Tables, and points in the plane.
            [1, 1, columns] => format!("rows of {columns} columns"),
            [channels, height, width] => format!("images of {channels}x{height}x{width}"),
        };
        let (name, train, held_out) = (&self.name, self.train, self.held_out);
        write!(f, "{name}: {train} {what} and {held_out} held out")?;
        match self.classes {
            0 => write!(f, ", no classes")?,
            1 => write!(f, ", 1 class")?,
            several => write!(f, ", {several} classes")?,
        }
        for remark in &self.remarks {
            write!(f, "; {remark}")?;
        }
        if !self.skipped.is_empty() {
            write!(f, "; left out: {}", list(&self.skipped))?;
        }
        Ok(())
    }
}

/// Several kinds of skipped things in one clause.
pub(crate) fn list(skipped: &[Skipped]) -> String {
    let clauses: Vec<String> = skipped.iter().map(ToString::to_string).collect();
    clauses.join(", ")
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (many, more) = if self.count == 1 {
            ("", "")
        } else {
            ("s", ", ...")
        };
        write!(f, "{} {}{many}", self.count, self.one)?;
        if !self.why.is_empty() {
            write!(f, " {}", self.why)?;
        }
        write!(f, " ({}{more})", self.example)
    }
}
