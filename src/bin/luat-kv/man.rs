//! `luat-kv man`: manual pages, from the same text as the help.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::fail::Fail;

/// Write the manual pages into a folder: luat-kv.1, and one for each command
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv man ~/.local/share/man/man1      then: man luat-kv-put

The folder is created if it is missing.")]
pub struct Man {
    /// The folder
    folder: PathBuf,
}

pub fn man(args: &Man, cli: Command) -> Result<(), Fail> {
    std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(cli, &args.folder))
        .map_err(|error| Fail::at(&args.folder, error))
}
