//! The tutorials: their commands work in order, and leave the files that they promise.
//!
//! Blocks marked `sh` are run by a shell in a folder with what the repository has. Two comments, which readers do not see,
//! stand around a block: `<!-- shorter: ARGUMENTS -->` before it is appended to each of its lines that begin with
//! `pfgmpp`, so that a test takes seconds; `<!-- makes: PATH PATH -->` behind it names what must be there afterwards.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{output, repository, stderr, stdout};

/// The pages of docs/tutorials, each followed by a test of its own.
const PAGES: [&str; 6] = [
    "digits",
    "my-images",
    "restoration",
    "sweep",
    "table",
    "zero-shot",
];

/// One block of commands, with its two comments.
#[derive(Default)]
struct Block {
    shorter: String,
    lines: Vec<String>,
    makes: Vec<String>,
}

/// What a line like `<!-- NAME: VALUE -->` says.
fn comment<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let inner = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    inner.strip_prefix(name)?.strip_prefix(": ")
}

/// The blocks of a page, in its order.
fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut shorter, mut inside) = (Vec::<Block>::new(), String::new(), false);
    for line in page.lines() {
        if inside && line == "```" {
            inside = false;
        } else if inside {
            let block = blocks.last_mut().expect("a block was begun");
            block.lines.push(line.to_owned());
        } else if line == "```sh" {
            inside = true;
            blocks.push(Block {
                shorter: std::mem::take(&mut shorter),
                ..Block::default()
            });
        } else if let Some(arguments) = comment(line, "shorter") {
            arguments.clone_into(&mut shorter);
        } else if let Some(paths) = comment(line, "makes") {
            let block = blocks.last_mut().expect("`makes` follows a block");
            block.makes = paths.split_whitespace().map(str::to_owned).collect();
        }
    }
    assert!(shorter.is_empty(), "`shorter: {shorter}` has no block");
    blocks
}

/// A line of a block as it is run: the remark at its end left out, the shorter arguments behind it.
fn shortened(line: &str, shorter: &str) -> String {
    if shorter.is_empty() || !line.starts_with("pfgmpp ") {
        return line.to_owned();
    }
    let command = line.split_once("  #").map_or(line, |(command, _)| command);
    format!("{} {shorter}", command.trim_end())
}

/// The files of `name`, a folder of the repository, in the same folder of `to`.
fn copy_files(name: &str, to: &Path) {
    fs::create_dir_all(to.join(name)).unwrap();
    for entry in fs::read_dir(repository().join(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(name).join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// `PATH` with the folder of the program first.
fn search_path() -> OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_pfgmpp")).parent().unwrap();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(program.to_owned()).chain(std::env::split_paths(&others));
    std::env::join_paths(folders).unwrap()
}

/// Whether a file, or at least one entry of a folder, is there and not empty.
fn holds_something(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::metadata(path).is_ok_and(|file| file.len() > 0),
    }
}

/// Does what a page says, in a new folder.
fn follow(page: &str) {
    let text = fs::read_to_string(repository().join(format!("docs/tutorials/{page}.md"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["configs", "experiments", "docs/tutorials"] {
        copy_files(name, folder.path());
    }
    let blocks = blocks(&text);
    let promised: usize = blocks.iter().map(|block| block.makes.len()).sum();
    assert!(promised >= 2, "{page}: promises {promised} files");
    for block in blocks {
        // A line that goes on behind a backslash is one command.
        let text = block.lines.join("\n").replace("\\\n", " ");
        let lines = text.lines().map(|line| shortened(line, &block.shorter));
        let script = lines.collect::<Vec<String>>().join("\n");
        let mut command = Command::new("sh");
        command.args(["-e", "-c", &script]);
        command
            .current_dir(folder.path())
            .env("PATH", search_path());
        let done = output(command);
        assert!(
            done.status.success(),
            "{page}:\n{script}\ngot {}{}",
            stdout(&done),
            stderr(&done)
        );
        for path in &block.makes {
            assert!(
                holds_something(&folder.path().join(path)),
                "{page}: no {path} after\n{script}"
            );
        }
    }
}

#[test]
fn every_tutorial_is_followed_by_a_test() {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository().join("docs/tutorials")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "md") {
            found.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    assert_eq!(found, PAGES);
}

#[test]
fn digits_in_two_minutes() {
    follow("digits");
}

#[test]
fn images_of_your_own() {
    follow("my-images");
}

#[test]
fn images_with_holes_and_noise() {
    follow("restoration");
}

#[test]
fn a_sweep_for_a_paper() {
    follow("sweep");
}

#[test]
fn a_table_of_numbers() {
    follow("table");
}

#[test]
fn every_d_from_one_diffusion_model() {
    follow("zero-shot");
}
