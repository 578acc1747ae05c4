//! The column of classes of Parquet files.

use std::collections::BTreeSet;

use parquet::record::Field;

use crate::labels::{ClassLabels, Labels, MAX_CLASSES};

/// What a row says of its class.
pub(super) enum Label {
    /// There is no such column.
    Absent,
    /// Nothing stands in it.
    Null,
    Class(String),
    /// Something that is not a class.
    Other(String),
}

/// A class as text.
pub(super) fn label_of(field: &Field) -> Label {
    match field {
        Field::Null => Label::Null,
        Field::Byte(class) => Label::Class(class.to_string()),
        Field::Short(class) => Label::Class(class.to_string()),
        Field::Int(class) => Label::Class(class.to_string()),
        Field::Long(class) => Label::Class(class.to_string()),
        Field::UByte(class) => Label::Class(class.to_string()),
        Field::UShort(class) => Label::Class(class.to_string()),
        Field::UInt(class) => Label::Class(class.to_string()),
        Field::ULong(class) => Label::Class(class.to_string()),
        Field::Str(class) => Label::Class(class.clone()),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => {
            Label::Other("several values".to_string())
        }
        Field::Bytes(_) => Label::Other("bytes".to_string()),
        other => Label::Other(other.to_string()),
    }
}

/// Classes of what stands in the column: whole numbers as they are, names in their order.
pub(super) fn classes(column: &str, labels: &[Label]) -> Labels {
    match texts(labels) {
        Ok(None) => Labels::Absent,
        Ok(Some(texts)) => {
            of_texts(&texts).map_or_else(|why| unusable(column, &why), Labels::Classes)
        }
        Err(why) => unusable(column, &why),
    }
}

fn unusable(column: &str, why: &str) -> Labels {
    Labels::Unusable(format!("column {column}: {why}"))
}

/// The texts of all rows, if there is such a column, or what keeps one of them from being a class.
fn texts(labels: &[Label]) -> Result<Option<Vec<&str>>, String> {
    let missing = |label: &&Label| matches!(label, Label::Null | Label::Absent);
    let count = labels.iter().filter(missing).count();
    if labels.iter().all(|label| matches!(label, Label::Absent)) {
        return Ok(None);
    }
    let mut texts = Vec::with_capacity(labels.len());
    for (row, label) in labels.iter().enumerate() {
        match label {
            Label::Class(text) => texts.push(text.as_str()),
            Label::Other(got) => {
                return Err(format!(
                    "row {row} has {got}, classes are whole numbers or texts"
                ));
            }
            Label::Null | Label::Absent => {
                let all = labels.len();
                return Err(format!(
                    "{count} of {all} rows have no class, the first is row {row}"
                ));
            }
        }
    }
    Ok(Some(texts))
}

fn of_texts(texts: &[&str]) -> Result<ClassLabels, String> {
    let numbers: Option<Vec<i128>> = texts.iter().map(|text| text.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let class = |(row, number): (usize, &i128)| {
            let class = usize::try_from(*number)
                .ok()
                .filter(|&class| class < MAX_CLASSES);
            class.map(|class| class as u32).ok_or_else(|| {
                format!("class of row {row} must be in 0..{MAX_CLASSES}, got {number}")
            })
        };
        let values: Vec<u32> = numbers
            .iter()
            .enumerate()
            .map(class)
            .collect::<Result<_, _>>()?;
        let most = values.iter().copied().max().unwrap_or(0);
        return Ok(ClassLabels::new(values, most as usize + 1));
    }
    let names: BTreeSet<&str> = texts.iter().copied().collect();
    let names: Vec<&str> = names.into_iter().collect();
    if names.len() > MAX_CLASSES {
        let several = names.len();
        return Err(format!(
            "{several} different classes, up to {MAX_CLASSES} are accepted"
        ));
    }
    let place = |text: &&str| names.binary_search(text).expect("it is among them") as u32;
    let values = texts.iter().map(place).collect();
    let names = names.iter().map(|name| name.to_string()).collect();
    Ok(ClassLabels::named(values, names))
}
