//! The command line and its help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::parse::{lifetime, positive, whole};
use crate::place::Place;

/// A key-value store with the API of Cloudflare Workers KV, in one SQLite file
#[derive(Debug, Parser)]
#[command(name = "luat-kv", version, max_term_width = 100, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,

    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Examples:
  luat-kv -n blog put post:1 'Hello' --ttl 7d --metadata '{\"author\":\"alice\"}'
  luat-kv -n blog get post:1
  luat-kv -n blog list --prefix post:
  luat-kv -n blog export blog.jsonl

Arguments that begin with a dash: --prefix=-x for an option, and -- before keys and values.
Status: 0 done, 1 not found, 2 the command line is wrong, 3 failed.
Each command has examples of its own: luat-kv put --help";

#[derive(Debug, Subcommand)]
pub enum Command {
    Get(Get),
    // Names that users know from Redis and the shell.
    #[command(alias = "set")]
    Put(Put),

    /// Tell by the exit status whether a key exists, without reading its value
    #[command(after_help = "\
Examples:
  luat-kv -n blog has post:1 && echo yes
  luat-kv -n blog has post:1 || luat-kv -n blog put post:1 'Hello'

Status 0 if it is there, 1 if it is missing; nothing is printed.

With --json: {\"found\":true}; false, with status 1, if it is missing")]
    Has {
        /// The key
        key: String,
    },

    Incr(Incr),
    Touch(Touch),
    Take(Take),
    #[command(aliases = ["rm", "del"])]
    Delete(Delete),

    /// Remove all keys of the namespace
    #[command(after_help = "\
Examples:
  luat-kv -n blog clear
  luat-kv -n blog clear --yes

On a terminal it asks first, unless --yes is given; status 1 if the answer is no.
It works in small steps, between which others can write: keys that are put
meanwhile may stay.

With --json: {\"removed\":42}")]
    Clear {
        /// Do not ask for confirmation
        #[arg(short, long)]
        yes: bool,
    },

    List(List),
    Watch(crate::watch::Watch),
    Browse(crate::browse::Browse),

    /// Count the keys
    #[command(after_help = "\
Examples:
  luat-kv -n blog count
  luat-kv -n blog count --prefix post:

With --json: {\"count\":42}")]
    Count {
        /// Only keys that begin with this
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
    },

    /// Read, store or remove many keys at once
    #[command(subcommand)]
    Bulk(Bulk),

    /// Write all entries of the namespace as JSON, as of one moment
    #[command(after_help = "\
Examples:
  luat-kv -n blog export blog.json     # Wrangler's bulk file, one array
  luat-kv -n blog export blog.jsonl    # JSON Lines, an entry a line
  luat-kv -n blog export --format jsonl | gzip >blog.jsonl.gz

A file gets its name, replacing any other, when it is complete.
Values that are not UTF-8 are base64, and marked with \"base64\":true.

With --json, of an export to a file: {\"exported\":42}")]
    Export {
        /// The output file; - or none is stdout
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// The format; by default by the file's name, otherwise JSON
        #[arg(long, value_enum)]
        format: Option<Layout>,
    },

    /// Store the entries of an export, all of them or none
    #[command(after_help = "\
Examples:
  luat-kv -n blog import blog.jsonl
  luat-kv -n blog import --replace blog.json
  luat-kv -n blog export | luat-kv --db copy.db -n blog import

Takes Wrangler's bulk files and JSON Lines. Existing keys are
skipped unless --replace is given; expired entries are skipped. Unknown fields are
ignored, and reported once on stderr. An error names its line, and nothing is
stored. Others can write while it reads; they wait while it stores what it has read.

With --json: {\"stored\":40,\"skipped\":2}")]
    Import {
        /// The input file; - or none is stdin
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// Replace existing keys
        #[arg(long)]
        replace: bool,
    },

    /// Copy the whole store, all namespaces, into a new file, while others go on writing
    #[command(after_help = "\
Examples:
  luat-kv backup kv-monday.db
  luat-kv --db kv-monday.db namespaces

The copy is a store like any other. It gets its name when it is complete, and never replaces a file.

With --json: {\"path\":\"kv-monday.db\",\"bytes\":28672}")]
    Backup {
        /// The new file
        file: PathBuf,
    },

    /// Copy the whole store, all namespaces, into another one, such as a PostgreSQL database, or back
    #[command(after_help = "\
Examples:
  luat-kv migrate --from kv.db --to postgresql://app@db/site
  luat-kv migrate --from postgresql://app@db/site --to copy.db

Copies values, metadata and expirations; each entry gets a new version there. Keys
of the target are replaced, or kept with --if-missing, and those that the source
does not have stay. What has expired is not copied. After an interruption, the same
command goes on from there: until it is complete, the target keeps the position in the
namespace \"luat-kv migrate\". At the end all keys are compared: stop the programs that
write to the source before, or their last changes may be missing.

With --json: {\"namespaces\":2,\"copied\":1042,\"kept\":0,\"compared\":1042}")]
    Migrate {
        /// The source, a path or a URL, instead of the store of --db or the project's
        #[arg(long, value_name = "PATH|URL", value_hint = ValueHint::AnyPath)]
        from: Option<OsString>,
        /// The target, a path or a URL, which is created if it is missing
        #[arg(long, value_name = "PATH|URL", value_hint = ValueHint::AnyPath)]
        to: OsString,
        /// Keep the entries of keys that the target has
        #[arg(long)]
        if_missing: bool,
    },

    /// List the namespaces that have keys
    #[command(after_help = "\
Examples:
  luat-kv namespaces
  luat-kv --db other.db namespaces

With --json, one line each: {\"name\":\"blog\"}")]
    Namespaces,

    /// Show the store's path and size, and the number of keys in each namespace
    #[command(after_help = "\
Examples:
  luat-kv stats
  luat-kv --json stats

In a pipe, with tabs between fields: `path` and the path, `bytes` and the size, and for
each namespace `namespace`, its name, and the numbers of live and of expired keys.

With --json: {\"path\":\"/srv/app/.luat/data/kv.db\",\"bytes\":28672,
\"namespaces\":[{\"name\":\"blog\",\"live\":42,\"expired\":1}]}")]
    Stats,

    /// Remove expired entries from the file; results omit them anyway, and each write removes some
    #[command(after_help = "\
Examples:
  luat-kv sweep
  luat-kv sweep --max 100000

With --json: {\"removed\":7}")]
    Sweep {
        /// Stop after this many
        #[arg(long, value_name = "COUNT", value_parser = whole::<u64>)]
        max: Option<u64>,
    },

    /// Rewrite the file without the space of deleted entries; writers wait meanwhile
    #[command(after_help = "\
It takes at most as much disk space as the used part of the file, twice: beside the file, and in TMPDIR or /var/tmp.

Examples:
  luat-kv compact
  luat-kv sweep && luat-kv compact

With --json: {\"before\":40960,\"after\":28672}, in bytes")]
    Compact,

    /// Print the completions of a shell
    #[command(after_help = "\
Examples:
  mkdir -p ~/.local/share/bash-completion/completions ~/.zfunc ~/.config/fish/completions
  luat-kv completions bash >~/.local/share/bash-completion/completions/luat-kv
  luat-kv completions zsh >~/.zfunc/_luat-kv        # with `fpath+=~/.zfunc` before compinit in ~/.zshrc
  luat-kv completions fish >~/.config/fish/completions/luat-kv.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },

    Man(crate::man::Man),
}

/// Print the value of a key, byte for byte
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n blog get post:1
  luat-kv -n blog get logo.png >logo.png
  luat-kv -n blog get post:1 --metadata

Status 1 if the key is missing. On a terminal a line break is added if the
value ends without one, and characters that could control the terminal (control
characters except tabs and line breaks, and those that change the direction of
text) are shown as \\u{1b}, unless --raw is given.

With --json: {\"key\":\"post:1\",\"value\":\"Hello\",\"expiration\":1767225600,
\"metadata\":{\"author\":\"alice\"},\"version\":\"…\"}; fields that are not set are absent.
A value that is not UTF-8 is base64, and marked with \"base64\":true.")]
pub struct Get {
    /// The key
    pub key: String,
    /// Show length, expiration, metadata and version instead of the value
    #[arg(long)]
    pub metadata: bool,
    /// Print the unchanged bytes on a terminal too
    #[arg(long, conflicts_with = "metadata")]
    pub raw: bool,
}

/// Store a value, replacing all that the key held: value, metadata and expiration
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n blog put post:1 'Hello' --metadata '{\"author\":\"alice\"}'
  luat-kv -n blog put logo.png --file logo.png
  date | luat-kv -n blog put today --ttl 24h
  luat-kv -n blog put dash --value -
  luat-kv -n jobs put lock \"$$\" --if-missing --ttl 10m && run-the-job

With --json: {\"stored\":true,\"version\":\"…\"}; {\"stored\":false}, with status 1,
if --if-missing found a key")]
pub struct Put {
    /// The key
    pub key: String,
    /// The value; - or none is stdin
    #[arg(allow_negative_numbers = true)]
    pub value: Option<OsString>,
    /// The value, also - or one that begins with a dash
    #[arg(long = "value", value_name = "TEXT", allow_hyphen_values = true, conflicts_with_all = ["value", "file"])]
    pub literal: Option<OsString>,
    /// Read the value from this file
    #[arg(short, long, value_name = "PATH", conflicts_with = "value")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub expires: Expires,
    /// Metadata for the entry: any JSON except null
    #[arg(long, value_name = "JSON", allow_negative_numbers = true)]
    pub metadata: Option<String>,
    /// Store it only if the key is missing; status 1 if it exists
    #[arg(long)]
    pub if_missing: bool,
}

/// Add to an integer, and print the sum
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n blog incr visits
  luat-kv -n blog incr stock -3
  luat-kv -n blog incr requests --ttl 1m

A missing key starts at --initial, with the given expiration; an existing key
keeps its expiration and metadata. Status 3 if its value is not an integer.

With --json: {\"value\":42}")]
pub struct Incr {
    /// The key
    pub key: String,
    /// How much to add
    #[arg(allow_negative_numbers = true, default_value_t = 1, value_parser = whole::<i64>)]
    pub by: i64,
    /// The value that a missing key starts from
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, default_value_t = 0, value_parser = whole::<i64>)]
    pub initial: i64,
    #[command(flatten)]
    pub expires: Expires,
}

/// Set another expiration for a key, or none without options
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n blog touch session:1 --ttl 30m
  luat-kv -n blog touch post:1

Value and metadata stay. Status 1 if the key is missing.

With --json: {\"touched\":true}; false, with status 1, if the key is missing")]
pub struct Touch {
    /// The key
    pub key: String,
    #[command(flatten)]
    pub expires: Expires,
}

/// Remove a key, and print the value that it held
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n jobs take job:1
  luat-kv -n jobs take job:1 --json | jq .metadata

If several commands take the same key, one of them gets the value. Status 1 if
the key is missing. A value that cannot be printed is put back.

With --json: as from `get`")]
pub struct Take {
    /// The key
    pub key: String,
    /// Print the unchanged bytes on a terminal too
    #[arg(long)]
    pub raw: bool,
}

/// When an entry expires.
#[derive(Args, Debug)]
pub struct Expires {
    /// Lifetime in seconds, or as 90s, 15m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = lifetime, allow_negative_numbers = true)]
    pub ttl: Option<i64>,
    /// Time of expiration in Unix seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "ttl", allow_negative_numbers = true, value_parser = whole::<i64>)]
    pub expiration: Option<i64>,
}

/// Remove keys, all of them or none; a missing key is not an error
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n blog delete post:1
  luat-kv -n blog delete post:1 post:2 post:3
  luat-kv -n blog delete --prefix draft:

More keys come from a file or a pipe: luat-kv bulk delete --help

With --prefix it asks first on a terminal, unless --yes is given, and works in
small steps, between which others can write. All keys: luat-kv clear --help

With --json: {\"keys\":3}, how many were named, or with --prefix {\"removed\":3}")]
pub struct Delete {
    /// The keys
    #[arg(required_unless_present = "prefix", value_name = "KEY", conflicts_with = "prefix")]
    pub keys: Vec<String>,
    /// All keys that begin with this
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
}

/// List the keys, in byte order
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n blog list --prefix post: --limit 10
  luat-kv -n blog list --start 2024-01 --stop 2024-07 --reverse
  luat-kv -n blog list --prefix draft: --json | luat-kv -n blog bulk delete
  luat-kv -n blog list --values --json | jq -r .value

On a terminal: a table of keys, expirations and metadata.
In a pipe: one key on each line; with --long followed by the expiration in Unix
seconds and the metadata, separated by tabs, each possibly empty; with --values by
the value. Control characters are shown as \\n, \\t, \\u{1b}; only --json
distinguishes them from keys that contain these texts.

With --json, one line each, as from `get`; the value only with --values.")]
pub struct List {
    /// Only keys that begin with this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// Only this key and those after it
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    pub start: String,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    pub stop: Option<String>,
    /// From the last key to the first
    #[arg(short, long)]
    pub reverse: bool,
    /// Stop after this many
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    pub limit: Option<u64>,
    /// With the values
    #[arg(long)]
    pub values: bool,
    /// With expirations and metadata, which a terminal always shows
    #[arg(short, long)]
    pub long: bool,
}

#[derive(Debug, Subcommand)]
pub enum Bulk {
    /// Print the values of many keys, in byte order, as of one moment
    #[command(after_help = "\
Examples:
  luat-kv -n blog bulk get post:1 post:2
  luat-kv -n blog bulk get post:1 post:2 --json | jq -r .value

In a pipe: a line each, a key, a tab and the value, with control characters
shown as by `list`. Status 1 if a key is missing; those that are there are printed.

With --json, one line each: as from `get`")]
    Get {
        /// The keys
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },

    /// Store many entries, all of them or none, replacing existing ones
    #[command(after_help = "\
Examples:
  luat-kv -n blog bulk put posts.json
  echo '[{\"key\":\"a\",\"value\":\"1\",\"expiration_ttl\":3600}]' | luat-kv -n blog bulk put

Takes Wrangler's bulk files, and JSON Lines of the same objects: key, value, and
as needed expiration, expiration_ttl, metadata, base64. An error names its line,
and nothing is stored.

With --json: {\"stored\":40,\"skipped\":2}; what has expired is skipped")]
    Put {
        /// The input file; - or none is stdin
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },

    /// Remove many keys, all of them or none; missing keys are not an error
    #[command(after_help = "\
Examples:
  luat-kv -n blog bulk delete keys.json
  luat-kv -n blog list --prefix draft: --json | luat-kv -n blog bulk delete
  echo '[\"post:1\", \"post:2\"]' | luat-kv -n blog bulk delete

Takes a JSON array of keys, as Wrangler does, or what `list --json` prints: an
object a line, with a `key` or `name`. Plain lines are refused, since a key may
itself look like JSON.

With --json: {\"keys\":2}, how many were named")]
    Delete {
        /// The input file; - or none is stdin
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
}

// How an export is laid out: one array, or JSON Lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    Json,
    Jsonl,
}
