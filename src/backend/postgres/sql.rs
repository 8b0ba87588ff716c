//! All SQL.
//!
//! Names and keys are `bytea`: their order is that of bytes, and `text` could not contain U+0000. Every name is
//! qualified, and no statement depends on the settings of a session, since a pool may give each transaction another
//! one. Only what PostgreSQL shares with CockroachDB and YugabyteDB is used, except where a comment says otherwise.

use std::sync::LazyLock;

/// What the tables are made with, in one transaction.
pub(super) const CREATE: [&str; 5] = [
    "CREATE SCHEMA IF NOT EXISTS luat_kv",
    // `value` is last, as in SQLite.
    "CREATE TABLE luat_kv.kv (namespace bytea NOT NULL, key bytea NOT NULL, expiration bigint, version bytea NOT NULL,
        metadata text, value bytea NOT NULL, PRIMARY KEY (namespace, key))",
    "CREATE INDEX kv_expiration ON luat_kv.kv (expiration) WHERE expiration IS NOT NULL",
    // The ledger: the last write of each client, with its answer.
    "CREATE TABLE luat_kv.kv_done (client bytea PRIMARY KEY, count bigint NOT NULL, at bigint NOT NULL, number bigint,
        expiration bigint, version bytea, metadata text, value bytea)",
    "CREATE TABLE luat_kv.format (format bigint NOT NULL, writer bigint NOT NULL, reader bigint NOT NULL)",
];

pub(super) const SET_FORMAT: &str = "INSERT INTO luat_kv.format (format, writer, reader) VALUES ($1, $2, $3)";

/// The number of the session that answers. Behind a pool, it is not that of the session that was connected to.
pub(super) const SESSION: &str = "SELECT pg_backend_pid()";

/// When the server that answers has started, which tells it from another one behind the same name. (PostgreSQL's own.)
pub(super) const STARTED: &str = "SELECT (date_part('epoch', pg_postmaster_start_time()) * 1000000)::bigint";

pub(super) const FORMAT: &str = "SELECT format, writer, reader FROM luat_kv.format";

/// The role and the database, quoted where SQL needs it.
pub(super) const NAMES: &str = "SELECT quote_ident(current_user::text), quote_ident(current_database()::text)";

/// The present time in Unix seconds: the server's, or with a number, that of parameter `$n` if it is not NULL.
macro_rules! now {
    () => {
        "floor(date_part('epoch', statement_timestamp()))::bigint"
    };
    ($n:literal) => {
        concat!("coalesce($", $n, ", ", now!(), ")")
    };
}

/// Whether the row has not expired at that time.
macro_rules! live {
    ($($n:literal)?) => {
        concat!("(expiration IS NULL OR expiration > ", now!($($n)?), ")")
    };
}

// Reads of one moment. $1: namespace.

/// A read of one entry, by the server's time and by that of $3. $2: the key. (Each parameter costs time.)
macro_rules! get {
    ($columns:literal) => {
        [get!($columns, live!()), get!($columns, live!(3))]
    };
    ($columns:literal, $live:expr) => {
        concat!("SELECT ", $columns, " FROM luat_kv.kv WHERE namespace = $1 AND key = $2 AND ", $live)
    };
}

pub(super) const HAS: [&str; 2] = get!("true");
pub(super) const GET_VALUE: [&str; 2] = get!("value");
pub(super) const GET: [&str; 2] = get!("expiration, version, metadata, value");

/// $2: the keys.
pub(super) const GET_MANY: &str = concat!(
    "SELECT k.key, k.expiration, k.version, k.metadata, k.value
    FROM unnest($2) WITH ORDINALITY AS p (key, i) JOIN luat_kv.kv AS k ON k.namespace = $1 AND k.key = p.key
    WHERE ",
    live!(3),
    " ORDER BY p.i"
);

/// Whether a range ends before `$below`. As one text with `OR $n IS NULL`, it would not bound the search in the index.
fn below(bound: bool, parameter: &str) -> String {
    if bound { format!(" AND key < {parameter}") } else { String::new() }
}

/// $1: namespace, $2: from, $3: now, $4: the number of rows, $5: the end; with values, $6: their bytes. The first
/// column of a list with values is the number of rows before it was cut to that many bytes.
pub(super) fn list(is_bounded: bool, reverse: bool, values: bool) -> String {
    let (below, order) = (below(is_bounded, "$5"), if reverse { "DESC" } else { "ASC" });
    let range = format!(
        "FROM luat_kv.kv WHERE namespace = $1 AND key >= $2{below} AND {live} ORDER BY key {order} LIMIT $4",
        live = live!(3)
    );
    match values {
        false => format!("SELECT key, expiration, version, metadata {range}"),
        // The length of a large value is known without reading it.
        true => format!(
            "SELECT key, expiration, version, metadata, value, rows FROM (
                SELECT *, count(*) OVER () AS rows,
                    sum(octet_length(value)) OVER (ORDER BY key {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
                        - octet_length(value) AS before
                FROM (SELECT key, expiration, version, metadata, value {range}) AS r) AS s
            WHERE before < {bytes} ORDER BY key {order}",
            bytes = if is_bounded { "$6" } else { "$5" }
        ),
    }
}

/// What a watch compares of the live keys of a range, which includes what another program may change without giving the
/// row a new version. $1: namespace, $2: from, $3: now, $4: the end.
pub(super) fn watch(is_bounded: bool) -> String {
    format!(
        "SELECT key, expiration, version, metadata, octet_length(value)::bigint,
                CASE WHEN octet_length(value) <= 1024 THEN value END
            FROM luat_kv.kv WHERE namespace = $1 AND key >= $2{} AND {} ORDER BY key",
        below(is_bounded, "$4"),
        live!(3)
    )
}

/// The same of these keys. $1: namespace, $2: the keys, in byte order, $3: now.
pub(super) const WATCH_KEYS: &str = concat!(
    "SELECT k.key, k.expiration, k.version, k.metadata, octet_length(k.value)::bigint,
        CASE WHEN octet_length(k.value) <= 1024 THEN k.value END
    FROM unnest($2) WITH ORDINALITY AS p (key, i) JOIN luat_kv.kv AS k ON k.namespace = $1 AND k.key = p.key
    WHERE ",
    live!(3),
    " ORDER BY p.i"
);

/// What each commit changes, and which server it is. (PostgreSQL's own.)
pub(super) const STATE: &str = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text";

/// Counts the first rows of a range: live ones and all. The last column is the key of the last of them, if the range may
/// have more. $1: namespace, $2: from, $3: now, $4: the number of rows, $5: the end.
pub(super) fn count(is_bounded: bool) -> String {
    let below = below(is_bounded, "$5");
    format!(
        "WITH p AS MATERIALIZED (SELECT key, {} AS is_live FROM luat_kv.kv
            WHERE namespace = $1 AND key >= $2{below} ORDER BY key LIMIT $4)
        SELECT count(*) FILTER (WHERE is_live), count(*),
            CASE WHEN count(*) >= $4 THEN (SELECT key FROM p ORDER BY key DESC LIMIT 1) END FROM p",
        live!(3)
    )
}

/// Finds one name after the other in the index.
macro_rules! names {
    () => {
        "WITH RECURSIVE n AS (
            (SELECT namespace FROM luat_kv.kv ORDER BY namespace LIMIT 1)
            UNION ALL
            SELECT (SELECT k.namespace FROM luat_kv.kv AS k WHERE k.namespace > n.namespace
                ORDER BY k.namespace LIMIT 1)
            FROM n WHERE n.namespace IS NOT NULL)
        SELECT n.namespace FROM n WHERE n.namespace IS NOT NULL"
    };
}

/// The namespaces that have live rows. $1: now.
pub(super) const NAMESPACES: &str = concat!(
    names!(),
    " AND EXISTS (SELECT FROM luat_kv.kv AS k WHERE k.namespace = n.namespace AND ",
    live!(1),
    ") ORDER BY n.namespace"
);

/// The namespaces that have rows.
pub(super) const ALL_NAMESPACES: &str = concat!(names!(), " ORDER BY n.namespace");

/// PostgreSQL's own.
pub(super) const SIZE: &str = "SELECT pg_total_relation_size('luat_kv.kv') + pg_total_relation_size('luat_kv.kv_done')";

pub(super) const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// $1: now.
pub(super) const NOW: &str = concat!("SELECT ", now!(1));

// Writes of one operation: one statement, which is a transaction.
//
// $1: namespace, $2: key, $3: now, $4: how long to wait for locks, $5: the client, $6: the number of its write, $7:
// whether the write may have been made already.

/// The times, and the timeout: that is over with the transaction.
const TIMES: &str = "WITH t AS MATERIALIZED (SELECT coalesce($3, floor(e)::bigint) AS now,
    coalesce($3, ceil(e)::bigint) AS up, floor(e)::bigint AS at, set_config('lock_timeout', $4, true)
    FROM date_part('epoch', statement_timestamp()) AS e), ";

/// Notes the write and its answer in the ledger. A write that is there makes `count` NULL, which it must not be.
const LEDGER: &str =
    "ON CONFLICT (client) DO UPDATE SET count = CASE WHEN d.count < excluded.count THEN excluded.count END,
    at = excluded.at, number = excluded.number, expiration = excluded.expiration, version = excluded.version,
    metadata = excluded.metadata, value = excluded.value";

/// Whether another second has begun since the statement did, as when it has waited for a lock: then its time is not that
/// at which it got the row. (`t LEFT JOIN w` is complete before this is evaluated.)
const LATE: &str = "($3 IS NULL AND floor(date_part('epoch', clock_timestamp()))::bigint > t.at)";

/// `columns`: of `w`, for number, expiration, version, metadata and value. If the statement is late, which does not
/// matter to some changes, `count` is NULL, so that nothing is changed. If nothing was changed, the last column tells.
fn single(change: &str, columns: [&str; 5], late: &str) -> String {
    let [number, expiration, version, metadata, value] = columns;
    format!(
        "{TIMES} w AS ({change}), d AS (
            INSERT INTO luat_kv.kv_done AS d (client, count, at, number, expiration, version, metadata, value)
            SELECT $5, CASE WHEN {late} THEN NULL ELSE $6 END, t.at, {number}, {expiration}, {version}, {metadata},
                {value}
            FROM t LEFT JOIN w ON true WHERE w.done OR ($7 AND NOT {late}) {LEDGER})
        SELECT coalesce(w.done, false), {number}, {expiration}, {version}, {metadata}, {value}, {late}
        FROM t LEFT JOIN w ON true"
    )
}

/// Whether something was changed, for a write that answers that.
const CHANGED: &str = "coalesce(w.done, false)::int::bigint";

const NONE: [&str; 5] = ["NULL::bigint", "NULL::bigint", "NULL::bytea", "NULL::text", "NULL::bytea"];

/// A lifetime, $8 and $9: seconds from now, or a time that is at least $10 seconds from now.
const EXPIRES: &str = "coalesce(t.up + $8, $9)";
const LASTS: &str = "($9 IS NULL OR $9 - t.now >= $10)";

/// $11: version, $12: metadata, $13: value.
fn insert() -> String {
    format!(
        "INSERT INTO luat_kv.kv AS k (namespace, key, expiration, version, metadata, value)
        SELECT $1, $2, {EXPIRES}, $11, $12, $13 FROM t WHERE {LASTS}
        ON CONFLICT (namespace, key) DO UPDATE SET expiration = excluded.expiration, version = excluded.version,
            metadata = excluded.metadata, value = excluded.value"
    )
}

/// A put without an expiration, whose result does not depend on the time. $1: namespace, $2: key, $3: how long to wait
/// for locks, $4: the client, $5: the number of its write, $6: version, $7: metadata, $8: value.
pub(super) static PUT_WITHOUT_EXPIRATION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH t AS MATERIALIZED (SELECT {} AS at, set_config('lock_timeout', $3, true)),
        w AS (INSERT INTO luat_kv.kv (namespace, key, version, metadata, value) SELECT $1, $2, $6, $7, $8 FROM t
            ON CONFLICT (namespace, key) DO UPDATE SET expiration = NULL, version = excluded.version,
                metadata = excluded.metadata, value = excluded.value RETURNING true)
        INSERT INTO luat_kv.kv_done AS d (client, count, at) SELECT $4, $5, t.at FROM t, w {LEDGER}",
        now!()
    )
});

pub(super) static PUT: LazyLock<String> =
    LazyLock::new(|| single(&format!("{} RETURNING true AS done", insert()), NONE, LATE));

pub(super) static ADD: LazyLock<String> = LazyLock::new(|| {
    let change = format!("{} WHERE k.expiration <= (SELECT now FROM t) RETURNING true AS done", insert());
    single(&change, [CHANGED, NONE[1], NONE[2], NONE[3], NONE[4]], LATE)
});

/// $11: version.
pub(super) static TOUCH: LazyLock<String> = LazyLock::new(|| {
    let change = format!(
        "UPDATE luat_kv.kv AS k SET expiration = {EXPIRES}, version = $11 FROM t
        WHERE k.namespace = $1 AND k.key = $2 AND (k.expiration IS NULL OR k.expiration > t.now) AND {LASTS}
        RETURNING true AS done"
    );
    single(&change, [CHANGED, NONE[1], NONE[2], NONE[3], NONE[4]], LATE)
});

/// Also removes a row that has expired. The number is 1 if it had not.
pub(super) static DELETE: LazyLock<String> = LazyLock::new(|| {
    let change = "DELETE FROM luat_kv.kv AS k USING t WHERE k.namespace = $1 AND k.key = $2
        RETURNING true AS done, (k.expiration IS NULL OR k.expiration > t.now)::int::bigint AS number";
    single(change, ["coalesce(w.number, 0)", NONE[1], NONE[2], NONE[3], NONE[4]], LATE)
});

pub(super) static TAKE: LazyLock<String> = LazyLock::new(|| {
    let change = "DELETE FROM luat_kv.kv AS k USING t
        WHERE k.namespace = $1 AND k.key = $2 AND (k.expiration IS NULL OR k.expiration > t.now)
        RETURNING true AS done, k.expiration, k.version, k.metadata, k.value";
    single(change, [NONE[0], "w.expiration", "w.version", "w.metadata", "w.value"], LATE)
});

/// $11: version, $12: by, $13: the sum of a new key. Changes nothing if the value is not a number in its one form, or
/// the sum would overflow.
pub(super) static INCR: LazyLock<String> = LazyLock::new(|| {
    let sum = incremented("$12");
    let change = format!(
        "INSERT INTO luat_kv.kv AS k (namespace, key, expiration, version, value)
        SELECT $1, $2, {EXPIRES}, $11, convert_to($13::bigint::text, 'UTF8') FROM t WHERE {LASTS}
        ON CONFLICT (namespace, key) DO UPDATE SET version = excluded.version,
            expiration = CASE WHEN k.expiration <= (SELECT now FROM t) THEN excluded.expiration ELSE k.expiration END,
            metadata = CASE WHEN k.expiration <= (SELECT now FROM t) THEN NULL ELSE k.metadata END,
            value = CASE WHEN k.expiration <= (SELECT now FROM t) THEN excluded.value
                ELSE convert_to(({sum})::text, 'UTF8') END
        WHERE k.expiration <= (SELECT now FROM t) OR ({sum}) IS NOT NULL
        RETURNING true AS done, convert_from(k.value, 'UTF8')::bigint AS number"
    );
    single(&change, ["w.number", NONE[1], NONE[2], NONE[3], NONE[4]], LATE)
});

/// The answer of a write that was made. $1: the client, $2: the number of its write.
pub(super) const ANSWER: &str = "SELECT number IS DISTINCT FROM 0, number, expiration, version, metadata, value
    FROM luat_kv.kv_done
    WHERE client = $1 AND count = $2";

// Writes of several operations.

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// How long a lock may take, and each statement, in this transaction, and how long the server waits for the next flight:
/// this process may have been stopped, or its machine be gone. $1, $2: milliseconds.
pub(super) const SET_TIMEOUTS: &str = "SELECT set_config('lock_timeout', $1, true),
    set_config('statement_timeout', $2, true), set_config('idle_in_transaction_session_timeout', $2, true)";

/// Locks keys, in their order: the rows of those that have one, and for the others a new row that has expired. (`ON
/// CONFLICT DO UPDATE` locks a row also if it is not updated.) $1: namespaces, $2: keys, $3: the version.
pub(super) const LOCK: &str = "INSERT INTO luat_kv.kv AS k (namespace, key, expiration, version, value)
    SELECT p.namespace, p.key, 0, $3, ''::bytea FROM unnest($1, $2) AS p (namespace, key)
    ORDER BY p.namespace, p.key
    ON CONFLICT (namespace, key) DO UPDATE SET namespace = excluded.namespace WHERE false";

/// Reads what was locked. $1: namespaces, $2: keys, $3: whether the value is needed. The first column is the number of
/// the key, from 1.
pub(super) const LOCKED: &str = "SELECT p.i, k.expiration, k.version, k.metadata, CASE WHEN p.is_read THEN k.value END
    FROM unnest($1, $2, $3) WITH ORDINALITY AS p (namespace, key, is_read, i)
    JOIN luat_kv.kv AS k ON k.namespace = p.namespace AND k.key = p.key";

/// The times once the rows are locked, and whether the ledger has the write. $1: the client, $2: the number, $3: now.
pub(super) const LOCKED_AT: &str = "SELECT coalesce($3, floor(e)::bigint), coalesce($3, ceil(e)::bigint),
    EXISTS (SELECT FROM luat_kv.kv_done WHERE client = $1 AND count = $2)
    FROM date_part('epoch', statement_timestamp()) AS e";

/// $1: the client, $2: the number, $3: the answer, if it is a number.
pub(super) static NOTE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO luat_kv.kv_done AS d (client, count, at, number)
        VALUES ($1, $2, floor(date_part('epoch', statement_timestamp()))::bigint, $3) {LEDGER}"
    )
});

/// $1: namespaces, $2: keys, $3: seconds from now, $4: times, $5: metadata, $6: values, $7: the version, $8: now, $9: how
/// far from now times must be. An earlier one makes the namespace NULL, which it must not be.
pub(super) const PUT_ALL: &str = "INSERT INTO luat_kv.kv AS k (namespace, key, expiration, version, metadata, value)
    SELECT CASE WHEN p.at - t.now < $9 THEN NULL ELSE p.namespace END, p.key, coalesce(t.up + p.ttl, p.at), $7,
        p.metadata, p.value
    FROM (SELECT coalesce($8, ceil(e)::bigint) AS up, coalesce($8, floor(e)::bigint) AS now
            FROM date_part('epoch', statement_timestamp()) AS e) AS t,
        unnest($1, $2, $3, $4, $5, $6) AS p (namespace, key, ttl, at, metadata, value)
    ORDER BY p.namespace, p.key
    ON CONFLICT (namespace, key) DO UPDATE SET expiration = excluded.expiration, version = excluded.version,
        metadata = excluded.metadata, value = excluded.value";

/// The same for keys that have no live entry. Tells how many rows it has changed.
pub(super) static ADD_ALL: LazyLock<String> = LazyLock::new(|| format!("{PUT_ALL} WHERE k.expiration <= {}", now!(8)));

/// Keeps a part of a large value, as text, until the transaction ends, and returns no row. $1: its name, $2: the part.
/// (PostgreSQL's own: other servers may not have parameters of any name.)
pub(super) const KEEP_PART: &str = "SELECT WHERE set_config($1, encode($2, 'base64'), true) IS NULL";

/// Stores an entry whose value was sent in parts. $1: namespace, $2: key, $3: seconds from now, $4: a time, $5:
/// metadata, $6: the number of parts, $7: the version, $8: now, $9: as above.
pub(super) const PUT_PARTS: &str = "INSERT INTO luat_kv.kv AS k (namespace, key, expiration, version, metadata, value)
    SELECT CASE WHEN $4 - coalesce($8, floor(date_part('epoch', statement_timestamp()))::bigint) < $9 THEN NULL ELSE $1 END,
        $2, coalesce(coalesce($8, ceil(date_part('epoch', statement_timestamp()))::bigint) + $3, $4), $7, $5,
        string_agg(decode(current_setting('luat_kv.part' || i), 'base64'), ''::bytea ORDER BY i)
    FROM generate_series(1, $6) AS i
    ON CONFLICT (namespace, key) DO UPDATE SET expiration = excluded.expiration, version = excluded.version,
        metadata = excluded.metadata, value = excluded.value";

/// The same for a key that has no live entry.
pub(super) static ADD_PARTS: LazyLock<String> =
    LazyLock::new(|| format!("{PUT_PARTS} WHERE k.expiration <= {}", now!(8)));

/// $1: namespaces, $2: keys.
pub(super) const DELETE_ALL: &str = "DELETE FROM luat_kv.kv AS k USING unnest($1, $2) AS p (namespace, key)
    WHERE k.namespace = p.namespace AND k.key = p.key";

// Housekeeping.

/// Finds the rows of a sweep. (Not as a subquery, which the server may carry out several times, each for other rows.)
macro_rules! sweep {
    ($from:literal, $lock:literal) => {
        concat!(
            "d AS MATERIALIZED (SELECT namespace, key FROM ",
            $from,
            " WHERE expiration <= ",
            now!(2),
            " ORDER BY expiration LIMIT $1 FOR UPDATE ",
            $lock,
            ")"
        )
    };
    // Rows that others have locked are left to them: two sweeps that wait for each other would be a deadlock.
    () => {
        sweep!("luat_kv.kv", "SKIP LOCKED")
    };
}

/// The deletion of what [`sweep`] has found.
macro_rules! delete_swept {
    () => {
        "DELETE FROM luat_kv.kv WHERE (namespace, key) IN (SELECT namespace, key FROM d)"
    };
}

/// A sweep that nobody has asked for. $1: the number of rows, $2: now.
pub(super) const SWEEP: &str = concat!("WITH ", sweep!(), delete_swept!());

/// The same, with its answer. $3: how long to wait for locks, $4: the client, $5: the number of its write, $6: whether it
/// may have been made already.
pub(super) static SWEEP_ASKED_FOR: LazyLock<String> = LazyLock::new(|| asked_for(sweep!()));

/// The same for a second attempt. Rows may still be locked by the first one, whose connection has broken and which the
/// server has yet to roll back, so this one waits for them, after `t` has set the timeout.
pub(super) static SWEEP_REPEATED: LazyLock<String> = LazyLock::new(|| asked_for(sweep!("t, luat_kv.kv AS k", "OF k")));

fn asked_for(sweep: &str) -> String {
    let (delete, at) = (delete_swept!(), now!());
    format!(
        "WITH t AS MATERIALIZED (SELECT {at} AS at, set_config('lock_timeout', $3, true)),
        {sweep}, x AS ({delete} RETURNING true), w AS (SELECT count(*) AS number FROM x),
        n AS (INSERT INTO luat_kv.kv_done AS d (client, count, at, number)
            SELECT $4, $5, t.at, w.number FROM t, w WHERE $6 OR w.number > 0 {LEDGER})
        SELECT true, w.number FROM w"
    )
}

/// Forgets clients that have written nothing for an hour, except those that are writing now.
pub(super) const FORGET_CLIENTS: &str = "WITH d AS MATERIALIZED (SELECT client FROM luat_kv.kv_done
        WHERE at < floor(date_part('epoch', statement_timestamp()))::bigint - 3600 LIMIT 1000 FOR UPDATE SKIP LOCKED)
    DELETE FROM luat_kv.kv_done WHERE client IN (SELECT client FROM d)";

/// One step of a removal. $1: namespace, $2: from, $3: now, $4: how long to wait for locks, $5: the client, $6: the
/// number of its write, $7: whether it may have been made already, $8: rows, $9: bytes, $10: the end. Answers with the
/// number of live rows and, if the range may have more, the last key.
pub(super) fn remove(is_bounded: bool) -> String {
    let below = below(is_bounded, "$10");
    // It locks after `t` has set the timeout, and in the order of the keys.
    format!(
        "{TIMES} r AS MATERIALIZED (SELECT k.key, octet_length(k.value) AS size FROM t, luat_kv.kv AS k
            WHERE k.namespace = $1 AND k.key >= $2{below} ORDER BY k.key LIMIT $8),
        s AS MATERIALIZED (SELECT key FROM (SELECT key, sum(size) OVER (ORDER BY key) - size AS before FROM r) AS q
            WHERE before < $9),
        l AS MATERIALIZED (SELECT key FROM luat_kv.kv WHERE namespace = $1 AND key IN (SELECT key FROM s)
            ORDER BY key FOR UPDATE),
        x AS (DELETE FROM luat_kv.kv AS k USING t WHERE k.namespace = $1 AND k.key IN (SELECT key FROM l)
            RETURNING k.expiration IS NULL OR k.expiration > t.now AS is_live),
        w AS (SELECT count(*) > 0 AS done, count(*) FILTER (WHERE x.is_live) AS number,
                CASE WHEN (SELECT count(*) FROM r) >= $8 OR (SELECT count(*) FROM s) < (SELECT count(*) FROM r)
                    THEN (SELECT key FROM s ORDER BY key DESC LIMIT 1) END AS last
            FROM x),
        d AS (INSERT INTO luat_kv.kv_done AS d (client, count, at, number, value)
            SELECT $5, $6, t.at, w.number, w.last FROM t, w WHERE $7 OR w.done {LEDGER})
        SELECT true, w.number, NULL::bigint, NULL::bytea, NULL::text, w.last FROM w"
    )
}

/// An increment within a transaction that has locked the row. $1: namespace, $2: key, $3: now, $4: seconds from now,
/// $5: version, $6: by, $7: the sum of a new key. If the value is not a number in its one form, or the sum would
/// overflow, the new value is NULL, which it must not be.
pub(super) static INCR_LOCKED: LazyLock<String> = LazyLock::new(|| {
    let sum = incremented("$6");
    let now = now!(3);
    format!(
        "INSERT INTO luat_kv.kv AS k (namespace, key, expiration, version, value)
        VALUES ($1, $2, coalesce($3, ceil(date_part('epoch', statement_timestamp()))::bigint) + $4, $5,
            convert_to($7::bigint::text, 'UTF8'))
        ON CONFLICT (namespace, key) DO UPDATE SET version = excluded.version,
            expiration = CASE WHEN k.expiration <= {now} THEN excluded.expiration ELSE k.expiration END,
            metadata = CASE WHEN k.expiration <= {now} THEN NULL ELSE k.metadata END,
            value = CASE WHEN k.expiration <= {now} THEN excluded.value ELSE convert_to(({sum})::text, 'UTF8') END"
    )
});

/// The number that a value is, plus another one; NULL if it is not a number in its one form, or the sum would not be a
/// `bigint`. (Only `CASE` has an order of evaluation.)
fn incremented(by: &str) -> String {
    let text = "encode(k.value, 'escape')";
    let whole = "BETWEEN -9223372036854775808 AND 9223372036854775807";
    format!(
        "CASE WHEN octet_length(k.value) > 20 THEN NULL
            WHEN {text} !~ '^(0|-?[1-9][0-9]{{0,18}})$' THEN NULL
            WHEN {text}::numeric {whole} AND {text}::numeric + {by} {whole} THEN {text}::numeric + {by} END"
    )
}
