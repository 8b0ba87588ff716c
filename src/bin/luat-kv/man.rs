//! `luat-kv man`: manual pages, from the same text as the help.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueHint};

use crate::fail::Fail;

/// Write the manual pages into a folder: luat-kv.1, and one for each command
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv man ~/.local/share/man/man1      then: man luat-kv-put

The folder is created if it is missing.")]
pub struct Man {
    /// The folder
    #[arg(value_hint = ValueHint::DirPath)]
    folder: PathBuf,
}

pub fn man(args: &Man, cli: Command) -> Result<(), Fail> {
    let mut cli = cli.disable_help_subcommand(true);
    cli.build();
    std::fs::create_dir_all(&args.folder)
        .and_then(|()| write(cli, &args.folder))
        .map_err(|error| Fail::at(&args.folder, error))
}

/// Like clap_mangen's function for all pages, which names the command alone at their ends, without the tool's version.
fn write(command: Command, folder: &Path) -> io::Result<()> {
    for command in command.get_subcommands() {
        write(command.clone(), folder)?;
    }
    let source = concat!("luat-kv ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command).source(source).generate_to(folder).map(drop)
}
