//! Where things are on the screen.

use ratatui::layout::{Rect, Size};

/// The smallest screen: that of the terminals of old, and of many windows today.
pub const SMALLEST: Size = Size { width: 80, height: 24 };

/// The lines above and below the lists.
const ABOVE: u16 = 4;
const BELOW: u16 = 3;

pub struct Areas {
    pub store: Rect,
    pub place: Rect,
    pub upper_rule: Rect,
    pub heading: Rect,
    pub list: Rect,
    /// The vertical line between the keys and the value.
    pub divider: Rect,
    pub key: Rect,
    pub facts: Rect,
    pub value: Rect,
    pub lower_rule: Rect,
    pub status: Rect,
    pub footer: Rect,
}

pub fn is_too_small(size: Size) -> bool {
    size.width < SMALLEST.width || size.height < SMALLEST.height
}

pub fn areas(size: Size) -> Areas {
    let Size { width, height } = size;
    let line = |y: u16| Rect::new(0, y, width, 1);
    let list = Rect::new(0, ABOVE, list_width(size), height.saturating_sub(ABOVE + BELOW));
    let right = Rect::new(list.width + 2, ABOVE, width.saturating_sub(list.width + 2), 1);
    Areas {
        store: line(0),
        place: line(1),
        upper_rule: line(2),
        heading: Rect::new(0, 3, list.width, 1),
        list,
        divider: Rect::new(list.width, 3, 1, list.height + 1),
        key: Rect { y: 3, ..right },
        facts: Rect { y: 4, ..right },
        value: Rect { y: 5, height: list.height.saturating_sub(1), ..right },
        lower_rule: line(height.saturating_sub(3)),
        status: line(height.saturating_sub(2)),
        footer: line(height.saturating_sub(1)),
    }
}

fn list_width(size: Size) -> u16 {
    (size.width.min(250) * 2 / 5).clamp(32, 100).min(size.width)
}

/// How many keys, or namespaces, are on the screen.
pub fn list_height(size: Size) -> usize {
    areas(size).list.height.into()
}

pub fn value_height(size: Size) -> usize {
    areas(size).value.height.into()
}

pub fn value_width(size: Size) -> usize {
    areas(size).value.width.into()
}
