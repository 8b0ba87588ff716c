//! Commands that remove keys.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::AtomicU64;

use luat_kv::Namespace;

use crate::args;
use crate::fail::Fail;
use crate::output::{Output, Style};
use crate::place::{Access, Place};
use crate::progress;
use crate::text::quoted;

pub fn delete(place: &Place, args: &args::Delete, out: &mut Output) -> Result<(), Fail> {
    match args.prefix.as_deref() {
        None => delete_all(&place.namespace(Access::Change)?, &args.keys, &AtomicU64::new(0), out),
        // A variable in a script may be unset.
        Some("") => Err(Fail::Usage("the prefix is empty; to remove all keys: luat-kv clear".into())),
        Some(prefix) => remove(place, prefix, args.yes, out),
    }
}

pub fn clear(place: &Place, yes: bool, out: &mut Output) -> Result<(), Fail> {
    remove(place, "", yes, out)
}

/// Removes all of the keys, or none. `progress` counts them.
pub fn delete_all(namespace: &Namespace, keys: &[String], progress: &AtomicU64, out: &mut Output) -> Result<(), Fail> {
    let mut batch = namespace.store().batch();
    for key in keys {
        batch.delete(namespace, key)?;
    }
    batch.commit_with(progress)?;
    if out.style == Style::Json {
        out.facts(&[("keys", keys.len().into())])?;
    }
    Ok(())
}

fn remove(place: &Place, prefix: &str, yes: bool, out: &mut Output) -> Result<(), Fail> {
    let namespace = place.namespace(Access::Change)?;
    if !yes && io::stdin().is_terminal() && io::stderr().is_terminal() {
        confirm(&namespace, prefix)?;
    }
    let removed = progress::during(progress::entries("removing", || namespace.count(prefix))?, |bar| match prefix {
        "" => namespace.clear_with(&mut |count| bar.set_position(count)),
        prefix => namespace.delete_prefix_with(prefix, &mut |count| bar.set_position(count)),
    })?;
    out.facts(&[("removed", removed.into())])?;
    Ok(())
}

/// Asks for confirmation on a terminal. A script cannot answer, so it is not asked.
fn confirm(namespace: &Namespace, prefix: &str) -> Result<(), Fail> {
    let count = namespace.count(prefix)?;
    let which = if prefix.is_empty() { String::new() } else { format!(" that begin with {}", quoted(prefix)) };
    let question = format!("Remove {count} keys{which} from namespace {}? [y/N] ", quoted(namespace.name()));
    let mut answer = String::new();
    io::stderr().write_all(question.as_bytes()).map_err(|why| Fail::Failed(format!("asking: {why}")))?;
    io::stdin().read_line(&mut answer).map_err(|why| Fail::Failed(format!("reading the answer: {why}")))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Fail::No("nothing was removed".into())),
    }
}
