//! Finds SQL in a file's definitions that this library does not run, or that changes which keys are equal.
//!
//! A database contains its schema, and SQLite evaluates parts of it on each write: checks, defaults, generated columns,
//! expressions of indexes. They were chosen by whoever made the file. Those that cannot cost more than the row that is
//! written are accepted, since programs have reasons for them; all others make the store read-only.

use super::tokens::{Token, inside, parts, tokens};
use crate::error::quoted;

/// Why a table cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// It must not even be read, since results would be wrong.
    Read(String),
    Write(String),
}

/// Functions whose result is not much longer than their arguments, and that take no more time than reading them.
const HARMLESS: [&str; 27] = [
    "abs",
    "cast",
    "coalesce",
    "date",
    "datetime",
    "ifnull",
    "iif",
    "json_array_length",
    "json_extract",
    "json_type",
    "json_valid",
    "julianday",
    "length",
    "lower",
    "ltrim",
    "nullif",
    "octet_length",
    "random",
    "round",
    "rtrim",
    "strftime",
    "substr",
    "time",
    "trim",
    "typeof",
    "unixepoch",
    "upper",
];

/// Words that can precede a parenthesis in an expression without being a function.
const OPERATORS: [&str; 14] =
    ["and", "between", "case", "else", "escape", "in", "is", "isnull", "not", "notnull", "null", "or", "then", "when"];

/// Words whose cost grows faster than their operands, or is unknown.
const COSTLY: [&str; 8] = ["collate", "exists", "glob", "like", "match", "over", "regexp", "select"];

/// Longer than a default or a generated column that a person writes.
const LONGEST_EXPRESSION: usize = 64;

/// Returns the objection to the `CREATE TABLE` of the table, if there is one.
pub(super) fn of_table(sql: &str) -> Option<Objection> {
    let Some((list, options)) = body(sql) else { return Some(unread()) };
    // `CREATE TABLE … AS SELECT` does not occur in a file, but an unknown word might mean anything in the future.
    let known = |option: &Token<'_>| ["without", "rowid", "strict"].iter().any(|word| option.is(word));
    if !options.iter().all(|option| known(option) || option.is_symbol(",")) {
        return Some(unread());
    }
    parts(&list).into_iter().find_map(of_definition)
}

/// Whether a `CREATE TABLE` has this option after its list of columns.
pub(super) fn has_option(sql: &str, option: &str) -> bool {
    body(sql).is_some_and(|(_, options)| options.iter().any(|found| found.is(option)))
}

/// Returns the objection to an index on the table, if there is one.
pub(super) fn of_index(name: &str, sql: &str) -> Option<String> {
    let what = format!("index {}", quoted(name));
    let Some((list, rest)) = body(sql) else { return Some(format!("the definition of its {what} cannot be read")) };
    let plain = |part: &&[Token<'_>]| match part {
        [column, order @ ..] => {
            column.name().is_some()
                && match order {
                    [] => true,
                    [order] => order.is("asc") || order.is("desc"),
                    [collate, _, order @ ..] => {
                        collate.is("collate") && order.iter().all(|order| order.is("asc") || order.is("desc"))
                    }
                }
        }
        [] => false,
    };
    let is_plain = parts(&list).iter().all(plain);
    let is_cheap = match &rest[..] {
        [] => true,
        [first, condition @ ..] => first.is("where") && is_harmless(condition),
    };
    let of_ours = || {
        let is_unique = tokens(sql).is_some_and(|sql| sql.get(1).is_some_and(|word| word.is("unique")));
        (is_unique && forbids_entries(&parts(&list))).then(|| format!("its {what} is UNIQUE"))
    };
    match is_plain && is_cheap {
        true => of_ours(),
        false => Some(format!("its {what} is on an expression")),
    }
}

/// Whether a UNIQUE constraint on these columns can treat entries with different names as equal. A column that this
/// library does not write has its default, which the author of the constraint has chosen to fit.
fn forbids_entries(columns: &[&[Token<'_>]]) -> bool {
    let names = |name: &str| columns.iter().any(|column| column.first().is_some_and(|first| first.names(name)));
    let as_bytes = |name: &str| {
        columns.iter().any(|column| {
            column.first().is_some_and(|first| first.names(name))
                && column.windows(2).all(|pair| !pair[0].is("collate") || pair[1].names("binary"))
        })
    };
    ["namespace", "key", "value", "metadata", "expiration"].into_iter().any(names)
        && !(as_bytes("namespace") && as_bytes("key"))
}

/// The list in parentheses in a definition, and the tokens after it.
fn body(sql: &str) -> Option<(Vec<Token<'_>>, Vec<Token<'_>>)> {
    let all = tokens(sql)?;
    let open = all.iter().position(|token| token.is_symbol("("))?;
    let (list, end) = inside(&all, open)?;
    Some((list.to_vec(), all[end + 1..].to_vec()))
}

/// The objection to the definition of a column, or to a constraint of the table.
fn of_definition(definition: &[Token<'_>]) -> Option<Objection> {
    let Some(first) = definition.first() else { return Some(unread()) };
    let is_column = !["constraint", "primary", "unique", "check", "foreign"].iter().any(|word| first.is(word));
    // Only these columns are ever compared.
    let is_compared = !is_column || first.names("namespace") || first.names("key");
    let column = || first.name().map_or_else(|| "a column".to_owned(), |name| format!("column {}", quoted(name)));
    if let Some(rule) = unique(definition, is_column) {
        return Some(Objection::Write(format!("its table kv has a UNIQUE rule on {rule}")));
    }
    let mut at = usize::from(is_column);
    while let Some(token) = definition.get(at) {
        let next = definition.get(at + 1);
        let opens = next.is_some_and(|next| next.is_symbol("("));
        if token.is("check") {
            return Some(Objection::Write("its table kv has a CHECK constraint".to_owned()));
        }
        if token.is("collate") && is_compared && !next.is_some_and(|next| next.names("binary")) {
            let collation = next.and_then(Token::name).unwrap_or_default();
            return Some(Objection::Read(format!(
                "its table kv compares names by the collation {}, not byte by byte",
                quoted(collation)
            )));
        }
        if token.is("conflict") {
            // The constraint would decide the outcome of a write, without an error.
            if !next.is_some_and(|next| next.is("abort")) {
                return Some(Objection::Write("its table kv has an ON CONFLICT clause".to_owned()));
            }
        }
        if (token.is("default") || token.is("as")) && opens {
            let Some((expression, end)) = inside(definition, at + 1) else { return Some(unread()) };
            if !is_harmless(expression) {
                let what = if token.is("default") { "a default value" } else { "a generated value" };
                return Some(Objection::Write(format!(
                    "the {} of its table kv has {what} that this library does not compute",
                    column()
                )));
            }
            at = end;
        }
        at += 1;
    }
    None
}

/// The columns of a UNIQUE constraint that rules out entries.
fn unique(definition: &[Token<'_>], is_column: bool) -> Option<String> {
    let at = definition.iter().position(|token| token.is("unique"))?;
    let list = match is_column {
        true => definition.get(..1)?,
        false => inside(definition, at + 1)?.0,
    };
    let columns = parts(list);
    let names = || columns.iter().filter_map(|column| column.first()?.name().map(quoted)).collect::<Vec<_>>();
    forbids_entries(&columns).then(|| names().join(", "))
}

/// Whether the evaluation of an expression is sure to take little memory and time, whatever the row contains.
fn is_harmless(expression: &[Token<'_>]) -> bool {
    expression.len() <= LONGEST_EXPRESSION
        && expression.iter().enumerate().all(|(at, token)| {
            let calls = expression.get(at + 1).is_some_and(|next| next.is_symbol("("));
            match token {
                Token::Word(_) if COSTLY.iter().any(|costly| token.is(costly)) => false,
                Token::Word(_) if calls => {
                    HARMLESS.iter().chain(&OPERATORS).any(|known| token.is(known)) || makes_few(expression, at)
                }
                Token::Quoted(_) => !calls,
                Token::Symbol(symbol) => *symbol != "||",
                _ => true,
            }
        })
}

/// Whether this is a call that produces a few bytes, such as a random name for a row: `lower(hex(randomblob(16)))`.
fn makes_few(expression: &[Token<'_>], at: usize) -> bool {
    let bytes = |blob: &Token<'_>, count: &Token<'_>| {
        let few = matches!(count, Token::Number(count) if count.parse::<u16>().is_ok_and(|count| count <= 1024));
        (blob.is("randomblob") || blob.is("zeroblob")) && few
    };
    match &expression[at..] {
        [blob, _, count, close, ..] if bytes(blob, count) => close.is_symbol(")"),
        [hex, _, blob, _, count, close, ..] if hex.is("hex") && bytes(blob, count) => close.is_symbol(")"),
        _ => false,
    }
}

fn unread() -> Objection {
    Objection::Write("the definition of its table kv cannot be read".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &str) -> Option<Objection> {
        of_table(&format!("CREATE TABLE kv (namespace TEXT, key TEXT, {columns}, PRIMARY KEY (namespace, key))"))
    }

    #[test]
    fn what_programs_add_with_reason_is_accepted() {
        for column in [
            "\"check\" TEXT",
            "[default (zeroblob(9e9))] TEXT",
            "tenant TEXT DEFAULT 'x' COLLATE NOCASE",
            "made INTEGER NOT NULL DEFAULT (unixepoch())",
            "made TEXT DEFAULT CURRENT_TIMESTAMP",
            "size INTEGER DEFAULT -1",
            "id TEXT DEFAULT (lower(hex(randomblob(16)))) UNIQUE",
            "author TEXT GENERATED ALWAYS AS (json_extract(metadata, '$.author')) VIRTUAL",
            "author TEXT AS (metadata ->> 'author') STORED",
            "parent TEXT REFERENCES other (x) ON DELETE CASCADE",
            "value BLOB /* CHECK (1) */",
        ] {
            assert_eq!(table(column), None, "{column}");
        }
        for index in [
            "CREATE INDEX i ON kv (key)",
            "CREATE UNIQUE INDEX i ON kv (namespace, key DESC)",
            "CREATE UNIQUE INDEX i ON kv (value, key COLLATE BINARY, namespace)",
            "CREATE UNIQUE INDEX i ON kv (tenant)",
            "CREATE INDEX i ON kv (expiration) WHERE expiration IS NOT NULL AND namespace = 'n'",
        ] {
            assert_eq!(of_index("i", index), None, "{index}");
        }
    }

    #[test]
    fn what_costs_more_than_the_row_is_not() {
        for column in [
            "value BLOB CHECK (length(hex(zeroblob(500000000))) > 0)",
            "value BLOB, CHECK (1)",
            "value BLOB, CONSTRAINT \"x\" CHECK (1)",
            "value BLOB \u{feff}CHECK (1)",
            "x DEFAULT (hex(zeroblob(500000000)))",
            "x DEFAULT (randomblob(1000000))",
            "x DEFAULT (\"zeroblob\"(1000000))",
            "x DEFAULT (1 || 1)",
            "x AS (value LIKE metadata)",
            "x GENERATED ALWAYS AS (replace(value, 'a', 'aaaaaaaaaaaaaaa'))",
            "x UNIQUE ON CONFLICT IGNORE",
            "value BLOB UNIQUE",
            "x, UNIQUE (key)",
            "x, CONSTRAINT c UNIQUE (namespace, [metadata])",
            "value BLOB NOT NULL ON CONFLICT IGNORE",
            "x DEFAULT (1",
        ] {
            assert!(matches!(table(column), Some(Objection::Write(_))), "{column}");
        }
        for index in [
            "CREATE INDEX i ON kv (hex(value))",
            "CREATE INDEX i ON kv (value || value)",
            "CREATE INDEX i ON kv (key) WHERE hex(value) = ''",
            "CREATE INDEX i ON kv (key) WHERE key LIKE value",
            "CREATE UNIQUE INDEX i ON kv (value)",
            "CREATE UNIQUE INDEX i ON kv (namespace, key COLLATE NOCASE)",
        ] {
            assert!(of_index("i", index).is_some(), "{index}");
        }
    }

    #[test]
    fn other_collations_of_names_are_not_even_read() {
        for sql in [
            "CREATE TABLE kv (namespace, key COLLATE NOCASE, PRIMARY KEY (namespace, key))",
            "CREATE TABLE kv (\"namespace\" COLLATE \"rtrim\", key, PRIMARY KEY (namespace, key))",
            "CREATE TABLE kv (namespace, key, PRIMARY KEY (namespace, key COLLATE NOCASE))",
        ] {
            assert!(matches!(of_table(sql), Some(Objection::Read(_))), "{sql}");
        }
        assert_eq!(of_table("CREATE TABLE kv (namespace, key COLLATE BINARY)"), None);
    }
}
