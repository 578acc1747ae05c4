//! Completions and manual pages in the shells and the `man` that are here.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{output, pfgmpp, stderr, stdout};

/// What a shell says to `script`, none and a line that says so where it is not installed.
fn ask(shell: &str, flags: &[&str], script: &str) -> Option<String> {
    let done = Command::new(shell)
        .args(flags)
        .args(["-c", script])
        .output();
    let Ok(done) = done else {
        println!("left out: {shell} is not installed");
        return None;
    };
    assert!(done.status.success(), "{shell}: got {}", stderr(&done));
    Some(stdout(&done))
}

fn completions(shell: &str, file: &Path) {
    let mut command = pfgmpp();
    command.args(["completions", shell]);
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    fs::write(file, done.stdout).unwrap();
}

fn assert_offers(shell: &str, answer: Option<String>, want: &str) {
    if let Some(answer) = answer {
        assert!(answer.contains(want), "{shell}: got {answer}, want {want}");
        println!("{shell}: offers {want}");
    }
}

#[test]
fn bash_loads_the_completions_and_offers_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pfgmpp");
    completions("bash", &file);
    let complete = |words: &str, last: &str| {
        format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _pfgmpp pfgmpp '{last}' pfgmpp; echo \"${{COMPREPLY[@]}}\"; complete -p pfgmpp",
            file.display()
        )
    };
    let flags = ["--norc", "--noprofile"];
    let answer = ask("bash", &flags, &complete("pfgmpp sw", "sw"));
    assert_offers("bash", answer, "sweep");
    let answer = ask("bash", &flags, &complete("pfgmpp convert --t", "--t"));
    assert_offers("bash", answer, "--to");
}

#[test]
fn zsh_loads_the_completions() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    completions("zsh", &folder.path().join("_pfgmpp"));
    let script = format!(
        "fpath=('{at}' $fpath); autoload -Uz compinit; compinit -u -d '{at}/dump'; \
         autoload +X _pfgmpp; print -r -- \"used: $_comps[pfgmpp]\"; functions _pfgmpp"
    );
    let answer = ask("zsh", &["-f"], &script);
    assert_offers("zsh", answer.clone(), "used: _pfgmpp");
    assert_offers("zsh", answer, "convert");
}

#[test]
fn fish_loads_the_completions_and_offers_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pfgmpp.fish");
    completions("fish", &file);
    let complete = |line: &str| format!("source '{}'; complete -C '{line}'", file.display());
    let answer = ask("fish", &["--no-config"], &complete("pfgmpp sw"));
    assert_offers("fish", answer, "sweep");
    let answer = ask("fish", &["--no-config"], &complete("pfgmpp convert --t"));
    assert_offers("fish", answer, "--to");
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = pfgmpp();
    command.arg("man").arg(folder.path());
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    let mut pages = 0;
    for page in fs::read_dir(folder.path()).unwrap() {
        let page = page.unwrap().path();
        let mut man = Command::new("man");
        man.args(["--warnings", "-P", "cat", "-l"]).arg(&page);
        let Ok(done) = man.env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8").output() else {
            println!("left out: man is not installed");
            return;
        };
        let (text, warnings) = (stdout(&done), stderr(&done));
        // A system without manual pages has another program by that name.
        if !text.contains("NAME") && text.contains("minimized") {
            println!(
                "left out: man is not installed: {}",
                text.lines().next().unwrap_or_default()
            );
            return;
        }
        let name = page.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            done.status.success() && warnings.is_empty(),
            "{name}: got {warnings}"
        );
        assert!(
            text.contains("NAME") && text.contains(&name),
            "{name}: got {text}"
        );
        pages += 1;
    }
    assert!(pages > 20, "got {pages} pages, want one for each command");
    println!("man: {pages} pages");
}
