//! The questions and the help, as titles and lines.

use super::layout::SMALLEST;
use super::state::{Mode, Reason, State};
use super::store::Facts;
use super::value::{placed, wrap};
use crate::text::quoted;

const HELP: &str = "\
↑ ↓  k j          one key up, one down
PgUp PgDn Space   a page
Home End  g G     the first key, the last
/                 only keys that begin with what you type
Enter Tab →       into the value, to scroll it; Esc Tab ← back
v                 the value as text, as JSON, as hex, or by itself
e                 edit the value, in $VISUAL, $EDITOR or vi
d Del             remove the key
Esc ←             one step back: to all keys, then to the namespaces
Ctrl-Z            stop for a while; fg goes on
q Ctrl-C          quit

Changes of other programs appear by themselves; expired keys vanish.
An edited entry keeps its metadata and its expiration.";

pub fn of(state: &State) -> Option<(String, Vec<String>)> {
    let lines = |text: &str| wrap(&placed(text), usize::from(SMALLEST.width) - 10);
    Some(match &state.mode {
        Mode::Help => ("luat-kv browse".to_owned(), lines(HELP)),
        Mode::Told(what) => ("Not stored".to_owned(), lines(what)),
        Mode::Delete(name, _) => ("Remove".to_owned(), lines(&format!("Remove {}?  y / n", quoted(&name.key)))),
        Mode::Unsaved(draft, reason) => {
            let key = quoted(&draft.name.key);
            let (title, text) = unsaved(&key, reason, draft.facts.expiration, state.now);
            (title.to_owned(), lines(&state.short(&text)))
        }
        Mode::List | Mode::Value | Mode::Filter => return None,
    })
}

/// Why an edited text is not stored, and what the user can do.
fn unsaved(key: &str, reason: &Reason, expiration: Option<i64>, now: i64) -> (&'static str, String) {
    const REST: &str = "e  edit your text again\nk  keep your text in a file\nd  discard your text";
    match reason {
        Reason::Storing => ("Storing", format!("Storing {key} …")),
        Reason::Trouble(why, at) => {
            let again = if at.is_some() { "\nIt is tried again until it works." } else { "" };
            ("Not stored", format!("{why}{again}\n\nr  try again now\n{REST}"))
        }
        Reason::Conflict(Facts { version: Some(_), .. }) => (
            "Changed meanwhile",
            format!(
                "Another program has stored {key} while you edited it.\n\no  overwrite that with your text\n{REST}"
            ),
        ),
        Reason::Conflict(_) => {
            let ends = match expiration {
                Some(end) if end <= now => ", without an expiration",
                _ => "",
            };
            (
                "Gone meanwhile",
                format!("{key} was removed, or has expired, while you edited it.\n\no  store your text{ends}\n{REST}"),
            )
        }
    }
}
