//! Finds out which kind of table kv a file has.
//!
//! This uses real statements: a table or view in the file can replace a table-valued function such as
//! `pragma_table_xinfo`, or `sqlite_schema`, by its name, but not `sqlite_master`.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::convert::{CREATE, CREATE_CLUSTERED, INDEX, TRIGGER};
use super::format::{self, Format};
use super::guard::{is_beyond_sqlite, said};
use super::objections::{self, Objection};
use super::tokens;
use crate::error::{Code, Error, Result, quoted};

/// The kind of the table in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Missing,
    /// This library's table and index, and nothing else.
    Ours,
    /// A table with something that this library must not rewrite (another column, or a view that refers to it): it
    /// stays, and gets what the statements need.
    Compatible {
        versioned: bool,
        indexed: bool,
    },
    /// This library's table of format 1, and nothing else.
    Clustered,
    /// Luat's table, or this library's from before there were versions, and nothing else.
    Luat,
}

impl Layout {
    /// The layout of a table that cannot be replaced.
    pub(super) const AS_IT_IS: Layout = Layout::Compatible { versioned: false, indexed: false };
    pub(super) const SETTLED: Layout = Layout::Compatible { versioned: true, indexed: true };

    /// Whether the table lacks something that can be added.
    pub(super) fn is_to_change(self) -> bool {
        !matches!(self, Layout::Missing | Layout::Ours | Layout::SETTLED)
    }
}

/// The layout, and why the table may only be read, if so.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Found {
    pub(super) layout: Layout,
    pub objection: Option<String>,
    pub(super) format: Format,
    /// Whether another program has tables in the file.
    pub(super) is_shared: bool,
    /// The columns that this library does not know, and that a statement can write.
    pub(super) foreign: Vec<String>,
}

impl Found {
    /// Whether there is nothing to add or convert.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.layout, Layout::Ours | Layout::SETTLED) && !self.is_to_mark()
    }

    /// Whether it is this library's table, and another program has added nothing to it.
    pub(super) fn is_ours(&self) -> bool {
        self.layout == Layout::Ours
    }

    pub(super) fn is_to_mark(&self) -> bool {
        self.format == Format::Unmarked && !self.is_shared
    }

    /// Whether every statement runs on the table as it is.
    pub(super) fn works(&self) -> bool {
        matches!(self.layout, Layout::Ours | Layout::Clustered | Layout::Compatible { versioned: true, .. })
    }
}

/// What a file's schema contains that concerns the table.
#[derive(Default)]
struct Schema {
    /// The definition of the table kv.
    table: Option<String>,
    /// The name and definition of each index on it.
    indexes: Vec<(String, String)>,
    /// Whether there is a trigger kv_version with this library's definition.
    trigger: bool,
    /// A name that this library uses, and that something else has in this file.
    taken: Option<&'static str>,
    /// The number of other tables.
    tables: u64,
    /// Whether anything else refers to the table, or there is a view or a trigger: to rename a table SQLite parses all
    /// of them, and fails if it cannot parse one.
    more: bool,
}

pub(super) fn find(connection: &Connection) -> Result<Found> {
    let schema = read(connection)?;
    let format = format::read(connection)?;
    let found = |layout, objection: Option<String>, foreign| {
        let objection = objection.map(|why| format!("this store can only be read: {why}"));
        Found { layout, objection, format: format.clone(), is_shared: schema.tables > 0, foreign }
    };
    let Some(table) = &schema.table else {
        return match (schema.tables, &format) {
            (0, Format::Foreign { application_id }) if *application_id != 0 => Err(corrupt(format!(
                "it is another program's database: it has the application_id {application_id}, and no table kv"
            ))),
            (0, Format::Later(Some(why))) => Err(corrupt(format!("it has no table kv: {why}"))),
            (0, _) => Ok(found(Layout::Missing, None, Vec::new())),
            _ => Err(corrupt("it is another program's database: it has tables, but no table kv")),
        };
    };
    let later = match &format {
        Format::Later(why) => why.clone(),
        _ => None,
    };
    let expiration = schema.indexes.iter().find(|(name, _)| name.eq_ignore_ascii_case("kv_expiration"));
    let indexed = expiration.is_some_and(|(_, sql)| tokens::same(sql, INDEX));
    let others = || schema.indexes.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("kv_expiration"));
    if table == CREATE && indexed && others().next().is_none() {
        return Ok(found(Layout::Ours, later, Vec::new()));
    }
    let objection = match objections::of_table(table) {
        Some(Objection::Read(why)) => return Err(corrupt(why)),
        Some(Objection::Write(why)) => Some(why),
        None => None,
    };
    let columns = columns(connection)?;
    let versioned = recognize(&columns, schema.trigger || matches!(format, Format::Later(_)))?;
    let objection = later
        .or(objection)
        .or_else(|| unsuitable(&columns))
        .or_else(|| others().find_map(|(name, sql)| objections::of_index(name, sql)))
        .or_else(|| {
            let taken = if expiration.is_some() && !indexed { Some("kv_expiration") } else { schema.taken };
            taken.map(|name| format!("its {name} is not this library's"))
        });
    let objection = match objection {
        None => unwritable(connection)?,
        found => found,
    };
    let is_plain = objection.is_none() && !schema.more;
    let layout = if is_plain && indexed && tokens::same(table, CREATE_CLUSTERED) {
        Layout::Clustered
    } else if is_plain && !versioned && is_luats(&columns, table) && !has_nameless(connection)? {
        Layout::Luat
    } else {
        Layout::Compatible { versioned, indexed }
    };
    let foreign = columns.iter().filter(|column| column.is_foreign()).map(|column| column.name.clone()).collect();
    Ok(found(layout, objection, foreign))
}

fn read(connection: &Connection) -> Result<Schema> {
    let mut schema = Schema::default();
    let mut query = connection.prepare("SELECT type, name, tbl_name, sql FROM main.sqlite_master")?;
    let mut rows = query.query(())?;
    while let Some(row) = rows.next()? {
        let [kind, name, table] = [text(row.get_ref(0)?)?, text(row.get_ref(1)?)?, text(row.get_ref(2)?)?];
        let is_internal = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
        // An index that a PRIMARY KEY or UNIQUE creates has no definition of its own.
        let ValueRef::Text(sql) = row.get_ref(3)? else { continue };
        let is = |ours: &str| name.eq_ignore_ascii_case(ours);
        if is("kv") && kind != "index" && kind != "trigger" {
            let sql = text(ValueRef::Text(sql))?;
            if kind != "table" || !is_create_table(sql) {
                return Err(corrupt("its kv is not a table"));
            }
            let may_refer = sql != CREATE;
            schema.more |= may_refer && (contains(sql.as_bytes(), b"check") || contains(sql.as_bytes(), b"references"));
            schema.table = Some(sql.to_owned());
            continue;
        }
        schema.tables += u64::from(kind == "table" && !is_internal);
        let of_kv = table.eq_ignore_ascii_case("kv");
        if kind == "index" && of_kv {
            schema.indexes.push((name.to_owned(), text(ValueRef::Text(sql))?.to_owned()));
        }
        if is("kv_version") && kind == "trigger" && of_kv {
            schema.trigger = tokens::same(text(ValueRef::Text(sql))?, TRIGGER);
        } else if is("kv_version") && kind == "trigger" {
            schema.taken = Some("trigger kv_version");
        }
        if is("kv_expiration") && !(kind == "index" && of_kv) && kind != "trigger" {
            schema.taken = Some("kv_expiration");
        }
        let is_known = is("kv_expiration") || is("idx_kv_namespace_key");
        schema.more |= kind == "view" || kind == "trigger" || (!is_known && contains(sql, b"kv"));
    }
    Ok(schema)
}

/// Whether this is the definition of an ordinary table, not of a virtual one.
fn is_create_table(sql: &str) -> bool {
    sql == CREATE || tokens::tokens(sql).is_some_and(|sql| sql.get(1).is_some_and(|word| word.is("table")))
}

/// Refuses a table of another kind. Returns whether rows get versions, from the column's default or as `otherwise`
/// says.
fn recognize(columns: &[Column], otherwise: bool) -> Result<bool> {
    let has =
        |name: &str, key: i64| find_column(columns, name).is_some_and(|column| column.key == key && !column.hidden);
    let keys = columns.iter().filter(|column| column.key > 0).count();
    let ours = has("value", 0) && has("metadata", 0) && has("expiration", 0);
    if !(has("namespace", 1) && has("key", 2) && keys == 2 && ours) {
        return Err(corrupt("its table kv is not a key-value store's"));
    }
    for name in ["namespace", "key"] {
        let column = find_column(columns, name).filter(|column| column.affinity() == Affinity::Number);
        if let Some(Column { kind, .. }) = column {
            return Err(corrupt(format!(
                "the column {name} of its table kv is of the type {}, which takes two names for one where both are \
                 the same number",
                quoted(kind)
            )));
        }
    }
    match find_column(columns, "version") {
        None => Ok(false),
        Some(column) if column.hidden => Err(corrupt("its table kv has a column version that is not this library's")),
        Some(column) if otherwise || column.default.as_deref() == Some("randomblob(12)") => Ok(true),
        Some(_) => Err(corrupt("its table kv has a column version that is not this library's")),
    }
}

fn find_column<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// Returns a column whose type would change the values that are stored in it.
fn unsuitable(columns: &[Column]) -> Option<String> {
    [("metadata", Affinity::Number), ("expiration", Affinity::Text)].into_iter().find_map(|(name, wrong)| {
        let column = find_column(columns, name).filter(|column| column.affinity() == wrong)?;
        Some(format!("the column {name} of its table kv is of the type {}", quoted(&column.kind)))
    })
}

struct Column {
    name: String,
    kind: String,
    default: Option<String>,
    /// The position in the primary key, from 1; 0 if it is not part of the key.
    key: i64,
    /// Whether the column is generated, so that no statement can write it.
    hidden: bool,
}

#[derive(PartialEq, Eq)]
enum Affinity {
    Text,
    Number,
    None,
}

impl Column {
    fn is_foreign(&self) -> bool {
        let ours = ["namespace", "key", "expiration", "version", "metadata", "value"];
        !self.hidden && !ours.iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// How SQLite converts values that are stored in it:
    /// <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>.
    fn affinity(&self) -> Affinity {
        let has = |part: &str| contains(self.kind.as_bytes(), part.as_bytes());
        if has("int") {
            Affinity::Number
        } else if has("char") || has("clob") || has("text") {
            Affinity::Text
        } else if has("blob") || self.kind.is_empty() {
            Affinity::None
        } else {
            Affinity::Number
        }
    }
}

fn columns(connection: &Connection) -> Result<Vec<Column>> {
    let mut query = connection.prepare("PRAGMA main.table_xinfo(kv)")?;
    let columns = query.query_map((), |row| {
        Ok(Column {
            name: row.get("name")?,
            kind: row.get("type")?,
            default: row.get("dflt_value")?,
            key: row.get("pk")?,
            hidden: row.get::<_, i64>("hidden")? != 0,
        })
    })?;
    Ok(columns.collect::<rusqlite::Result<_>>()?)
}

/// Whether it has exactly Luat's columns with Luat's types, so that rows move into the new table unchanged.
fn is_luats(columns: &[Column], table: &str) -> bool {
    !objections::has_option(table, "strict")
        && columns.len() == 5
        && columns.iter().all(|column| {
            let kind = match column.name.as_str() {
                "value" => "BLOB",
                "expiration" => "INTEGER",
                _ => "TEXT",
            };
            column.kind == kind && column.default.is_none()
        })
}

/// SQLite's own objection to writing to the table: an index may need a collation that only another program has.
fn unwritable(connection: &Connection) -> Result<Option<String>> {
    let put = "INSERT INTO main.kv (namespace, key, value, metadata, expiration) VALUES (?1, ?2, ?3, ?4, ?5)";
    match connection.prepare(put) {
        Ok(_) => Ok(None),
        Err(error) if is_beyond_sqlite(&error) => {
            Ok(Some(format!("its table kv needs something that only another program has ({})", said(&error))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether there are rows that the primary key of a new table must refuse.
fn has_nameless(connection: &Connection) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM main.kv WHERE namespace IS NULL OR key IS NULL)";
    Ok(connection.query_row(query, (), |row| row.get(0))?)
}

fn text(stored: ValueRef<'_>) -> Result<&str> {
    stored.as_str().map_err(|_| corrupt("its schema is damaged"))
}

/// Whether a text contains this one, ignoring case.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(Code::Corrupt, message)
}
