//! Features of the Rust API only: builders, iterators, and the sources of errors.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

use luat_kv::{Clock, Code, Detail, IncrOptions, ListOptions, Namespace, OpenOptions, PutOptions, Store};

fn namespace() -> Namespace {
    let options = OpenOptions::new().clock(Clock::manual(1_700_000_000));
    Store::open_memory(&options).unwrap().namespace("n").unwrap()
}

fn numbered(count: usize) -> Namespace {
    let n = namespace();
    for i in 0..count {
        n.put(&format!("k{i:05}"), i.to_string()).unwrap();
    }
    n
}

fn keys(n: &Namespace, options: &ListOptions<'_>) -> Vec<String> {
    n.scan(options).map(|entry| entry.unwrap().key).collect()
}

#[test]
fn values_are_whatever_has_bytes() {
    let n = namespace();
    n.put("text", "a").unwrap();
    n.put("string", String::from("b")).unwrap();
    n.put("bytes", b"\0\xff").unwrap();
    n.put("vector", vec![1, 2]).unwrap();
    assert_eq!(n.add("text", "x"), Ok(None));
    assert!(n.add("new", [7_u8]).unwrap().is_some());
    let values: Vec<_> = n.scan(&ListOptions::new().values(true)).map(|entry| entry.unwrap().into_value()).collect();
    assert_eq!(values, [&b"\0\xff"[..], b"\x07", b"b", b"a", b"\x01\x02"]);
}

#[test]
fn a_commit_counts_what_it_has_done() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions::new();
    for store in [Store::open(folder.path().join("kv.db"), &options), Store::open_memory(&options)] {
        let store = store.unwrap();
        let n = store.namespace("n").unwrap();
        let count = AtomicU64::new(0);
        let mut batch = store.batch();
        batch.put(&n, "a", "1").unwrap().delete(&n, "b").unwrap().incr(&n, "c", 1).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0);
        assert!(batch.commit_with(&count).unwrap().is_some());
        assert_eq!(count.load(Ordering::Relaxed), 3);

        // A check that does not hold ends it.
        let mut batch = store.batch();
        batch.delete(&n, "c").unwrap().check(&n, "a", None).unwrap().delete(&n, "a").unwrap();
        assert_eq!(batch.commit_with(&count).unwrap(), None);
        assert_eq!((count.load(Ordering::Relaxed), n.count("").unwrap()), (1, 2));
    }
}

#[test]
fn builders_set_what_they_say() {
    let n = namespace();
    n.put_with("a", "1", &PutOptions::new().ttl(60).metadata("[1]")).unwrap();
    n.put_with("b", "1", &PutOptions::new().expires_at(1_700_000_100).metadata(None)).unwrap();
    assert_eq!(n.incr_with("c", 1, &IncrOptions::new().initial(41).ttl(60)), Ok(42));
    assert_eq!(n.incr("d", 5), Ok(5));
    let entry = |key| n.get_entry(key).unwrap().unwrap();
    assert_eq!((entry("a").expiration, entry("a").metadata.as_deref()), (Some(1_700_000_060), Some("[1]")));
    assert_eq!((entry("b").expiration, entry("b").metadata), (Some(1_700_000_100), None));
    assert!(entry("c").expiration.is_some() && entry("d").expiration.is_none());
    assert_eq!((entry("c").key.as_str(), entry("c").value()), ("c", &b"42"[..]));
    assert_eq!(n.take("c").unwrap().unwrap().key, "c");
}

#[test]
fn a_scan_goes_on_from_page_to_page() {
    let n = numbered(2500);
    let all: Vec<_> = (0..2500).map(|i| format!("k{i:05}")).collect();
    assert_eq!(keys(&n, &ListOptions::new()), all);
    let backwards: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(keys(&n, &ListOptions::new().reverse(true)), backwards);
    assert_eq!(keys(&n, &ListOptions::new().limit(2001)), all[..2001]);
    assert_eq!(keys(&n, &ListOptions::new().start("k01000").stop("k02100")), all[1000..2100]);
    let page = n.list(&ListOptions::new().limit(10)).unwrap();
    assert_eq!(keys(&n, &ListOptions::new().cursor(page.cursor.as_deref())), all[10..]);
    assert_eq!(keys(&n, &ListOptions::new().prefix("x")), [""; 0]);
    assert!(n.scan(&ListOptions::new()).all(|entry| entry.unwrap().value.is_none()));
}

#[test]
fn a_scan_ends_after_an_error() {
    let n = numbered(1500);
    let mut scan = n.scan(&ListOptions::new());
    assert_eq!(scan.by_ref().take(1000).filter(Result::is_ok).count(), 1000);
    n.store().close().unwrap();
    assert_eq!(scan.next().unwrap().unwrap_err().code(), Code::Invalid);
    assert!(scan.next().is_none());
    let mut wrong = numbered(1).scan(&ListOptions::new().limit(0)).fuse();
    assert!(wrong.next().unwrap().is_err());
    assert!(wrong.next().is_none());
}

#[test]
fn errors_have_the_failed_call_as_their_source() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/kv.db");
    for options in [OpenOptions::new().readonly(true), OpenOptions::new().create(false)] {
        let error = Store::open(&missing, &options).unwrap_err();
        assert_eq!((error.code(), error.io_kind()), (Code::Io, Some(ErrorKind::NotFound)), "{error}");
        let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.raw_os_error(), error.raw_os_error());
        assert!(error.message().contains(&source.to_string()), "{error}");
    }
    let store = Store::open(folder.path().join("kv.db"), &OpenOptions::new()).unwrap();
    let n = store.namespace("n").unwrap();
    let error = n.import_file(folder.path().join("none.json"), false).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::NotFound), "{error}");
    let error = n.export_file(&missing, Default::default()).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::NotFound), "{error}");
    let error = n.store().backup(folder.path().join("kv.db")).unwrap_err();
    assert_eq!((error.code(), error.io_kind()), (Code::Io, Some(ErrorKind::AlreadyExists)), "{error}");
    let error = Store::open(folder.path(), &OpenOptions::new()).unwrap_err();
    assert_eq!((error.code(), error.io_kind()), (Code::Io, Some(ErrorKind::IsADirectory)), "{error}");
    let error = Store::open(folder.path().join("kv.db/below/kv.db"), &OpenOptions::new()).unwrap_err();
    assert_eq!((error.code(), error.io_kind()), (Code::Io, Some(ErrorKind::NotADirectory)), "{error}");
    let error = n.put("", "1").unwrap_err();
    assert!(error.source().is_none() && error.io_kind().is_none() && error.detail().is_none());
}

#[test]
fn details_tell_what_a_code_does_not() {
    let n = namespace();
    n.put("text", "one").unwrap();
    n.put("large", i64::MAX.to_string()).unwrap();
    for key in ["text", "large"] {
        let error = n.incr(key, 1).unwrap_err();
        assert_eq!((error.code(), error.detail()), (Code::Invalid, Some(Detail::NotInteger)), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    Store::open(&path, &OpenOptions::new()).unwrap().close().unwrap();
    let _theirs = std::fs::File::open(&path).unwrap();
    let error = Store::open(&path, &OpenOptions::new()).unwrap_err();
    assert_eq!((error.code(), error.detail()), (Code::Busy, Some(Detail::OpenInOtherLibrary)), "{error}");
}
