//! The command `browse`: a view of the store on the whole terminal.
//!
//! `state` is what is shown, which `input` and the answers of the store change: `keys` are those in view, and `value` is how
//! a value is displayed. `view` draws it, with the places of `layout` and the questions of `dialog`. `store` accesses the
//! store in threads, `edit` runs the editor, and `terminal` and `signals` put everything back at the end.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use clap::Args;
use luat_kv::Clock;
use ratatui::crossterm::event::{Event, KeyEventKind};
use ratatui::layout::Size;

use self::edit::Draft;
use self::signals::Signals;
use self::state::{Effect, State};
use self::store::{Answer, Threads};
use self::terminal::Screen;
use self::view::Styles;
use crate::fail::{Fail, say};
use crate::place::{Access, Place};
use crate::text::{name, quoted};

mod dialog;
mod edit;
mod input;
mod keys;
mod layout;
#[cfg(unix)]
mod signals;
/// Other systems end the program without it.
#[cfg(not(unix))]
mod signals {
    #[derive(Clone, Default)]
    pub struct Signals;

    impl Signals {
        pub fn start() -> Self {
            Signals
        }

        pub fn end(&self) -> bool {
            false
        }

        pub fn end_by_it(&self) {}

        pub fn has_continued(&self) -> bool {
            false
        }

        pub fn editing<T>(&self, run: impl FnOnce(&dyn Fn(u32)) -> T) -> T {
            run(&|_| {})
        }

        pub fn stop() {}
    }
}
mod state;
mod store;
mod terminal;
mod value;
mod view;

/// Look at the store on the whole terminal: keys, values, changes as they happen
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv browse                      # the namespaces
  luat-kv browse blog                 # the keys of one
  luat-kv --db postgresql://app@db/site browse

Shows the keys by prefix, their expirations as they come nearer, and a value as text, as
JSON or as hex. Values can be edited in $VISUAL or $EDITOR, and keys removed after a
question. What other programs change appears by itself. The key ? shows all keys.

It needs a terminal of 80 x 24 characters or more. NO_COLOR is heeded. The file is opened
for reading only, until something is edited or removed.")]
pub struct Browse {
    /// The namespace to begin with, instead of that of --namespace
    #[arg(value_name = "NAMESPACE")]
    name: Option<String>,
}

/// How long the loop waits for a key: until the next look at the time and at signals, or at an answer that is expected.
const REST: Duration = Duration::from_millis(200);
const EXPECTING: Duration = Duration::from_millis(10);
/// How long the end waits for the threads.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn browse(place: &Place, args: &Browse) -> Result<(), Fail> {
    if place.json {
        return Err(Fail::Usage("browse prints no JSON; the commands list, get and watch do".into()));
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Fail::Usage(
            "browse needs a terminal; in scripts and pipes use the commands list, get and watch".into(),
        ));
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(Fail::Usage(
            "browse needs a terminal that can move the cursor, and TERM is dumb; use the commands list, get and watch"
                .into(),
        ));
    }
    let store = place.open(Access::Read)?;
    let namespace = args.name.as_deref().or(place.name());
    if let Some(name) = namespace {
        store.namespace(name)?;
    }
    let label = store.label().to_owned();
    let (send, answers) = mpsc::channel();
    let threads = Threads::start(&store, place, &send);
    // Only the threads keep it, so that the end of one is noticed.
    drop((send, store));
    let signals = Signals::start();
    let screen = Screen::enter().map_err(lost)?;
    let size = screen.terminal.size().map_err(lost)?;
    let state = State::new(label, namespace, size, Clock::system().now());
    let styles = Styles { colours: console::colors_enabled() };
    let screen = Some(screen);
    let mut browser = Browser { state, threads, answers, signals, screen, styles, ends: false, left: None, waits: 0 };
    let ended = browser.run();
    drop(browser.screen.take());
    if let Err(why) = browser.leave() {
        browser.left = Some(why);
    }
    let left = browser.left.take();
    browser.state.kept.iter().for_each(|what| say(what));
    if browser.signals.end() {
        left.iter().for_each(|what| say(what));
    }
    browser.close();
    left.map_or(ended, |what| Err(Fail::Failed(what)))
}

fn lost(why: io::Error) -> Fail {
    Fail::Failed(format!("the terminal: {why}"))
}

/// Leaves a text that was not stored in a file. Returns what there is to say.
fn keep(draft: &mut Draft, is_storing: bool) -> Result<String, String> {
    let key = quoted(&draft.name.key);
    let how = if is_storing { "perhaps not stored" } else { "not stored" };
    match draft.keep() {
        Ok(path) => Ok(format!("{how}, but kept in {}: the text for {key}", name(&path))),
        Err(why) => Err(format!("{how}, and cannot be kept in a file: the text for {key}: {why}")),
    }
}

struct Browser {
    state: State,
    threads: Threads,
    answers: Receiver<Answer>,
    signals: Signals,
    /// `None` while the terminal is somebody else's.
    screen: Option<Screen>,
    styles: Styles,
    ends: bool,
    /// Where a text was left that was not stored.
    left: Option<String>,
    /// How many answers are expected.
    waits: usize,
}

impl Browser {
    fn run(&mut self) -> Result<(), Fail> {
        loop {
            for effect in self.state.take_effects() {
                self.carry_out(effect)?;
            }
            if self.ends || self.signals.end() {
                return Ok(());
            }
            self.draw().map_err(lost)?;
            let timeout = if self.waits > 0 { EXPECTING } else { REST };
            if let Some(event) = terminal::input(timeout).map_err(lost)? {
                self.handle(event);
            }
            self.receive()?;
            let now = Clock::system().now();
            if now != self.state.now {
                self.state.tick(now);
            }
            if self.signals.has_continued() {
                self.enter()?;
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let Some(screen) = &mut self.screen else { return Ok(()) };
        screen.terminal.autoresize()?;
        let size = screen.terminal.size()?;
        if size != self.state.size {
            self.state.resize(size);
        }
        let (state, styles) = (&self.state, &self.styles);
        screen.terminal.draw(|frame| view::draw(state, styles, frame)).map(drop)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.state.key(key),
            Event::Paste(text) => self.state.paste(&text),
            Event::Resize(width, height) => self.state.resize(Size { width, height }),
            _ => {}
        }
    }

    fn receive(&mut self) -> Result<(), Fail> {
        loop {
            match self.answers.try_recv() {
                Ok(answer) => self.take(answer),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(broken()),
            }
        }
    }

    fn take(&mut self, answer: Answer) {
        if !matches!(answer, Answer::Changed(_) | Answer::Unfollowed(_)) {
            self.waits = self.waits.saturating_sub(1);
        }
        self.state.receive(answer);
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Fail> {
        let is_alive = match effect {
            Effect::Ask(request) => {
                self.waits += 1;
                self.threads.ask(request)
            }
            Effect::Follow(range) => self.threads.follow(range),
            Effect::Edit(draft) => return self.edit(draft),
            Effect::Keep => {
                match self.state.draft().map(|draft| keep(draft, false)) {
                    Some(Ok(what)) => self.state.has_kept(what),
                    Some(Err(why)) => self.state.has_not_kept(why),
                    None => {}
                }
                true
            }
            Effect::Suspend => {
                drop(self.screen.take());
                Signals::stop();
                return self.enter();
            }
            Effect::Quit => {
                match self.leave() {
                    Ok(()) => self.ends = true,
                    Err(why) => self.state.has_not_kept(why),
                }
                true
            }
        };
        if is_alive { Ok(()) } else { Err(broken()) }
    }

    fn edit(&mut self, mut draft: Draft) -> Result<(), Fail> {
        drop(self.screen.take());
        let result = terminal::lend(|| self.signals.editing(|started| draft.edit(|child| started(child.id()))));
        self.state.edited(draft, result);
        if self.signals.end() { Ok(()) } else { self.enter() }
    }

    /// Takes the terminal again, and draws everything anew.
    fn enter(&mut self) -> Result<(), Fail> {
        drop(self.screen.take());
        self.screen = Some(Screen::enter().map_err(lost)?);
        self.signals.has_continued();
        Ok(())
    }
}

impl Browser {
    /// Waits for the store's answer to a text that was passed to it, unless that takes long.
    fn settle(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.waits > 0 && self.state.is_storing() {
            match self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(answer) => self.take(answer),
                Err(_) => return,
            }
        }
    }

    /// Leaves a text that is not stored in a file. An error says why it would be lost with the program.
    fn leave(&mut self) -> Result<(), String> {
        self.settle();
        let is_storing = self.state.is_storing();
        if let Some(draft) = self.state.draft() {
            self.left = Some(keep(draft, is_storing)?);
            drop(self.state.take_draft());
        }
        Ok(())
    }

    /// Lets the threads close the store, unless they wait for a server; and ends by the signal, if there was one.
    fn close(self) {
        let Browser { threads, answers, signals, .. } = self;
        drop(threads);
        let until = Instant::now() + PATIENCE;
        while answers.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        signals.end_by_it();
    }
}

/// A thread has ended by a panic, whose message was printed.
fn broken() -> Fail {
    Fail::Failed("a thread that accesses the store has ended: this is a bug in luat-kv".into())
}
