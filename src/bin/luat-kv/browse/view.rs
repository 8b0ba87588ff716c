//! Draws the state. Everything that comes from the store is drawn as `text::show` displays it, so that no control
//! character reaches the terminal.

use console::{pad_str, truncate_str};
use indicatif::HumanBytes;
use luat_kv::Entry;
use ratatui::Frame;
use ratatui::layout::{Alignment, Rect, Size};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::dialog;
use super::keys::Window;
use super::layout::{self, Areas, SMALLEST};
use super::state::{Mode, State};
use super::value::{View, placed, shown};

/// The styles. None of them is the only sign of anything, and without colours they are bold, underlined and reversed.
pub struct Styles {
    pub colours: bool,
}

impl Styles {
    fn colour(&self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    pub fn heading(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn soon(&self) -> Style {
        self.colour(Color::Yellow)
    }

    fn trouble(&self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub fn rule(&self) -> Style {
        self.colour(Color::DarkGray)
    }
}

pub fn draw(state: &State, styles: &Styles, frame: &mut Frame<'_>) {
    if layout::is_too_small(state.size) {
        return too_small(state.size, frame);
    }
    let areas = layout::areas(state.size);
    let name = format!(" luat-kv  {}", shown(state.store.as_bytes()));
    text(frame, areas.store, Span::styled(fit(&name, state.size.width.into()), styles.heading()));
    for rule in [areas.upper_rule, areas.lower_rule] {
        text(frame, rule, Span::styled("─".repeat(rule.width.into()), styles.rule()));
    }
    match &state.keys {
        Some(window) => {
            place(window, matches!(state.mode, Mode::Filter), &areas, styles, frame);
            keys(state, window, &areas, styles, frame);
            value(state, &areas, styles, frame);
        }
        None => namespaces(state, &areas, styles, frame),
    }
    status(state, areas.status, styles, frame);
    footer(state, areas.footer, styles, frame);
    if let Some((title, lines)) = dialog::of(state) {
        popup(title, lines, state.size, styles, frame);
    }
}

fn too_small(size: Size, frame: &mut Frame<'_>) {
    let Size { width, height } = SMALLEST;
    let text = format!(
        "This needs {width} × {height} characters, and the terminal has {} × {}. Make it larger; q quits.",
        size.width, size.height
    );
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), frame.area());
}

fn text<'a>(frame: &mut Frame<'_>, area: Rect, line: impl Into<Line<'a>>) {
    frame.render_widget(line.into(), area);
}

/// Text for a width, with a mark where it was cut.
pub fn fit(text: &str, width: usize) -> String {
    truncate_str(text, width, "…").into_owned()
}

/// The line that says which keys are shown.
fn place(window: &Window, is_typed: bool, areas: &Areas, styles: &Styles, frame: &mut Frame<'_>) {
    let count = match (window.before || window.after, window.entries.len()) {
        _ if !window.is_loaded => "reading …".to_owned(),
        (true, some) => format!("more than {some} keys"),
        (false, 1) => "1 key".to_owned(),
        (false, all) => format!("{all} keys"),
    };
    let width = usize::from(areas.place.width);
    let namespace = format!(" namespace {}", fit(&shown(window.range.namespace.as_bytes()), width / 3));
    let prefix = shown(window.range.prefix.as_bytes());
    let used = console::measure_text_width(&namespace) + count.len() + 14;
    // The end of what is typed is what matters.
    let (room, wide) = (width.saturating_sub(used), console::measure_text_width(&prefix));
    let end: String = prefix.chars().skip(wide.saturating_sub(room)).collect();
    let mut spans = vec![Span::styled(namespace, styles.heading())];
    if is_typed || !prefix.is_empty() {
        spans.push(format!("   prefix: {end}").into());
    }
    if is_typed {
        spans.push(Span::styled(" ", styles.selected()));
    }
    text(frame, areas.place, spans.into_iter().collect::<Line<'_>>());
    text(frame, areas.place, Line::from(count + " ").alignment(Alignment::Right));
}

fn keys(state: &State, window: &Window, areas: &Areas, styles: &Styles, frame: &mut Frame<'_>) {
    const EXPIRES: usize = 10;
    let room = usize::from(areas.list.width);
    let name_width = room - EXPIRES - 5;
    let heading = format!("  {}  {:>EXPIRES$}", pad_str("KEY", name_width, console::Alignment::Left, None), "EXPIRES");
    text(frame, areas.heading, Span::styled(heading, styles.heading()));
    for y in areas.divider.rows() {
        text(frame, y, Span::styled("│", styles.rule()));
    }
    if window.is_loaded && window.entries.is_empty() {
        text(frame, areas.list, if window.range.prefix.is_empty() { "  no keys" } else { "  no such keys" });
    }
    let visible = window.entries.iter().enumerate().skip(window.top);
    for (row, (at, entry)) in areas.list.rows().zip(visible) {
        let is_selected = at == window.selected;
        let name = fit(&shown(entry.key.as_bytes()), name_width);
        let name = pad_str(&name, name_width, console::Alignment::Left, None);
        let mark = if is_selected { '>' } else { ' ' };
        let style = if is_selected { styles.selected() } else { Style::new() };
        let left = entry.expiration.map(|end| end - state.now);
        let soon = if left.is_some_and(|left| left < 60) { styles.soon() } else { Style::new() };
        let left = format!("{:>EXPIRES$} ", left.map(countdown).unwrap_or_default());
        text(frame, row, Line::from(vec![format!("{mark} {name}  ").into(), Span::styled(left, soon)]).style(style));
    }
}

/// A time in at most ten characters.
fn countdown(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, ..) => format!("{hours}h {:02}m", minutes % 60),
        (1000.., ..) => format!("{days}d"),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

fn value(state: &State, areas: &Areas, styles: &Styles, frame: &mut Frame<'_>) {
    let Some(entry) = state.selected() else { return };
    let width = usize::from(areas.value.width);
    text(frame, areas.key, Span::styled(fit(&shown(entry.key.as_bytes()), width), styles.heading()));
    text(frame, areas.facts, fit(&facts(state, entry), width));
    let lines = state.value.lines.iter().skip(state.value.top);
    for (row, line) in areas.value.rows().zip(lines) {
        text(frame, row, line.as_str());
    }
    if matches!(state.mode, Mode::Value) {
        let all = state.value.lines.len();
        let end = (state.value.top + usize::from(areas.value.height)).min(all);
        let at = format!(" lines {}-{end} of {all} ", state.value.top + 1);
        text(frame, areas.lower_rule, Line::from(at).alignment(Alignment::Right).style(styles.heading()));
    }
}

/// What is said of an entry above its value.
fn facts(state: &State, entry: &Entry) -> String {
    let mut facts = Vec::new();
    if let Some((key, Some(value))) = &state.value.shown
        && *key == entry.key
    {
        let (chosen, used) = (state.value.view, value.view(state.value.view));
        facts.push(match value.len {
            1 => "1 byte".to_owned(),
            len if len < 10_000 => format!("{len} bytes"),
            len => HumanBytes(len as u64).to_string(),
        });
        facts.push(match chosen {
            View::Json if used != View::Json => "text (not JSON)".to_owned(),
            _ => used.name().to_owned(),
        });
    }
    if let Some(end) = entry.expiration {
        facts.push(format!("expires in {}", countdown(end - state.now)));
    }
    facts.join(", ")
}

fn namespaces(state: &State, areas: &Areas, styles: &Styles, frame: &mut Frame<'_>) {
    let namespaces = &state.namespaces;
    text(frame, areas.place, Span::styled(" all namespaces", styles.heading()));
    text(frame, areas.heading, Span::styled("  NAMESPACE", styles.heading()));
    let width = frame.area().width;
    let whole = |area: Rect| Rect { width, ..area };
    match &namespaces.names {
        None => text(frame, whole(areas.list), "  reading …"),
        Some(names) if names.is_empty() => text(frame, whole(areas.list), "  the store is empty"),
        Some(names) => {
            for (row, (at, name)) in areas.list.rows().zip(names.iter().enumerate().skip(namespaces.top)) {
                let is_selected = at == namespaces.selected;
                let style = if is_selected { styles.selected() } else { Style::new() };
                let mark = if is_selected { '>' } else { ' ' };
                let line = format!("{mark} {}", fit(&shown(name.as_bytes()), usize::from(width) - 4));
                text(frame, whole(row), Line::from(line).style(style));
            }
        }
    }
}

/// Trouble with the store comes first, since it lasts.
fn status(state: &State, area: Rect, styles: &Styles, frame: &mut Frame<'_>) {
    let width = usize::from(area.width).saturating_sub(2);
    let (message, style) = match state.troubles.first() {
        Some(trouble) if state.note.is_empty() => (format!("! trying again: {trouble}"), styles.trouble()),
        _ => (state.note.clone(), Style::new()),
    };
    text(frame, area, Span::styled(format!(" {}", fit(&placed(&state.short(&message)), width)), style));
}

fn footer(state: &State, area: Rect, styles: &Styles, frame: &mut Frame<'_>) {
    let keys: &[(&str, &str)] = match &state.mode {
        Mode::List if state.keys.is_none() => &[("↑↓", "move"), ("Enter", "open"), ("?", "help"), ("q", "quit")],
        Mode::List => &[
            ("↑↓", "move"),
            ("/", "filter"),
            ("Tab", "value"),
            ("v", "view"),
            ("e", "edit"),
            ("d", "delete"),
            ("←", "back"),
            ("?", "help"),
            ("q", "quit"),
        ],
        Mode::Value => &[
            ("↑↓", "scroll"),
            ("v", "view"),
            ("e", "edit"),
            ("d", "delete"),
            ("←", "keys"),
            ("?", "help"),
            ("q", "quit"),
        ],
        Mode::Filter => &[("a…z", "the beginning of the keys"), ("Enter", "keep"), ("Esc", "all keys")],
        Mode::Help | Mode::Told(_) => &[("any key", "back")],
        Mode::Delete(..) => &[("y", "remove"), ("n", "keep")],
        Mode::Unsaved(..) => &[("Ctrl-C", "quit, and leave the text in a file")],
    };
    let spans = keys
        .iter()
        .flat_map(|(key, what)| [Span::styled(format!(" {key}"), styles.heading()), format!(" {what} ").into()]);
    text(frame, area, spans.collect::<Line<'_>>());
}

fn popup(title: String, lines: Vec<String>, size: Size, styles: &Styles, frame: &mut Frame<'_>) {
    let inner = usize::from(SMALLEST.width) - 8;
    let lines: Vec<_> = lines.iter().map(|line| fit(line, inner)).collect();
    let wide = lines.iter().chain([&title]).map(|line| console::measure_text_width(line)).max().unwrap_or(0);
    let width = u16::try_from(wide + 4).unwrap_or(SMALLEST.width).min(size.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(SMALLEST.height).min(size.height);
    // Low, so that the beginning of the value stays in view.
    let area = Rect::new((size.width - width) / 2, (size.height - height).saturating_sub(3), width, height);
    let block = Block::bordered().title(Span::styled(format!(" {title} "), styles.heading()));
    // A wide character before it would cover its border.
    frame.render_widget(Clear, Rect { x: area.x.saturating_sub(1), width: area.width + 1, ..area });
    let lines: Vec<_> = lines.into_iter().map(|line| Line::from(format!(" {line}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use luat_kv::{ListOptions, OpenOptions, Store};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::browse::store::{Answer, Keys, Name, Range, Spot};
    use crate::browse::value::Shown;

    /// A state of every mode but that of an edited text, with a key and a value that are wider than any screen.
    fn states() -> Vec<State> {
        let store = Store::open_memory(&OpenOptions::new()).unwrap();
        let namespace = store.namespace("n").unwrap();
        let key = "漢".repeat(300);
        let version = namespace.put(&key, "").unwrap();
        let modes = [Mode::List, Mode::Value, Mode::Filter, Mode::Help, Mode::Told(key.clone())];
        let name = Name { namespace: "n".to_owned(), key: key.clone() };
        let modes = modes.into_iter().chain([Mode::Delete(name.clone(), version)]);
        let state = |mode| {
            let mut state = State::new(key.clone(), Some("n"), SMALLEST, 0);
            let entries = namespace.list(&ListOptions::new()).unwrap().entries;
            let range = Range { namespace: "n".to_owned(), prefix: String::new() };
            state.receive(Answer::List(range, Spot::First, Ok(Keys { entries, before: true, after: true })));
            state.receive(Answer::Read(name.clone(), Ok(Some(Shown::new("é漢".repeat(500).into())))));
            (state.note, state.mode) = (key.clone(), mode);
            state
        };
        let mut states: Vec<_> = modes.map(state).collect();
        let mut namespaces = State::new(key.clone(), None, SMALLEST, 0);
        namespaces.receive(Answer::Namespaces(Ok(vec![key.clone(), "n".to_owned()])));
        states.push(namespaces);
        states
    }

    #[test]
    fn every_size_is_drawn() {
        for state in &mut states() {
            for (width, height) in [(1, 1), (2, 30), (79, 24), (80, 23), (80, 24), (81, 25), (250, 24), (80, 200)] {
                state.resize(Size { width, height });
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                terminal.draw(|frame| draw(state, &Styles { colours: true }, frame)).unwrap();
                let drawn = terminal.backend().to_string();
                assert_eq!(drawn.contains("漢漢"), !layout::is_too_small(state.size), "{width} × {height}: {drawn}");
            }
        }
    }

    /// A slow server may answer when a namespace that has the same key is open.
    #[test]
    fn the_value_of_another_namespace_is_not_drawn() {
        let mut state = states().remove(0);
        let key = state.selected().unwrap().key.clone();
        for (namespace, value) in [("n", "right"), ("other", "wrong")] {
            let name = Name { namespace: namespace.to_owned(), key: key.clone() };
            state.receive(Answer::Read(name, Ok(Some(Shown::new(value.into())))));
            let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
            terminal.draw(|frame| draw(&state, &Styles { colours: true }, frame)).unwrap();
            assert!(terminal.backend().to_string().contains("right"), "{namespace}");
        }
    }

    #[test]
    fn a_time_fits() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 00s"),
            (3599, "59m 59s"),
            (3600, "1h 00m"),
            (86_400, "1d 00h"),
            (999 * 86_400, "999d 00h"),
            (253_402_300_799, "2932896d"),
        ] {
            assert_eq!(countdown(seconds), shown);
        }
    }
}
