//! Splits SQL text into tokens, to see what a definition in a file contains without running any of it.

/// A token. Comments and white space are omitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, or an unquoted name.
    Word(&'a str),
    /// A name or a text in any of the four kinds of quotes that SQLite accepts.
    Quoted(String),
    Number(&'a str),
    Blob(&'a str),
    /// One character, or `||`, `->` or `->>`.
    Symbol(&'a str),
}

impl Token<'_> {
    /// Whether this is the given keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self, Token::Symbol(found) if *found == symbol)
    }

    /// Whether this can be the name of the given object.
    pub(super) fn names(&self, name: &str) -> bool {
        self.name().is_some_and(|found| found.eq_ignore_ascii_case(name))
    }

    /// The name, if this can be one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            Token::Quoted(name) => Some(name),
            _ => None,
        }
    }

    /// Whether two tokens mean the same in a definition: `kv`, `KV` and `"kv"` do.
    fn means(&self, other: &Token<'_>) -> bool {
        match other.name() {
            Some(name) => self.names(name),
            None => self == other,
        }
    }
}

/// Returns the tokens of an SQL text; `None` if it cannot be split into tokens.
pub(super) fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    // SQLite reads the text as a C string.
    let (mut found, mut rest) = (Vec::new(), sql.split('\0').next()?);
    loop {
        rest = skip(rest);
        let Some(first) = rest.chars().next() else { return Some(found) };
        let (token, len) = match first {
            '\'' | '"' | '`' => quoted(rest, first)?,
            '[' => {
                let end = rest.find(']')?;
                (Token::Quoted(rest[1..end].to_owned()), end + 1)
            }
            'x' | 'X' if rest[1..].starts_with('\'') => {
                let len = rest[2..].find('\'')? + 3;
                (Token::Blob(&rest[..len]), len)
            }
            _ if first.is_ascii_digit() => {
                let len = rest.find(|next: char| !is_name(next) && next != '.').unwrap_or(rest.len());
                (Token::Number(&rest[..len]), len)
            }
            _ if is_name(first) => {
                let len = rest.find(|next: char| !is_name(next)).unwrap_or(rest.len());
                (Token::Word(&rest[..len]), len)
            }
            _ => {
                let long = ["->>", "->", "||"].into_iter().find(|symbol| rest.starts_with(symbol));
                let len = long.map_or(first.len_utf8(), str::len);
                (Token::Symbol(&rest[..len]), len)
            }
        };
        found.push(token);
        rest = &rest[len..];
    }
}

/// Whether a definition is the same as one of this library, except for white space, comments, quotes and case.
pub(super) fn same(one: &str, ours: &str) -> bool {
    if one == ours {
        return true;
    }
    match (tokens(one), tokens(ours)) {
        (Some(one), Some(other)) => {
            one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.means(other))
        }
        _ => false,
    }
}

/// The tokens between the parenthesis at `open` and its closing one, and the position of that one.
pub(super) fn inside<'t, 's>(tokens: &'t [Token<'s>], open: usize) -> Option<(&'t [Token<'s>], usize)> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.checked_sub(1)?;
        }
        if depth == 0 {
            return Some((tokens.get(open + 1..at)?, at));
        }
    }
    None
}

/// The parts of a list, divided at the commas that are outside of parentheses.
pub(super) fn parts<'t, 's>(tokens: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            depth += usize::from(token.is_symbol("("));
            depth = depth.saturating_sub(usize::from(token.is_symbol(")")));
            depth == 0 && token.is_symbol(",")
        })
        .collect()
}

/// Skips leading white space and comments. An unclosed comment extends to the end, as in SQLite.
fn skip(mut sql: &str) -> &str {
    loop {
        // SQLite treats a byte order mark as white space, but not within a name.
        let trimmed = sql.trim_start_matches([' ', '\t', '\n', '\x0c', '\r', '\u{feff}']);
        sql = if let Some(comment) = trimmed.strip_prefix("--") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if let Some(comment) = trimmed.strip_prefix("/*") {
            comment.find("*/").map_or("", |end| &comment[end + 2..])
        } else {
            return trimmed;
        };
    }
}

/// A name or a text in quotes. A quote within it is doubled.
fn quoted<'a>(sql: &'a str, quote: char) -> Option<(Token<'a>, usize)> {
    let mut name = String::new();
    let mut characters = sql.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            name.push(character);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            name.push(quote);
        } else {
            return Some((Token::Quoted(name), at + 1));
        }
    }
    None
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '$' || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_hide_keywords() {
        let sql = "a -- CHECK\n /* CHECK */ \"CHECK\" 'it''s' [CHECK] `c``k` x'00' 1.5e3 0x1F ->> || -> é";
        let quoted = |text: &str| Token::Quoted(text.to_owned());
        let expected = [
            Token::Word("a"),
            quoted("CHECK"),
            quoted("it's"),
            quoted("CHECK"),
            quoted("c`k"),
            Token::Blob("x'00'"),
            Token::Number("1.5e3"),
            Token::Number("0x1F"),
            Token::Symbol("->>"),
            Token::Symbol("||"),
            Token::Symbol("->"),
            Token::Word("é"),
        ];
        assert_eq!(tokens(sql).unwrap(), expected);
        assert!(!tokens(sql).unwrap().iter().any(|token| token.is("check")));
        assert!(tokens(" \u{feff}CHECK").unwrap()[0].is("check"));
        assert_eq!(tokens("a\0CHECK").unwrap(), [Token::Word("a")]);
    }

    #[test]
    fn what_is_not_closed_is_not_read() {
        for sql in ["'a", "\"a", "[a", "`a", "x'00"] {
            assert_eq!(tokens(sql), None, "{sql}");
        }
        assert_eq!(tokens("a /* b").unwrap(), [Token::Word("a")]);
    }

    #[test]
    fn lists_are_divided_outside_of_parentheses() {
        let all = tokens("( a, f(b, c), d ) e").unwrap();
        let (list, end) = inside(&all, 0).unwrap();
        assert_eq!(parts(list).len(), 3);
        assert!(all[end + 1].is("E"));
        assert_eq!(inside(&all[..5], 0), None);
    }
}
