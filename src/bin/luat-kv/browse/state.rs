//! What is shown, and what a key or an answer changes in it. It knows neither the terminal nor the store.

use std::sync::Arc;

use luat_kv::{Entry, Version};
use ratatui::layout::Size;

use super::edit::Draft;
use super::keys::Window;
use super::layout;
use super::store::{Answer, Deleted, Facts, Name, Range, Request, Saved, Spot, Trouble};
use super::value::{Shown, View, metadata, wrap};
use crate::text::{name, quoted};

/// What the program does next.
pub enum Effect {
    Ask(Request),
    /// Follow these keys, instead of others.
    Follow(Option<Range>),
    Edit(Draft),
    /// Leave the text that is not stored in a file.
    Keep,
    Suspend,
    Quit,
}

pub struct State {
    /// The path or the URL of the store.
    pub store: String,
    pub size: Size,
    /// Unix seconds.
    pub now: i64,
    pub namespaces: Namespaces,
    /// The keys of the namespace that is open.
    pub keys: Option<Window>,
    pub value: Value,
    pub mode: Mode,
    /// What the last command has done.
    pub note: String,
    /// Where texts were left that are not stored, for the end.
    pub kept: Vec<String>,
    pub troubles: Troubles,
    /// What the user wants to do with an entry, while the store is asked whether it can be done.
    prepared: Option<Name>,
    pub(super) effects: Vec<Effect>,
}

#[derive(Default)]
pub struct Namespaces {
    /// `None` until they are read.
    pub names: Option<Vec<String>>,
    pub selected: usize,
    pub top: usize,
    is_asked: bool,
}

/// The value of the selected key.
#[derive(Default)]
pub struct Value {
    /// The key that is shown, and its value; `None` if the key is missing.
    pub shown: Option<(String, Option<Shown>)>,
    pub view: View,
    /// What is scrolled: the metadata, the version and the value, on lines that fit.
    pub lines: Vec<String>,
    pub top: usize,
    /// What the lines were laid out for: a width, a view, and what comes before the value.
    shape: Option<(usize, View, Vec<String>)>,
    /// The entry that the value belongs to.
    wanted: Option<(Name, Version)>,
    is_asked: bool,
}

/// What keys mean.
pub enum Mode {
    /// They move in the list.
    List,
    /// They scroll the value.
    Value,
    /// They are the beginning of the keys in view.
    Filter,
    Help,
    /// They answer whether to remove an entry.
    Delete(Name, Version),
    /// They close this message.
    Told(String),
    /// They decide what becomes of an edited text.
    Unsaved(Box<Draft>, Reason),
}

/// Why an edited text is not stored.
pub enum Reason {
    /// The store has not answered yet.
    Storing,
    /// The store did not do it. It is tried again by itself at this time, if there is one.
    Trouble(String, Option<i64>),
    /// Another writer has changed the entry to this.
    Conflict(Facts),
}

/// What does not work at the moment.
#[derive(Default)]
pub struct Troubles {
    pub list: Option<String>,
    pub value: Option<String>,
    pub follow: Option<String>,
}

impl Troubles {
    pub fn first(&self) -> Option<&str> {
        [&self.list, &self.value, &self.follow].into_iter().find_map(Option::as_deref)
    }
}

impl State {
    pub fn new(store: String, namespace: Option<&str>, size: Size, now: i64) -> Self {
        let mut state = State {
            store,
            size,
            now,
            namespaces: Namespaces::default(),
            keys: None,
            value: Value::default(),
            mode: Mode::List,
            note: String::new(),
            kept: Vec::new(),
            troubles: Troubles::default(),
            prepared: None,
            effects: Vec::new(),
        };
        match namespace {
            Some(name) => state.open(name),
            None => state.ask_namespaces(),
        }
        state
    }

    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Whether the store may be storing a text.
    pub fn is_storing(&self) -> bool {
        matches!(self.mode, Mode::Unsaved(_, Reason::Storing))
    }

    /// A text that would be lost with the program.
    pub fn draft(&mut self) -> Option<&mut Draft> {
        match &mut self.mode {
            Mode::Unsaved(draft, _) => Some(draft),
            _ => None,
        }
    }

    /// The same, which is then no longer asked about.
    pub fn take_draft(&mut self) -> Option<Draft> {
        match std::mem::replace(&mut self.mode, Mode::List) {
            Mode::Unsaved(draft, _) => Some(*draft),
            _ => None,
        }
    }

    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.arrange();
    }

    /// The time has changed.
    pub fn tick(&mut self, now: i64) {
        self.now = now;
        let height = layout::list_height(self.size);
        if let Some(window) = &mut self.keys {
            window.expire(now, height);
            if self.troubles.list.is_some() {
                let request = window.refresh();
                self.ask(request);
            }
        } else {
            // A new namespace appears by itself.
            self.ask_namespaces();
        }
        if self.troubles.value.is_some() {
            self.value.wanted = None;
        }
        if let Mode::Unsaved(_, Reason::Trouble(_, Some(at))) = self.mode
            && at <= now
        {
            self.save();
        }
        self.arrange();
    }

    pub fn receive(&mut self, answer: Answer) {
        match answer {
            Answer::Namespaces(names) => self.receive_namespaces(names),
            Answer::List(range, spot, Ok(keys)) => {
                self.troubles.list = None;
                let height = layout::list_height(self.size);
                let next = self.keys.as_mut().and_then(|window| window.receive(&range, &spot, keys, height));
                self.ask(next);
            }
            Answer::List(_, _, Err(trouble)) => {
                self.keys.iter_mut().for_each(Window::fail);
                self.troubles.list = Some(trouble.message);
            }
            Answer::Read(name, value) => self.receive_value(name, value),
            Answer::Changed(range) => {
                self.troubles.follow = None;
                let window = self.keys.as_mut().filter(|window| window.range == range);
                let request = window.and_then(Window::refresh);
                self.ask(request);
            }
            Answer::Unfollowed(trouble) => self.troubles.follow = Some(trouble.message),
            Answer::Prepared { name, edits, found } => self.receive_prepared(name, edits, found),
            Answer::Saved(saved) => self.receive_saved(saved),
            Answer::Deleted(name, deleted) => {
                let key = quoted(&name.key);
                self.note = match deleted {
                    Ok(Deleted::Done) => format!("removed: {key}"),
                    Ok(Deleted::Missing) => format!("gone already: {key}"),
                    Ok(Deleted::Changed) => format!("not removed, since it has changed meanwhile: {key}"),
                    Err(trouble) => format!("not removed: {}", trouble.message),
                };
                self.refresh();
            }
        }
        self.arrange();
    }

    fn receive_namespaces(&mut self, names: Result<Vec<String>, Trouble>) {
        self.namespaces.is_asked = false;
        match names {
            Ok(names) => {
                let old = self.namespaces.names.take().unwrap_or_default();
                let selected = old.get(self.namespaces.selected).map_or("", String::as_str);
                self.namespaces.selected = names.partition_point(|name| name.as_str() < selected);
                self.namespaces.names = Some(names);
                self.troubles.list = None;
            }
            Err(trouble) => self.troubles.list = Some(trouble.message),
        }
    }

    fn receive_value(&mut self, name: Name, value: Result<Option<Shown>, Trouble>) {
        self.value.is_asked = false;
        match value {
            Ok(value) => {
                self.troubles.value = None;
                if self.selected_name().as_ref() != Some(&name) {
                    return; // the user has gone on, perhaps to the same key of another namespace
                }
                if self.value.shown.as_ref().is_none_or(|(key, _)| *key != name.key) {
                    self.value.top = 0;
                }
                self.value.shown = Some((name.key, value));
                self.value.lines.clear();
            }
            Err(trouble) => self.troubles.value = Some(trouble.message),
        }
    }

    fn receive_prepared(&mut self, name: Name, edits: bool, found: Result<Option<Entry>, Trouble>) {
        if self.prepared.take().as_ref() != Some(&name) || !matches!(self.mode, Mode::List | Mode::Value) {
            return;
        }
        self.note.clear();
        let Some(version) = self.selected().filter(|entry| entry.key == name.key).map(|entry| entry.version) else {
            return; // the user has gone on
        };
        let what = if edits { "edited" } else { "removed" };
        match found {
            Err(trouble) => self.note = format!("it cannot be {what}: {}", trouble.message),
            Ok(_) if !edits => self.mode = Mode::Delete(name, version),
            Ok(None) => self.note = format!("gone already: {}", quoted(&name.key)),
            Ok(Some(entry)) if str::from_utf8(entry.value()).is_err() => {
                self.note = "not UTF-8: an editor could damage it; use the commands get and put".into();
            }
            Ok(Some(entry)) => self.effects.push(Effect::Edit(Draft::new(name, entry))),
        }
    }

    /// The editor has ended.
    pub fn edited(&mut self, mut draft: Draft, result: Result<(), String>) {
        match result {
            Err(mut why) => {
                let copies = draft.keep_copies();
                if let Some(folder) = &copies {
                    why += &format!("; what it left is in {}", name(folder));
                    self.kept.push(why.clone());
                }
                if draft.is_changed() {
                    self.mode = Mode::Unsaved(Box::new(draft), Reason::Trouble(why, None));
                } else if copies.is_some() {
                    self.mode = Mode::Told(format!("Nothing was stored: {why}"));
                } else {
                    self.note = format!("nothing was stored: {why}");
                }
            }
            Ok(()) if !draft.is_changed() => self.note = "the text has not changed: nothing was stored".into(),
            Ok(()) => {
                self.mode = Mode::Unsaved(Box::new(draft), Reason::Storing);
                self.save();
            }
        }
        self.arrange();
    }

    /// The text was left in a file.
    pub fn has_kept(&mut self, what: String) {
        self.kept.push(what.clone());
        self.mode = Mode::Told(what);
    }

    /// The text could not be left in a file, so it stays here.
    pub fn has_not_kept(&mut self, why: String) {
        match &mut self.mode {
            Mode::Unsaved(_, reason) if !matches!(reason, Reason::Storing) => *reason = Reason::Trouble(why, None),
            _ => self.note = why,
        }
    }

    /// Tries to store the text.
    pub(super) fn save(&mut self) {
        let Mode::Unsaved(draft, reason) = &mut self.mode else { return };
        *reason = Reason::Storing;
        let (name, text, facts) = (draft.name.clone(), Arc::clone(&draft.text), draft.facts.clone());
        self.effects.push(Effect::Ask(Request::Save { name, text, facts }));
    }

    /// Stores the text in place of what another writer has stored.
    pub(super) fn overwrite(&mut self) {
        let now = self.now;
        let Mode::Unsaved(draft, Reason::Conflict(found)) = &mut self.mode else { return };
        draft.take_over(found, now);
        self.save();
    }

    fn receive_saved(&mut self, saved: Result<Saved, Trouble>) {
        let now = self.now;
        let Mode::Unsaved(draft, reason) = &mut self.mode else { return };
        match saved {
            Ok(Saved::Done) => {
                self.note = format!("stored: {}", quoted(&draft.name.key));
                self.mode = Mode::List;
                self.refresh();
            }
            Ok(Saved::Conflict(found)) => {
                *reason = Reason::Conflict(found);
                self.refresh();
            }
            Err(trouble) => *reason = Reason::Trouble(trouble.message, trouble.passes.then_some(now + 2)),
        }
    }

    /// A message of the store without its name, which stands above.
    pub fn short(&self, message: &str) -> String {
        message.replacen(&format!(": {}: ", self.store), ": ", 1)
    }

    pub fn selected(&self) -> Option<&Entry> {
        self.keys.as_ref()?.selected()
    }

    fn selected_name(&self) -> Option<Name> {
        let namespace = self.keys.as_ref()?.range.namespace.clone();
        Some(Name { namespace, key: self.selected()?.key.clone() })
    }

    pub(super) fn ask(&mut self, request: Option<Request>) {
        self.effects.extend(request.map(Effect::Ask));
    }

    fn ask_namespaces(&mut self) {
        if !std::mem::replace(&mut self.namespaces.is_asked, true) {
            self.effects.push(Effect::Ask(Request::Namespaces));
        }
    }

    /// Opens a namespace.
    pub(super) fn open(&mut self, namespace: &str) {
        let mut window = Window::new(namespace);
        let request = window.ask(Spot::First);
        self.effects.push(Effect::Follow(Some(window.range.clone())));
        self.keys = Some(window);
        self.ask(request);
    }

    /// Closes the namespace, and shows their names.
    pub(super) fn close(&mut self) {
        let name = self.keys.take().map(|window| window.range.namespace);
        (self.troubles, self.prepared) = (Troubles::default(), None);
        self.effects.push(Effect::Follow(None));
        if let Some(names) = &self.namespaces.names {
            let at = names.iter().position(|known| Some(known) == name.as_ref());
            self.namespaces.selected = at.unwrap_or(0);
        }
        self.ask_namespaces();
    }

    pub(super) fn filter(&mut self, prefix: String) {
        let Some(window) = &mut self.keys else { return };
        let request = window.filter(prefix);
        self.effects.push(Effect::Follow(Some(window.range.clone())));
        self.ask(request);
    }

    /// Reads what is on the screen again.
    pub(super) fn refresh(&mut self) {
        let request = self.keys.as_mut().and_then(Window::refresh);
        self.ask(request);
    }

    /// Begins to edit or to remove the selected entry.
    pub(super) fn prepare(&mut self, edits: bool) {
        let Some(name) = self.selected_name() else { return };
        self.note = "asking the store …".into();
        self.prepared = Some(name.clone());
        self.effects.push(Effect::Ask(Request::Prepare { name, edits }));
    }

    /// Makes the rest fit to what has changed: asks for the value of the selected key, lays it out, and keeps what is
    /// selected on the screen.
    pub(super) fn arrange(&mut self) {
        let height = layout::list_height(self.size);
        self.keys.iter_mut().for_each(|window| window.scroll(height));
        let namespaces = &mut self.namespaces;
        let last = namespaces.names.as_ref().map_or(0, Vec::len).saturating_sub(1);
        namespaces.selected = namespaces.selected.min(last);
        namespaces.top = namespaces.top.min(namespaces.selected).max((namespaces.selected + 1).saturating_sub(height));
        self.ask_value();
        self.lay_out();
        self.value.top = self.value.top.min(self.value.lines.len().saturating_sub(layout::value_height(self.size)));
    }

    fn ask_value(&mut self) {
        let wanted = self.selected_name().zip(self.selected().map(|entry| entry.version));
        let Some((name, version)) = wanted else {
            (self.value.shown, self.value.wanted) = (None, None);
            return;
        };
        let is_known = self.value.wanted.as_ref() == Some(&(name.clone(), version));
        if !self.value.is_asked && !is_known {
            self.value.is_asked = true;
            self.value.wanted = Some((name.clone(), version));
            self.effects.push(Effect::Ask(Request::Read(name)));
        }
    }

    /// Lays out what is scrolled.
    fn lay_out(&mut self) {
        let width = layout::value_width(self.size);
        let Some(entry) = self.selected() else {
            self.value.lines.clear();
            return;
        };
        let mut facts = vec![format!("version   {}", entry.version)];
        if let Some(json) = &entry.metadata {
            facts.extend(wrap(&format!("metadata  {}", metadata(json)), width));
        }
        facts.push(String::new());
        let is_shown = self.value.shown.as_ref().is_some_and(|(key, _)| *key == entry.key);
        let shape = (width, self.value.view, facts);
        if is_shown && self.value.shape.as_ref() == Some(&shape) && !self.value.lines.is_empty() {
            return;
        }
        self.value.lines = shape.2.clone();
        match &self.value.shown {
            Some((_, Some(shown))) if is_shown => self.value.lines.extend(shown.lines(self.value.view, width)),
            Some((_, None)) if is_shown => self.value.lines.push("(the key is gone)".into()),
            _ => self.value.lines.push("(reading …)".into()),
        }
        self.value.shape = Some(shape);
    }
}
