//! The keys in view, and some before and after them: never all keys of a namespace.

use luat_kv::Entry;

use super::store::{Keys, PAGE, Range, Request, Spot};

/// How near to the end of what is loaded more is asked for.
const NEAR: usize = PAGE / 2;

pub struct Window {
    pub range: Range,
    pub entries: Vec<Entry>,
    /// Whether there are keys before and after these.
    pub before: bool,
    pub after: bool,
    /// The index of the selected key; 0 if there is none.
    pub selected: usize,
    /// The index of the first key on the screen.
    pub top: usize,
    /// Whether the keys were read.
    pub is_loaded: bool,
    is_asked: bool,
    /// What to ask for after the next answer.
    next: Option<Next>,
}

enum Next {
    /// What is selected then, and the keys around it.
    Refresh,
    Jump(Spot),
}

impl Window {
    pub fn new(namespace: &str) -> Self {
        let range = Range { namespace: namespace.to_owned(), prefix: String::new() };
        Window {
            range,
            entries: Vec::new(),
            before: false,
            after: false,
            selected: 0,
            top: 0,
            is_loaded: false,
            is_asked: false,
            next: None,
        }
    }

    pub fn selected(&self) -> Option<&Entry> {
        self.entries.get(self.selected)
    }

    /// Jumps to keys. There is one question at a time, so that a slow store does not answer old ones first.
    #[must_use]
    pub fn ask(&mut self, spot: Spot) -> Option<Request> {
        if self.is_asked {
            self.next = Some(Next::Jump(spot));
            return None;
        }
        self.is_asked = true;
        Some(Request::List(self.range.clone(), spot))
    }

    /// Asks for the same keys again.
    #[must_use]
    pub fn refresh(&mut self) -> Option<Request> {
        if self.is_asked {
            self.next.get_or_insert(Next::Refresh);
            return None;
        }
        let spot = self.around();
        self.ask(spot)
    }

    fn around(&self) -> Spot {
        self.selected().map_or(Spot::First, |entry| Spot::Around(entry.key.clone()))
    }

    /// Shows the keys that begin with another prefix.
    #[must_use]
    pub fn filter(&mut self, prefix: String) -> Option<Request> {
        self.range.prefix = prefix;
        (self.selected, self.top, self.is_loaded) = (0, 0, false);
        self.entries.clear();
        self.next = None;
        self.ask(Spot::First)
    }

    /// Takes an answer. `height` is the number of keys on the screen.
    #[must_use]
    pub fn receive(&mut self, range: &Range, spot: &Spot, keys: Keys, height: usize) -> Option<Request> {
        self.is_asked = false;
        if *range == self.range {
            if !self.replace(spot, keys) {
                self.next.get_or_insert(Next::Refresh);
            }
            self.scroll(height);
        }
        match self.next.take()? {
            Next::Refresh => self.refresh(),
            Next::Jump(spot) => self.ask(spot),
        }
    }

    /// After a failure the next question may be asked.
    pub fn fail(&mut self) {
        self.is_asked = false;
    }

    /// Replaces the keys. The selected one stays, or that which follows it. Returns `false` if that is not among these.
    fn replace(&mut self, spot: &Spot, keys: Keys) -> bool {
        // The selected key stays where it is on the screen; at the beginning of the list, new keys are seen before it.
        let is_at_top = self.top == 0 && !self.before;
        let offset = if is_at_top { usize::MAX } else { self.selected - self.top.min(self.selected) };
        let selected = match (spot, self.selected()) {
            (Spot::First, _) | (_, None) => 0,
            (Spot::Last, _) => keys.entries.len().saturating_sub(1),
            (Spot::Around(_), Some(entry)) => {
                let at = keys.entries.partition_point(|other| other.key < entry.key);
                if (at == keys.entries.len() && keys.after) || (at == 0 && keys.before) {
                    return false;
                }
                at.min(keys.entries.len().saturating_sub(1))
            }
        };
        let Keys { entries, before, after } = keys;
        (self.entries, self.before, self.after) = (entries, before, after);
        (self.selected, self.top, self.is_loaded) = (selected, selected.saturating_sub(offset), true);
        true
    }

    /// Moves the selection, and asks for more keys near the end of those that are loaded.
    #[must_use]
    pub fn step(&mut self, by: isize, height: usize) -> Option<Request> {
        self.selected = self.selected.saturating_add_signed(by).min(self.entries.len().saturating_sub(1));
        self.scroll(height);
        let is_near =
            (self.before && self.selected < NEAR) || (self.after && self.selected + NEAR >= self.entries.len());
        if is_near { self.refresh() } else { None }
    }

    /// Removes what has expired.
    pub fn expire(&mut self, now: i64, height: usize) {
        let is_live = |entry: &Entry| entry.expiration.is_none_or(|end| end > now);
        if self.entries.iter().all(is_live) {
            return;
        }
        self.selected = self.entries[..self.selected].iter().filter(|entry| is_live(entry)).count();
        self.entries.retain(is_live);
        self.selected = self.selected.min(self.entries.len().saturating_sub(1));
        self.scroll(height);
    }

    /// Keeps the selected key on the screen.
    pub fn scroll(&mut self, height: usize) {
        let height = height.max(1);
        self.top = self.top.min(self.entries.len().saturating_sub(height)).min(self.selected);
        self.top = self.top.max((self.selected + 1).saturating_sub(height));
    }
}

#[cfg(test)]
mod tests {
    use luat_kv::{ListOptions, OpenOptions, Store};

    use super::*;

    const HEIGHT: usize = 10;

    /// What a store with these keys answers.
    fn found(keys: &[&str]) -> Keys {
        let store = Store::open_memory(&OpenOptions::new()).unwrap();
        let namespace = store.namespace("n").unwrap();
        for key in keys {
            namespace.put(key, "").unwrap();
        }
        Keys { entries: namespace.list(&ListOptions::new()).unwrap().entries, before: false, after: false }
    }

    fn receive(window: &mut Window, spot: Spot, keys: Keys) -> Option<Request> {
        window.receive(&window.range.clone(), &spot, keys, HEIGHT)
    }

    fn selected(window: &Window) -> &str {
        &window.selected().unwrap().key
    }

    #[test]
    fn a_change_before_the_first_answer_does_not_move_the_selection() {
        let mut window = Window::new("n");
        assert!(window.ask(Spot::First).is_some());
        assert!(window.refresh().is_none());
        let again = receive(&mut window, Spot::First, found(&["a", "b", "c"]));
        assert!(matches!(again, Some(Request::List(_, Spot::Around(key))) if key == "a"));
        assert!(window.step(2, HEIGHT).is_none());
        assert!(receive(&mut window, Spot::Around("a".into()), found(&["0", "a", "b", "c"])).is_none());
        assert_eq!(selected(&window), "c");
    }

    #[test]
    fn the_selected_key_stays_or_the_next_one_is_selected() {
        let mut window = Window::new("n");
        let _ = window.ask(Spot::First);
        let _ = receive(&mut window, Spot::First, found(&["a", "b", "c"]));
        let _ = window.step(1, HEIGHT);
        for (keys, expected) in [(&["a", "aa", "b"][..], "b"), (&["a", "c"], "c"), (&["a"], "a")] {
            let request = window.refresh();
            assert!(matches!(request, Some(Request::List(_, Spot::Around(_)))));
            let _ = receive(&mut window, Spot::Around("b".into()), found(keys));
            assert_eq!(selected(&window), expected);
        }
    }

    #[test]
    fn an_answer_that_lies_elsewhere_is_asked_again() {
        let mut window = Window::new("n");
        let _ = window.ask(Spot::First);
        let _ = receive(&mut window, Spot::First, found(&["a", "z"]));
        let _ = window.refresh();
        let _ = window.step(1, HEIGHT);
        let again = receive(&mut window, Spot::Around("a".into()), Keys { after: true, ..found(&["a", "b"]) });
        assert!(matches!(again, Some(Request::List(_, Spot::Around(key))) if key == "z"));
        assert_eq!(selected(&window), "z");
        // One of another prefix is none.
        let other = Range { prefix: "x".into(), ..window.range.clone() };
        assert!(window.receive(&other, &Spot::First, found(&["x"]), HEIGHT).is_none());
        assert_eq!(selected(&window), "z");
    }

    #[test]
    fn a_jump_is_not_lost_to_a_change() {
        let mut window = Window::new("n");
        let _ = window.ask(Spot::First);
        let _ = receive(&mut window, Spot::First, found(&["a", "b"]));
        let _ = window.refresh();
        assert!(window.ask(Spot::Last).is_none());
        assert!(window.refresh().is_none());
        let next = receive(&mut window, Spot::Around("a".into()), found(&["a", "b"]));
        assert!(matches!(next, Some(Request::List(_, Spot::Last))));
        let _ = receive(&mut window, Spot::Last, found(&["a", "b"]));
        assert_eq!(selected(&window), "b");
    }
}
