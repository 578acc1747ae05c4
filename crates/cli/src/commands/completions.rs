//! `pfgmpp completions` and `pfgmpp man`: what a shell and `man` know of this program.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;
use pfgmpp_run::RunError;
use pfgmpp_store::write_files;

use crate::Cli;
use crate::failure::Failure;
use crate::terminal::print;

#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// The shell, for which a script is written to standard output: such as
    /// pfgmpp completions bash > ~/.local/share/bash-completion/completions/pfgmpp
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(clap::Args)]
pub struct ManArgs {
    /// A folder for the pages, one for each command, such as ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pfgmpp", &mut script);
    print(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let folder = &args.folder;
    let at = |e| Failure::from(RunError::io(folder)(e));
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::bad_input(format!(
            "{}: is a file: give a folder",
            folder.display()
        )));
    }
    std::fs::create_dir_all(folder).map_err(at)?;
    let mut pages: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let mut open = vec![("pfgmpp".to_string(), Cli::command())];
    while let Some((name, command)) = open.pop() {
        let own = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        open.extend(own.map(|sub| (format!("{name}-{}", sub.get_name()), sub.clone())));
        let mut page = Vec::new();
        let command = command.display_name(name.clone());
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(at)?;
        pages.push((folder.join(format!("{name}.1")), page));
    }
    write_files(&pages).map_err(RunError::from)?;
    print(format_args!("{} pages: {}", pages.len(), folder.display()));
    Ok(())
}
