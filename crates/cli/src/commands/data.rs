//! `pfgmpp data`: what data are, and sets of images made of photographs.

mod info;
mod pack;

use crate::failure::Failure;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Describe a data source: its shape, values and classes, and what is left out
    Info(info::Args),
    /// Make a ZIP archive of images of one size from a folder or archive of images of any size
    Pack(pack::Args),
}

pub fn data(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Info(args) => info::info(args),
        Command::Pack(args) => pack::pack(args),
    }
}
