//! Stores that a URL chooses.

use std::path::Path;

use luat_kv::{Code, Durability, OpenOptions, Store};

fn url_of(path: &Path) -> String {
    format!("file://{}", path.to_str().unwrap().replace('%', "%25").replace(' ', "%20"))
}

#[test]
fn a_file_url_and_a_path_open_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b%20.db");
    let by_url = Store::open_url(url_of(&path), &OpenOptions::new()).unwrap();
    by_url.namespace("n").unwrap().put("k", "v").unwrap();
    for store in [
        Store::open(&path, &OpenOptions::new()).unwrap(),
        Store::open_url(path.to_str().unwrap(), &OpenOptions::new().readonly(true)).unwrap(),
    ] {
        assert_eq!(store.label(), by_url.label());
        assert_eq!(store.namespace("n").unwrap().get("k").unwrap().as_deref(), Some(&b"v"[..]));
    }
}

#[test]
fn a_memory_url_opens_a_new_store_each_time() {
    let stores = ["memory:", "memory://"].map(|url| Store::open_url(url, &OpenOptions::new()).unwrap());
    stores[0].namespace("n").unwrap().put("k", "v").unwrap();
    assert_eq!(stores[1].namespaces().unwrap(), Vec::<String>::new());
    assert_eq!(stores[0].label(), "memory");
    let readonly = Store::open_url("memory:", &OpenOptions::new().readonly(true));
    assert_eq!(readonly.unwrap_err().code(), Code::Invalid);
}

#[test]
fn a_url_is_not_the_name_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["postgresql://user:secret@host/database", "mysql://user:secret@host/database", "memory:"] {
        let error = Store::open(url, &OpenOptions::new()).unwrap_err();
        assert_eq!(error.code(), Code::Invalid);
        assert!(error.message().contains("not a URL") && !error.message().contains("secret"), "{error}");
        assert!(!Path::new(url.split('/').next().unwrap()).exists(), "{url}");
    }
    let store = Store::open(folder.path().join("kv.db"), &OpenOptions::new()).unwrap();
    let error = store.backup("postgresql://user:secret@host/database").unwrap_err();
    assert!(error.message().contains("not a URL") && !error.message().contains("secret"), "{error}");
    // In a folder, a file may have any name.
    Store::open(folder.path().join("memory:"), &OpenOptions::new()).unwrap();
}

#[test]
fn options_that_a_server_does_not_have_are_refused_before_it_is_asked() {
    for options in [OpenOptions::new().durability(Durability::Full), OpenOptions::new().cache_size(1 << 20)] {
        let error = Store::open_url("postgresql://user:secret@localhost:1/database", &options).unwrap_err();
        assert_eq!(error.code(), Code::Invalid);
        assert!(error.message().contains("PostgreSQL") && !error.message().contains("secret"), "{error}");
    }
}
