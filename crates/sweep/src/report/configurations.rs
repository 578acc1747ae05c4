//! What each run was made with: what all share, what tells them apart, and the command that makes each again.

use std::collections::BTreeSet;

use maud::{Markup, html};

/// The configuration of a run, and the command that makes it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The run's folder name.
    pub run: String,
    /// Dotted keys and their values, in the order of its file.
    pub values: Vec<(String, String)>,
    /// The command, of a run whose file is there.
    pub command: Option<String>,
}

/// A value of a run that has no such key.
const NONE: &str = "–";

/// Both tables, folded away; nothing where there are no runs.
pub(super) fn configurations(all: &[Configuration]) -> Markup {
    let (shared, differing) = told_apart(all);
    html! {
        @if !all.is_empty() {
            section {
                h2 { "Configurations" }
                @if !differing.is_empty() || all.len() == 1 {
                    details {
                        summary { "What differs, and the command that makes each run again, from where the sweep was called" }
                        div.wide tabindex="0" role="region" aria-label="Configurations" {
                            table {
                                thead { tr {
                                    th scope="col" { "Run" }
                                    @for key in &differing { th scope="col" { (key) } }
                                    th scope="col" { "Command" }
                                } }
                                tbody {
                                    @for one in all {
                                        tr {
                                            th scope="row" { (one.run) }
                                            @for key in &differing { td { (value(one, key).unwrap_or(NONE)) } }
                                            td { @if let Some(command) = &one.command { code { (command) } } }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                details {
                    summary { "What all runs that have it share (" (shared.len()) " settings)" }
                    dl.settings {
                        @for (key, value) in shared { div { dt { (key) } dd { (value) } } }
                    }
                }
            }
        }
    }
}

fn value<'c>(one: &'c Configuration, key: &str) -> Option<&'c str> {
    let found = one.values.iter().find(|(other, _)| other == key);
    found.map(|(_, value)| value.as_str())
}

/// Keys of which all runs that have them have one value, and keys that differ, each in the order in which runs have them.
fn told_apart(all: &[Configuration]) -> (Vec<(&str, &str)>, Vec<&str>) {
    let mut keys: Vec<&str> = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (key, _) in all.iter().flat_map(|one| &one.values) {
        if known.insert(key) {
            keys.push(key);
        }
    }
    let (mut shared, mut differing) = (Vec::new(), Vec::new());
    for key in keys {
        // A key that some runs do not have, as those of training, tells the others apart only where its values differ.
        let mut values = all.iter().filter_map(|one| value(one, key));
        let first = values.next().unwrap_or(NONE);
        match values.all(|other| other == first) {
            true => shared.push((key, first)),
            false => differing.push(key),
        }
    }
    (shared, differing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, values: &[(&str, &str)]) -> Configuration {
        let text = |(key, value): &(&str, &str)| ((*key).to_string(), (*value).to_string());
        Configuration {
            run: name.to_string(),
            values: values.iter().map(text).collect(),
            command: Some(format!("pfgmpp train out/{name}/config.yaml --out NEW")),
        }
    }

    #[test]
    fn what_is_the_same_everywhere_is_told_once_and_what_differs_for_each_run() {
        let all = [
            run("a", &[("d", "8"), ("seed", "0"), ("model", "exact")]),
            run(
                "b",
                &[
                    ("d", ".inf"),
                    ("seed", "0"),
                    ("model", "exact"),
                    ("optimizer.lr", "0.002"),
                ],
            ),
            run("c", &[("seed", "0"), ("model", "exact")]),
        ];
        let (shared, differing) = told_apart(&all);
        assert_eq!(
            shared,
            [("seed", "0"), ("model", "exact"), ("optimizer.lr", "0.002")]
        );
        assert_eq!(differing, ["d"]);
        let page = configurations(&all).into_string();
        for want in [
            ">8</td>",
            ">.inf</td>",
            ">–</td>",
            "pfgmpp train out/b/config.yaml --out NEW",
            "(3 settings)",
        ] {
            assert!(page.contains(want), "got {page}, want {want}");
        }
        assert!(configurations(&[]).into_string().is_empty());
    }
}
