//! `luat-kv man`: manual pages, from the same text as the help.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, Args, Command, ValueHint};
use clap_mangen::roff::{Roff, bold, roman};

use crate::fail::Fail;

/// Write the manual pages into a folder: luat-kv.1, and one for each command
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv man ~/.local/share/man/man1      # then: man luat-kv-put

The folder is created if it is missing.")]
pub struct Man {
    /// The folder
    #[arg(value_hint = ValueHint::DirPath)]
    folder: PathBuf,
}

const STATUSES: [(&str, &str); 4] = [
    ("0", "Success."),
    (
        "1",
        "A key was not found, which delete ignores (with put --if-missing: it was there already), a watch ended without a \
         change, or the user answered a question with no.",
    ),
    ("2", "The command line is wrong."),
    ("3", "The command failed. A line on stderr says why."),
];

/// Variables that the tool or a library of it reads, and on which pages they are: on those of all commands that use a store
/// if none is named.
const ENVIRONMENT: [(&str, &[&str], &str); 8] = [
    ("LUAT_KV_NAMESPACE", &[], "The namespace, if --namespace names none."),
    (
        "LUAT_KV_DB",
        &[],
        "The store, if --db names none: the path of a file, or a URL. Without it, the store is that of the project: the \
         nearest luat.toml, in this folder or one above, determines it.",
    ),
    (
        "LUAT_KV_TRUSTED_PROJECT",
        &[],
        "Folders, with colons between them, whose luat.toml is used although other users can change it.",
    ),
    (
        "PGHOST, PGPASSWORD, PGPASSFILE, ...",
        &[],
        "For a store on a PostgreSQL server: what its client library reads, if the URL does not say it.",
    ),
    ("NO_COLOR, CLICOLOR", &[], "A terminal gets colours, unless NO_COLOR is set or CLICOLOR is 0."),
    ("VISUAL, EDITOR", &["luat-kv", "luat-kv browse"], "The editor of browse, by default vi. VISUAL takes precedence."),
    ("TMPDIR", &["luat-kv", "luat-kv browse"], "The folder for a text that is being edited, by default /tmp."),
    (
        "SQLITE_TMPDIR, TMPDIR",
        &["luat-kv", "luat-kv compact"],
        "The folder for the temporary file of compact, by default /var/tmp.",
    ),
];

const WITHOUT_A_STORE: [&str; 2] = ["luat-kv completions", "luat-kv man"];

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
    let name = command.get_display_name().unwrap_or(command.get_name());
    std::fs::write(folder.join(format!("{name}.1")), page(command.clone())?)
}

/// clap_mangen puts all that follows the options in the help into a section EXTRA. Here the examples are a section, and the
/// rest belongs to the description.
fn page(command: Command) -> io::Result<String> {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let parts = after.split("\n\n").filter(|part| !part.is_empty());
    let (examples, notes): (Vec<_>, Vec<_>) = parts.partition(|part| part.starts_with("Examples:\n"));
    let about = command.get_about().map(|about| format!("{about}.")).unwrap_or_default();
    let description = [&[about.as_str()], notes.as_slice()].concat().join("\n\n");
    let synopsis = synopsis(&name, &command);
    // The version is at the end of each page.
    let command = command.override_usage(synopsis).long_about(description).after_help(None).version(None);
    let command = command.subcommand_help_heading("COMMANDS");

    let mut page = Vec::new();
    clap_mangen::Man::new(command).source(concat!("luat-kv ", env!("CARGO_PKG_VERSION"))).render(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (status, what) in STATUSES {
        entry(&mut roff, status, what);
    }
    let is_read = |readers: &[&str]| match readers {
        [] => !WITHOUT_A_STORE.contains(&&*name),
        _ => readers.contains(&&*name),
    };
    let variables: Vec<_> = ENVIRONMENT.iter().filter(|(_, readers, _)| is_read(readers)).collect();
    if !variables.is_empty() {
        roff.control("SH", ["ENVIRONMENT"]);
        variables.iter().for_each(|(names, _, what)| entry(&mut roff, names, what));
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]).control("EX", []);
        for line in examples.iter().flat_map(|part| part.lines().skip(1)) {
            roff.text([roman(line)]);
        }
        roff.control("EE", []);
    }
    roff.to_writer(&mut page)?;
    // There is no date. clap_mangen leaves that out of the title, and `man` takes the next word for it.
    Ok(String::from_utf8_lossy(&page).replacen(" 1  \"", " 1 \"\" \"", 1))
}

fn entry(roff: &mut Roff, what: &str, text: &str) {
    roff.control("TP", []).text([bold(what)]).text([roman(text)]);
}

/// All arguments with their values, which clap_mangen leaves out: first the command's own, then those of every command.
fn synopsis(name: &str, command: &Command) -> String {
    let is_shown = |arg: &&Arg| !arg.is_positional() && !["help", "version"].contains(&arg.get_id().as_str());
    let (common, own): (Vec<_>, Vec<_>) = command.get_arguments().filter(is_shown).partition(|arg| arg.is_global_set());
    let mut words = vec![name.to_owned()];
    words.extend(own.into_iter().chain(common).chain(command.get_positionals()).map(usage));
    words.extend(command.has_subcommands().then(|| "COMMAND".to_owned()));
    words.join(" ")
}

fn usage(arg: &Arg) -> String {
    let names = [arg.get_short().map(|c| format!("-{c}")), arg.get_long().map(|long| format!("--{long}"))];
    let names = names.into_iter().flatten().collect::<Vec<_>>().join("|");
    let is_many = arg.is_positional() && arg.get_num_args().is_some_and(|count| count.max_values() > 1);
    let values = arg.get_value_names().filter(|_| arg.get_action().takes_values()).unwrap_or_default().join(" ");
    let all = format!("{names} {values}{}", if is_many { "..." } else { "" });
    if arg.is_required_set() { all.trim().to_owned() } else { format!("[{}]", all.trim()) }
}
