//! What the user's keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::Window;
use super::layout;
use super::state::{Effect, Mode, Reason, State};
use super::store::{Request, Spot};

impl State {
    pub fn key(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return self.effects.push(Effect::Quit),
            KeyCode::Char('z') if is_control => return self.effects.push(Effect::Suspend),
            _ => {}
        }
        // Ctrl-D is no d, which could discard a text.
        let is_other = is_control || key.modifiers.contains(KeyModifiers::ALT);
        if is_other && matches!(key.code, KeyCode::Char(_)) && !matches!(self.mode, Mode::Filter) {
            return;
        }
        if layout::is_too_small(self.size) {
            // Nothing is decided by somebody who does not see it. A text that is not stored stays.
            if key.code == KeyCode::Char('q') && !matches!(self.mode, Mode::Unsaved(..)) {
                self.effects.push(Effect::Quit);
            }
            return;
        }
        if !matches!(self.mode, Mode::Unsaved(..)) {
            self.note.clear();
        }
        match &self.mode {
            Mode::Help | Mode::Told(_) => self.mode = Mode::List,
            Mode::Delete(..) => self.answer(key.code),
            Mode::Unsaved(..) => self.decide(key.code),
            Mode::Filter => self.type_prefix(key.code, is_control),
            Mode::List if self.keys.is_none() => self.choose_namespace(key.code),
            Mode::List => self.move_in_list(key.code),
            Mode::Value => self.scroll_value(key.code),
        }
        self.arrange();
    }

    /// Text from the clipboard is taken only where one types.
    pub fn paste(&mut self, text: &str) {
        if let (Mode::Filter, Some(window)) = (&self.mode, &self.keys) {
            let prefix = window.range.prefix.clone() + text.trim_end_matches(['\r', '\n']);
            self.filter(prefix);
            self.arrange();
        }
    }

    /// How far a key moves. Every list and the value have the same keys.
    fn distance(code: KeyCode, page: usize) -> Option<isize> {
        let page = page.saturating_sub(1).max(1).cast_signed();
        Some(match code {
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::PageUp => -page,
            KeyCode::PageDown | KeyCode::Char(' ') => page,
            KeyCode::Home | KeyCode::Char('g') => isize::MIN,
            KeyCode::End | KeyCode::Char('G') => isize::MAX,
            _ => return None,
        })
    }

    fn choose_namespace(&mut self, code: KeyCode) {
        if let Some(by) = Self::distance(code, layout::list_height(self.size)) {
            // `arrange` keeps it in the list.
            self.namespaces.selected = self.namespaces.selected.saturating_add_signed(by);
            return;
        }
        match code {
            KeyCode::Enter | KeyCode::Right | KeyCode::Tab => {
                let names = self.namespaces.names.as_ref();
                if let Some(name) = names.and_then(|names| names.get(self.namespaces.selected).cloned()) {
                    self.open(&name);
                }
            }
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('q') => self.effects.push(Effect::Quit),
            _ => {}
        }
    }

    fn move_in_list(&mut self, code: KeyCode) {
        let height = layout::list_height(self.size);
        match (&mut self.keys, Self::distance(code, height)) {
            (Some(window), Some(by)) => {
                let request = move_by(window, by, height);
                self.ask(request);
            }
            _ => self.command(code),
        }
    }

    fn scroll_value(&mut self, code: KeyCode) {
        match Self::distance(code, layout::value_height(self.size)) {
            Some(by) => self.value.top = self.value.top.saturating_add_signed(by),
            None => self.command(code),
        }
    }

    fn command(&mut self, code: KeyCode) {
        let is_value = matches!(self.mode, Mode::Value);
        match code {
            KeyCode::Char('q') => self.effects.push(Effect::Quit),
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('v') => self.value.view = self.value.view.next(),
            KeyCode::Char('e') => self.prepare(true),
            KeyCode::Char('d') | KeyCode::Delete => self.prepare(false),
            KeyCode::Tab | KeyCode::Enter | KeyCode::Right if !is_value => self.mode = Mode::Value,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Esc if is_value => self.mode = Mode::List,
            KeyCode::Esc | KeyCode::Left
                if self.keys.as_ref().is_some_and(|window| !window.range.prefix.is_empty()) =>
            {
                self.filter(String::new());
            }
            KeyCode::Esc | KeyCode::Left => self.close(),
            _ => {}
        }
    }

    fn type_prefix(&mut self, code: KeyCode, is_control: bool) {
        let height = layout::list_height(self.size);
        let Some(window) = &mut self.keys else { return };
        let mut prefix = window.range.prefix.clone();
        match code {
            KeyCode::Enter | KeyCode::Tab => return self.mode = Mode::List,
            KeyCode::Esc => {
                self.mode = Mode::List;
                prefix.clear();
            }
            KeyCode::Backspace => drop(prefix.pop()),
            KeyCode::Char('u') if is_control => prefix.clear(),
            KeyCode::Char(c) if !is_control => prefix.push(c),
            KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown => {
                let request = Self::distance(code, height).and_then(|by| move_by(window, by, height));
                return self.ask(request);
            }
            _ => return,
        }
        if prefix != window.range.prefix {
            self.filter(prefix);
        }
    }

    /// Answers whether to remove the entry.
    fn answer(&mut self, code: KeyCode) {
        let answer = match code {
            KeyCode::Char('y' | 'Y') => true,
            KeyCode::Char('n' | 'N') | KeyCode::Esc | KeyCode::Enter => false,
            _ => return,
        };
        let Mode::Delete(name, version) = std::mem::replace(&mut self.mode, Mode::List) else { return };
        if answer {
            self.note = "removing …".into();
            self.effects.push(Effect::Ask(Request::Delete(name, version)));
        } else {
            self.note = "nothing was removed".into();
        }
    }

    /// Decides what becomes of an edited text.
    fn decide(&mut self, code: KeyCode) {
        let Mode::Unsaved(_, reason) = &self.mode else { return };
        match (code, reason) {
            (_, Reason::Storing) => {}
            (KeyCode::Char('o'), Reason::Conflict(_)) => self.overwrite(),
            (KeyCode::Char('r'), Reason::Trouble(..)) => self.save(),
            (KeyCode::Char('e'), _) => {
                let draft = self.take_draft();
                self.effects.extend(draft.map(Effect::Edit));
            }
            (KeyCode::Char('k') | KeyCode::Esc, _) => self.effects.push(Effect::Keep),
            (KeyCode::Char('d'), _) => {
                drop(self.take_draft());
                self.note = "the text was discarded: nothing was stored".into();
            }
            _ => {}
        }
    }
}

fn move_by(window: &mut Window, by: isize, height: usize) -> Option<Request> {
    match by {
        isize::MIN if window.before => window.ask(Spot::First),
        isize::MAX if window.after => window.ask(Spot::Last),
        by => window.step(by, height),
    }
}
