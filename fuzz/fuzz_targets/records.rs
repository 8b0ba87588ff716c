//! Records, which a page keeps in IndexedDB or OPFS: of any bytes all or nothing is loaded, and a store that has loaded
//! them goes on, and gives records of its own that hold the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luat_kv::{Clock, Code, Format, Namespace, OpenOptions, Store};

fn store() -> (Store, Namespace) {
    let options = OpenOptions::new().clock(Clock::manual(1_700_000_000));
    let store = Store::open_memory(&options).unwrap();
    let kv = store.namespace("n").unwrap();
    (store, kv)
}

fn export(kv: &Namespace) -> luat_kv::Result<Vec<u8>> {
    let mut text = Vec::new();
    kv.export(&mut text, Format::JsonLines).map(|_| text)
}

fuzz_target!(|records: &[u8]| {
    let (kept, kv) = store();
    kv.put("a", b"was here").unwrap();
    let before = export(&kv).unwrap();
    match luat_kv::fuzzing::load(&kept, records) {
        Err(error) => {
            assert!(matches!(error.code(), Code::Corrupt | Code::Invalid), "{error}");
            assert_eq!(export(&kv).unwrap(), before);
        }
        Ok(()) => {
            let (copy, copied) = store();
            luat_kv::fuzzing::load(&copy, &luat_kv::fuzzing::record(&kept).unwrap()).unwrap();
            assert_eq!(export(&copied), export(&kv));
            assert_eq!(copy.namespaces(), kept.namespaces());
        }
    }
    kv.put("a", b"again").unwrap();
    assert_eq!(kv.get("a").unwrap().as_deref(), Some(&b"again"[..]));
    kept.sweep(None).unwrap();
});
