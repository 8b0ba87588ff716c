//! `luat-kv`: the store on the command line. It uses only the crate's public API.
//!
//! `args` is the command line and its help, and `parse` reads its numbers; `place` finds the store; `entries`, `removal`, `bulk`, `watch`, `browse` and
//! `upkeep` carry out commands; `input` is what they read, `output`, `text` and `progress` what they print; `fail` reports errors, and
//! `signals` handles interruption; `completions` and `man` write what shells and `man` read.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::args::{Bulk, Cli, Command};
use crate::fail::Fail;
use crate::output::Output;

mod args;
mod browse;
mod bulk;
mod completions;
mod entries;
mod fail;
mod input;
mod man;
mod migrate;
mod output;
mod parse;
mod place;
mod progress;
mod removal;
#[cfg(unix)]
mod signals;
/// On other systems the next backup or export into the folder removes the file of an interrupted one.
#[cfg(not(unix))]
mod signals {
    pub fn remove_drafts_at_the_end() {}
}
mod text;
mod upkeep;
mod watch;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // The help is printed unchanged: on stdout if it was requested, and on stderr if the command is missing.
        Err(help) if is_help(&help) => {
            let _ = help.print();
            return ExitCode::from(if help.use_stderr() { 2 } else { 0 });
        }
        Err(wrong) => return Fail::from(wrong).report(),
    };
    let mut out = Output::new(cli.place.json);
    match run(&cli, &mut out).and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            // The output before a failure is still part of the result.
            let _ = out.flush();
            fail.report()
        }
    }
}

fn is_help(error: &clap::Error) -> bool {
    use ErrorKind::*;
    matches!(error.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion)
}

fn run(cli: &Cli, out: &mut Output) -> Result<(), Fail> {
    let place = &cli.place;
    match &cli.command {
        Command::Get(args) => entries::get(place, args, out),
        Command::Put(args) => entries::put(place, args, out),
        Command::Has { key } => entries::has(place, key, out),
        Command::Incr(args) => entries::incr(place, args, out),
        Command::Touch(args) => entries::touch(place, args, out),
        Command::Take(args) => entries::take(place, args, out),
        Command::Delete(args) => removal::delete(place, args, out),
        Command::Clear { yes } => removal::clear(place, *yes, out),
        Command::List(args) => entries::list(place, args, out),
        Command::Watch(args) => watch::watch(place, args, out),
        Command::Browse(args) => browse::browse(place, args),
        Command::Count { prefix } => entries::count(place, prefix, out),
        Command::Bulk(Bulk::Get { keys }) => bulk::get(place, keys, out),
        Command::Bulk(Bulk::Put { file }) => bulk::import(place, file, true, out),
        Command::Bulk(Bulk::Delete { file }) => bulk::delete(place, file, out),
        Command::Export { file, format } => bulk::export(place, file, *format, out),
        Command::Import { file, replace } => bulk::import(place, file, *replace, out),
        Command::Backup { file } => upkeep::backup(place, file, out),
        Command::Migrate { from, to, if_missing } => migrate::migrate(place, from.as_deref(), to, *if_missing, out),
        Command::Namespaces => upkeep::namespaces(place, out),
        Command::Stats => upkeep::stats(place, out),
        Command::Sweep { max } => upkeep::sweep(place, *max, out),
        Command::Compact => upkeep::compact(place, out),
        Command::Completions { shell } => completions::completions(*shell, Cli::command(), out),
        Command::Man(args) => man::man(args, Cli::command()),
    }
}
