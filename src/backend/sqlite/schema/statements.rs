//! The statements that a store runs.

use std::borrow::Cow;

// `+expiration` keeps the planner on the primary key.

// A statement that reads one row also returns its expiration, and the caller decides whether the row is live: that
// takes fewer instructions than a condition.

pub(in super::super) const GET: &str =
    "SELECT metadata, expiration, version, value FROM kv WHERE namespace = ?1 AND key = ?2";

pub(in super::super) const GET_VALUE: &str = "SELECT value, expiration FROM kv WHERE namespace = ?1 AND key = ?2";

pub(in super::super) const HAS: &str = "SELECT expiration FROM kv WHERE namespace = ?1 AND key = ?2";

pub(in super::super) const VERSION: &str = "SELECT version, expiration FROM kv WHERE namespace = ?1 AND key = ?2";

macro_rules! list {
    ($columns:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM kv WHERE namespace = ?1 AND key >= ?2 AND key < ?3 AND (+expiration IS NULL OR +expiration > ?4)
             ORDER BY key ",
            $order,
            " LIMIT ?5"
        )
    };
}

/// The live keys of a range. The fifth column is the value.
pub(in super::super) const fn list(reverse: bool, values: bool) -> &'static str {
    match (reverse, values) {
        (false, false) => list!("key, metadata, expiration, version", "ASC"),
        (false, true) => list!("key, metadata, expiration, version, value", "ASC"),
        (true, false) => list!("key, metadata, expiration, version", "DESC"),
        (true, true) => list!("key, metadata, expiration, version, value", "DESC"),
    }
}

/// The keys alone.
pub(in super::super) const fn list_keys(reverse: bool) -> &'static str {
    if reverse { list!("key", "DESC") } else { list!("key", "ASC") }
}

/// What a watch compares of the live keys of a range: columns as in [`list()`], and what another program may change
/// without giving the row a new version. Reads no long values.
pub(in super::super) const WATCH: &str = list!(
    "key, metadata, expiration, version, octet_length(value),
             CASE WHEN octet_length(value) <= 1024 THEN value END",
    "ASC"
);

pub(in super::super) const COUNT: &str = "SELECT count(*) FROM kv
    WHERE namespace = ?1 AND key >= ?2 AND key < ?3 AND (+expiration IS NULL OR +expiration > ?4)";

pub(in super::super) const PUT: &str = "INSERT INTO kv (namespace, version, key, value, metadata, expiration)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, metadata = excluded.metadata,
        expiration = excluded.expiration, version = excluded.version";

/// [`PUT`] without an expiration over a row that has none, with the same parameters. Neither of the two is in the index
/// of expirations, which this statement does not open.
pub(in super::super) const OVERWRITE: &str = "UPDATE kv SET version = ?2, value = ?4, metadata = ?5
    WHERE namespace = ?1 AND key = ?3 AND +expiration IS NULL";

/// [`PUT`] for a table with columns of other programs. They are set to their defaults, as in a new row: what another
/// program noted about the old value does not apply to the new one.
pub(in super::super) fn put(foreign: &[String]) -> Cow<'static, str> {
    foreign.iter().fold(Cow::Borrowed(PUT), |put, name| {
        let name = name.replace('"', "\"\"");
        Cow::Owned(format!("{put}, \"{name}\" = excluded.\"{name}\""))
    })
}

/// Like [`put`], but changes nothing if there is a live row.
pub(in super::super) fn add(put: &str) -> String {
    format!("{put} WHERE kv.expiration <= ?7")
}

pub(in super::super) const TOUCH: &str = "UPDATE kv SET expiration = ?3, version = ?4
    WHERE namespace = ?1 AND key = ?2 AND (+expiration IS NULL OR +expiration > ?5)";

/// Removes a live row. (One statement with RETURNING could do this and the next, but it would read the whole row.)
pub(in super::super) const DELETE: &str =
    "DELETE FROM kv WHERE namespace = ?1 AND key = ?2 AND (expiration IS NULL OR expiration > ?3)";

/// Removes an expired row, which must not return when the clock is set back.
pub(in super::super) const DELETE_EXPIRED: &str =
    "DELETE FROM kv WHERE namespace = ?1 AND key = ?2 AND expiration <= ?3";

/// In a table of another program a name may be NULL, which no comparison finds.
pub(in super::super) const SWEEP: &str = "DELETE FROM kv WHERE (namespace, key) IN
    (SELECT namespace, key FROM kv WHERE expiration <= ?1 AND namespace IS NOT NULL AND key IS NOT NULL
     ORDER BY expiration LIMIT ?2)";

/// The first rows of a range, live or not: the size of each, and whether it is live. Reads no values.
pub(in super::super) const MEASURE: &str =
    "SELECT key, coalesce(octet_length(value), 0), expiration IS NULL OR expiration > ?4
    FROM kv WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?5";

/// The expired rows up to a key.
pub(in super::super) const REMOVE_EXPIRED: &str =
    "DELETE FROM kv WHERE namespace = ?1 AND key >= ?2 AND key <= ?3 AND +expiration <= ?4";

pub(in super::super) const REMOVE: &str = "DELETE FROM kv WHERE namespace = ?1 AND key >= ?2 AND key <= ?3";

/// Goes from the name of one namespace directly to the next.
pub(in super::super) const NAMESPACES: &str = "WITH RECURSIVE names (name) AS (
        SELECT min(namespace) FROM kv
        UNION ALL SELECT (SELECT min(namespace) FROM kv WHERE namespace > name) FROM names WHERE name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL
        AND EXISTS (SELECT 1 FROM kv WHERE namespace = name AND (+expiration IS NULL OR +expiration > ?1))";

/// The number of rows of each namespace, live or not. Reads only the index of the primary key.
pub(in super::super) const COUNT_ROWS: &str =
    "SELECT namespace, count(*) FROM kv WHERE namespace IS NOT NULL GROUP BY namespace ORDER BY namespace";

/// The namespace of each expired row.
pub(in super::super) const EXPIRED: &str = "SELECT namespace FROM kv WHERE expiration <= ?1";
