//! Which store and which namespace a command uses, and how the store is opened.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use luat_kv::{Error, Limits, Namespace, OpenOptions, Store};

use crate::fail::{Fail, told};
use crate::parse::seconds;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Place {
    /// The namespace to work in
    #[arg(short, long, global = true, value_name = "NAME", env = "LUAT_KV_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,

    /// The store, instead of the project's (that of LUAT_KV_DB, or of the nearest luat.toml): the path of a file, or a
    /// URL such as postgresql://user@host/database, best without a password, which other users could see here
    #[arg(long, global = true, value_name = "PATH|URL", value_hint = ValueHint::AnyPath)]
    db: Option<OsString>,

    /// Print JSON: one object, or one on each line
    #[arg(long, global = true)]
    pub json: bool,

    /// Limits for what is written or requested: wide, or those of Cloudflare Workers KV
    #[arg(long, global = true, value_enum, value_name = "SET", default_value_t = LimitSet::Default)]
    limits: LimitSet,

    /// How long to wait for other writers
    #[arg(long, global = true, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    busy_timeout: Duration,
}

// These have no doc comments, since those would expand the help.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LimitSet {
    Default,
    Cloudflare,
}

/// How a command accesses the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads, and creates nothing.
    Read,
    /// Changes an existing store. A mistyped path creates nothing.
    Change,
    /// Stores something, and creates the file if it is missing.
    Create,
}

impl Place {
    pub fn open(&self, access: Access) -> Result<Store, Fail> {
        match &self.db {
            Some(url) => self.open_at(url, access),
            None => opened(Store::open_project(None, &self.options(access)), access).map_err(also_served),
        }
    }

    /// The name of the namespace, if one was given.
    pub fn name(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Whether --db names a store.
    pub fn is_named(&self) -> bool {
        self.db.is_some()
    }

    /// Opens the store that a path or a URL names.
    pub fn open_at(&self, url: &OsStr, access: Access) -> Result<Store, Fail> {
        opened(Store::open_url(url, &self.options(access)), access)
    }

    /// Opens the namespace. Its name is checked first, so that a missing one creates and opens nothing.
    pub fn namespace(&self, access: Access) -> Result<Namespace, Fail> {
        let Some(name) = &self.namespace else {
            return Err(Fail::Usage(
                "no namespace: give --namespace NAME, or set LUAT_KV_NAMESPACE; `luat-kv namespaces` lists them".into(),
            ));
        };
        Ok(self.open(access)?.namespace(name)?)
    }

    fn options(&self, access: Access) -> OpenOptions {
        let limits = match self.limits {
            LimitSet::Default => Limits::Default,
            LimitSet::Cloudflare => Limits::Cloudflare,
        };
        let (readonly, create) = (access == Access::Read, access == Access::Create);
        OpenOptions::new().limits(limits).readonly(readonly).create(create).busy_timeout(self.busy_timeout)
    }
}

/// Adds to an error that the project has another store, which `luat serve` always keeps at this place.
fn also_served(fail: Fail) -> Fail {
    let is_named = std::env::var_os("LUAT_KV_DB").is_some_and(|url| !url.is_empty());
    let folder = std::env::current_dir().unwrap_or_default();
    // Not that of another project, which contains this one.
    let root = folder.ancestors().find(|folder| folder.join("luat.toml").exists()).unwrap_or(&folder);
    let served = root.join(".luat/kv/kv.db");
    match fail {
        Fail::Failed(why) if !is_named && why.contains(NO_STORE) && served.is_file() => {
            Fail::Failed(format!("{why}; `luat serve` keeps its store in {}", served.display()))
        }
        fail => fail,
    }
}

const NO_STORE: &str = "there is no store";

fn opened(opened: Result<Store, Error>, access: Access) -> Result<Store, Fail> {
    opened.map_err(|error| {
        if access != Access::Create && error.io_kind() == Some(ErrorKind::NotFound) {
            return Fail::Failed(format!(
                "{}; {NO_STORE}: is the path right? `luat-kv put` makes one, and --db names another",
                error.message()
            ));
        }
        Fail::Failed(told(&error))
    })
}
