//! One of each operation, with what it must return and leave.

use std::io::Cursor;
use std::sync::atomic::{AtomicU64, Ordering};

use luat_kv::{Clock, Format, IncrOptions, ListOptions, Namespace, OpenOptions, PutOptions, Result, Store};

/// An operation on a namespace that [`prepare`] has filled.
pub struct Operation {
    pub name: &'static str,
    /// Carries it out, and returns its result as text.
    pub run: fn(&Namespace) -> Result<String>,
    /// What it returns.
    pub returns: &'static str,
    /// What is in the namespace then; `None`: what was there before.
    pub leaves: Option<&'static str>,
}

/// What [`prepare`] stores, as [`contents`] shows it.
pub const BEFORE: &str = "counter=7 doc=old{1} old=bye p/1=x p/2=y p/3=z";

/// A new namespace with some entries.
pub fn prepare(store: &Store) -> Result<Namespace> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let namespace = store.namespace(&format!("cut {}", NUMBER.fetch_add(1, Ordering::Relaxed)))?;
    let mut batch = store.batch();
    for (key, value) in [("counter", "7"), ("old", "bye"), ("p/1", "x"), ("p/2", "y"), ("p/3", "z")] {
        batch.put(&namespace, key, value)?;
    }
    batch.put_with(&namespace, "doc", "old", &PutOptions::default().metadata("1"))?;
    batch.commit()?;
    Ok(namespace)
}

/// Opens a store for whose writes it is long ago: what it puts with a lifetime has expired.
pub fn open_long_ago(url: &str) -> Result<Store> {
    Store::open_url(url, &OpenOptions::new().clock(Clock::manual(1_000)))
}

/// The same as [`prepare`] and a second namespace, with nothing else in the store, and [`EXPIRED`] entries that nobody
/// has removed.
pub fn prepare_alone(store: &Store, long_ago: &Store) -> Result<Namespace> {
    for name in store.namespaces()? {
        store.namespace(&name)?.clear()?;
    }
    store.sweep(None)?;
    store.namespace("other")?.put("k", "v")?;
    let namespace = prepare(store)?;
    let same = long_ago.namespace(namespace.name())?;
    for number in 0..EXPIRED {
        same.put_with(&format!("expired/{number}"), "gone", &PutOptions::default().ttl(60))?;
    }
    Ok(namespace)
}

pub const EXPIRED: u64 = 2;

/// How many expired entries of a namespace nobody has removed.
pub fn expired(namespace: &Namespace) -> Result<u64> {
    let stats = namespace.store().stats()?;
    Ok(stats.namespaces.iter().filter(|stats| stats.name == namespace.name()).map(|stats| stats.expired).sum())
}

/// All keys of a namespace, with their values and metadata.
pub fn contents(namespace: &Namespace) -> Result<String> {
    shown(namespace, "")
}

fn shown(namespace: &Namespace, prefix: &str) -> Result<String> {
    let page = namespace.list(&ListOptions::new().prefix(prefix).values(true))?;
    let entries = page.entries.iter().map(|entry| {
        let metadata = entry.metadata.as_ref().map_or(String::new(), |json| format!("{{{json}}}"));
        let ends = if entry.expiration.is_some() { "!" } else { "" };
        format!("{}={}{metadata}{ends}", entry.key, text(entry.value()))
    });
    Ok(entries.collect::<Vec<_>>().join(" "))
}

fn text(bytes: &[u8]) -> String {
    match bytes {
        [first, .., last] if bytes.len() > 100 => format!("{}…{} ({})", *first as char, *last as char, bytes.len()),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A value that is sent in several parts.
fn large() -> Vec<u8> {
    let mut value = vec![b'-'; 4_200_000];
    value[0] = b'<';
    *value.last_mut().expect("it is not empty") = b'>';
    value
}

fn nothing() -> String {
    "nothing".to_owned()
}

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "get",
        run: |kv| Ok(kv.get("doc")?.map_or_else(nothing, |value| text(&value))),
        returns: "old",
        leaves: None,
    },
    Operation { name: "has", run: |kv| Ok(kv.has("doc")?.to_string()), returns: "true", leaves: None },
    Operation {
        name: "get_many",
        run: |kv| Ok(kv.get_many(&["old", "none", "p/1"])?.iter().map(|entry| text(entry.value())).collect()),
        returns: "byex",
        leaves: None,
    },
    Operation { name: "list", run: |kv| shown(kv, "p/"), returns: "p/1=x p/2=y p/3=z", leaves: None },
    Operation { name: "count", run: |kv| Ok(kv.count("p/")?.to_string()), returns: "3", leaves: None },
    Operation {
        name: "export",
        run: |kv| Ok(kv.export(&mut Vec::new(), Format::JsonLines)?.to_string()),
        returns: "6",
        leaves: None,
    },
    Operation {
        name: "put",
        run: |kv| kv.put("doc", "new").map(|_| String::new()),
        returns: "",
        leaves: Some("counter=7 doc=new old=bye p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "put with metadata and a lifetime",
        run: |kv| kv.put_with("doc", "new", &PutOptions::default().ttl(3600).metadata("[2]")).map(|_| String::new()),
        returns: "",
        leaves: Some("counter=7 doc=new{[2]}! old=bye p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "add",
        run: |kv| Ok(kv.add("new", "1")?.is_some().to_string()),
        returns: "true",
        leaves: Some("counter=7 doc=old{1} new=1 old=bye p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "add to what is there",
        run: |kv| Ok(kv.add("old", "1")?.is_some().to_string()),
        returns: "false",
        leaves: None,
    },
    Operation {
        name: "touch",
        run: |kv| Ok(kv.touch("old", None, Some(3600))?.to_string()),
        returns: "true",
        leaves: Some("counter=7 doc=old{1} old=bye! p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "incr",
        run: |kv| Ok(kv.incr("counter", 5)?.to_string()),
        returns: "12",
        leaves: Some("counter=12 doc=old{1} old=bye p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "incr of a missing key",
        run: |kv| Ok(kv.incr_with("n", 1, &IncrOptions::default().initial(41))?.to_string()),
        returns: "42",
        leaves: Some("counter=7 doc=old{1} n=42 old=bye p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "delete",
        run: |kv| Ok(kv.delete("old")?.to_string()),
        returns: "true",
        leaves: Some("counter=7 doc=old{1} p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "take",
        run: |kv| Ok(kv.take("doc")?.map_or_else(nothing, |entry| text(entry.value()))),
        returns: "old",
        leaves: Some("counter=7 old=bye p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "batch",
        run: |kv| {
            let mut batch = kv.store().batch();
            batch.put(kv, "a", "1")?.delete(kv, "old")?.incr(kv, "counter", 1)?;
            Ok(batch.commit()?.is_some().to_string())
        },
        returns: "true",
        leaves: Some("a=1 counter=8 doc=old{1} p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "batch with checks",
        run: |kv| {
            let mut batch = kv.store().batch();
            batch.check(kv, "a", None)?.put(kv, "a", "1")?.delete(kv, "old")?.incr(kv, "counter", 1)?;
            Ok(batch.commit()?.is_some().to_string())
        },
        returns: "true",
        leaves: Some("a=1 counter=8 doc=old{1} p/1=x p/2=y p/3=z"),
    },
    Operation {
        name: "batch whose check fails",
        run: |kv| {
            let mut batch = kv.store().batch();
            batch.check(kv, "old", None)?.put(kv, "a", "1")?;
            Ok(batch.commit()?.is_some().to_string())
        },
        returns: "false",
        leaves: None,
    },
    Operation {
        name: "delete_prefix",
        run: |kv| Ok(kv.delete_prefix("p/")?.to_string()),
        returns: "3",
        leaves: Some("counter=7 doc=old{1} old=bye"),
    },
    Operation {
        name: "import",
        run: |kv| {
            let lines = concat!(r#"{"key":"i/1","value":"1"}"#, "\n", r#"{"key":"old","value":"2"}"#, "\n");
            Ok(kv.import(&mut Cursor::new(lines), true)?.stored.to_string())
        },
        returns: "2",
        leaves: Some("counter=7 doc=old{1} i/1=1 old=2 p/1=x p/2=y p/3=z"),
    },
];

/// Those that may take longer than a busy timeout, by the number of their bytes.
pub const LARGE: &[Operation] = &[Operation {
    name: "put of a value in parts",
    run: |kv| kv.put("doc", large()).map(|_| String::new()),
    returns: "",
    leaves: Some("counter=7 doc=<…> (4200000) old=bye p/1=x p/2=y p/3=z"),
}];

/// Those that concern all namespaces, as [`prepare_alone`] has filled them. What they leave is the same, but a sweep
/// leaves nothing that has [`expired`].
pub const OF_STORE: &[Operation] = &[
    Operation {
        name: "namespaces",
        run: |kv| {
            let names = kv.store().namespaces()?;
            let known = |name: &String| if name == kv.name() { "its own".to_owned() } else { name.clone() };
            Ok(names.iter().map(known).collect::<Vec<_>>().join(" "))
        },
        returns: "its own other",
        leaves: None,
    },
    Operation {
        name: "stats",
        run: |kv| {
            let stats = kv.store().stats()?.namespaces;
            Ok(stats.iter().map(|of| format!("{}+{}", of.live, of.expired)).collect::<Vec<_>>().join(" "))
        },
        returns: "6+2 1+0",
        leaves: None,
    },
    Operation { name: SWEEP, run: |kv| Ok(kv.store().sweep(None)?.to_string()), returns: "2", leaves: None },
];

pub const SWEEP: &str = "sweep";
