//! The documentation: its links lead somewhere, its YAML is YAML, the files that it names are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::program::repository;

/// Pages with a text each: those at the top, those of docs, those of experiments and crates.
fn pages() -> Vec<(PathBuf, String)> {
    let mut open = vec![repository()];
    let mut pages = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir()
                && !name.starts_with('.')
                && !["target", "runs", "book"].contains(&&*name)
            {
                open.push(path);
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    pages.sort();
    pages
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The targets of links and images in a page.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let ends = prose.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()))
        .collect()
}

/// The names by which a page's headings can be linked, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let (mut checked, mut broken) = (0, Vec::new());
    for (page, text) in pages() {
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let there = match anchor {
                "" => target.exists(),
                anchor => {
                    fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor))
                }
            };
            if !there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing: {broken:#?}");
    assert!(
        checked > 100,
        "got {checked} links, want those of all pages"
    );
}

#[test]
fn every_block_of_yaml_is_yaml() {
    let mut checked = 0;
    for (page, text) in pages() {
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let read = serde_yaml::from_str::<serde_yaml::Value>(block);
            let value = read.unwrap_or_else(|e| panic!("{}: {e}: {block}", page.display()));
            assert!(
                value.is_mapping() || value.is_sequence(),
                "{}: got {block}",
                page.display()
            );
            checked += 1;
        }
    }
    assert!(checked >= 4, "got {checked} blocks");
}

#[test]
fn every_configuration_and_sweep_that_is_named_is_there() {
    let mut checked = 0;
    for (page, text) in pages() {
        let names = text.split(|c: char| c.is_whitespace() || "`'\"(),;:[]|".contains(c));
        let named = |word: &&str| {
            let own = ["configs/", "experiments/"]
                .iter()
                .any(|folder| word.starts_with(folder));
            own && word.ends_with(".yaml") && !word.contains(|c: char| c.is_ascii_uppercase())
        };
        for name in names.filter(named) {
            assert!(
                repository().join(name).is_file(),
                "{}: no {name}",
                page.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 30, "got {checked} names");
}

#[test]
fn every_page_is_in_the_book_and_in_the_readme() {
    let docs = repository().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let in_book: Vec<String> = links(&summary);
    let mut checked = 0;
    for (page, _) in pages() {
        let Ok(name) = page.strip_prefix(&docs) else {
            continue;
        };
        let name = name.to_string_lossy().replace('\\', "/");
        if name == "SUMMARY.md" {
            continue;
        }
        checked += 1;
        let times = in_book.iter().filter(|link| **link == name).count();
        assert_eq!(times, 1, "docs/{name} in docs/SUMMARY.md");
        // The book begins with a page of its own.
        let linked = readme.contains(&format!("docs/{name}"));
        assert!(
            linked || name == "index.md",
            "README.md does not name docs/{name}"
        );
    }
    assert!(checked > 20, "got {checked} pages of docs, want all");
}
