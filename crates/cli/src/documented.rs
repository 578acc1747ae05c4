//! Every command line in the documentation is one that this binary takes.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use crate::Cli;

/// What stands in front of the arguments.
const STARTS: [&str; 2] = ["pfgmpp ", "cargo run --release -- "];

/// README.md and its kin, the pages in docs and the tutorials.
fn pages() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("a file").path())
    };
    let mut pages: Vec<PathBuf> = files(top.clone())
        .chain(files(top.join("docs")))
        .chain(files(top.join("docs/tutorials")))
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    pages.sort();
    pages
}

/// The arguments of a line, as a shell would take them apart: by spaces outside of quotes, up to a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '#' | '>' | '|' | ';' | '&') if !begun => return words,
            (None, ' ') => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// Lines in blocks of a page that call this binary, those that go on behind a backslash joined.
fn lines(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let (mut inside, mut found) = (false, Vec::new());
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            let line = line.trim_start().trim_start_matches("$ ");
            let own = STARTS.iter().find_map(|start| line.strip_prefix(start));
            found.extend(own.map(str::to_owned));
        }
    }
    found
}

/// What stands between backticks outside of blocks and names this binary; words in capitals stand for values there.
fn mentions(text: &str) -> Vec<String> {
    let outside: Vec<&str> = text.split("```").step_by(2).collect();
    let spans = outside
        .iter()
        .flat_map(|part| part.split('`').skip(1).step_by(2));
    let own = spans.filter_map(|span| span.strip_prefix(STARTS[0]));
    own.map(|span| span.replace('\n', " ")).collect()
}

fn parse(line: &str) -> Result<(), clap::Error> {
    let arguments = std::iter::once("pfgmpp".to_owned()).chain(words(line));
    Cli::try_parse_from(arguments).map(drop)
}

#[test]
fn every_command_in_a_block_is_taken() {
    let mut checked = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for line in lines(&text) {
            let taken = parse(&line).map_err(|e| e.to_string());
            assert!(
                taken.is_ok(),
                "{}: {line}: got {}",
                page.display(),
                taken.unwrap_err()
            );
            checked += 1;
        }
    }
    assert!(
        checked > 50,
        "got {checked} commands, want those of all pages"
    );
}

#[test]
fn every_command_that_is_mentioned_has_the_flags_that_it_is_mentioned_with() {
    let mut checked = 0;
    for page in pages() {
        // What earlier versions took may be told.
        if page.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = std::fs::read_to_string(&page).expect("a page");
        for line in mentions(&text) {
            let Err(error) = parse(&line) else {
                checked += 1;
                continue;
            };
            let placeholder = words(&line).iter().any(|word| {
                let letters = word.trim_end_matches(",...").chars();
                letters.clone().count() > 0
                    && letters.clone().all(|c| c.is_ascii_uppercase() || c == '_')
            });
            let known = match error.kind() {
                ErrorKind::MissingRequiredArgument
                | ErrorKind::DisplayHelp
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
                // A flag without its value, or with a word that stands for one.
                ErrorKind::InvalidValue => {
                    placeholder || error.to_string().contains("but none was supplied")
                }
                ErrorKind::ValueValidation | ErrorKind::InvalidSubcommand => placeholder,
                _ => false,
            };
            assert!(known, "{}: {line}: got {error}", page.display());
            checked += 1;
        }
    }
    let unknown = parse("sample --no-such-flag 1").map_err(|e| e.kind());
    assert_eq!(unknown, Err(ErrorKind::UnknownArgument));
    assert!(
        checked > 30,
        "got {checked} mentions, want those of all pages"
    );
}

#[test]
fn lines_are_taken_apart_as_a_shell_does() {
    for (line, want) in [
        ("a  b # c", vec!["a", "b"]),
        (
            "--set 'axes.d=[0.5, inf]' x",
            vec!["--set", "axes.d=[0.5, inf]", "x"],
        ),
        ("completions bash > file", vec!["completions", "bash"]),
        ("d=1,seed=0 \"\"", vec!["d=1,seed=0", ""]),
    ] {
        assert_eq!(words(line), want, "{line}");
    }
}
