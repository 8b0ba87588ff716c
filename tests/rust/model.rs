//! Random operations, with a manual clock: both back ends of this machine return the same as a simple model.

use luat_kv::{Clock, OpenOptions, Store};
use proptest::prelude::*;

use reference::{EPOCH, op, run};

#[path = "model/reference.rs"]
mod reference;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_back_end_in_memory_is_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let clock = Clock::manual(EPOCH);
        let options = OpenOptions::new().clock(clock.clone());
        run(&ops, &clock, |store| store.unwrap_or_else(|| Store::open_memory(&options).unwrap()));
    }

    #[test]
    fn the_back_end_on_disk_is_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(EPOCH);
        let options = OpenOptions::new().clock(clock.clone());
        run(&ops, &clock, |store| {
            if let Some(store) = store {
                store.close().unwrap();
            }
            Store::open(folder.path().join("kv.db"), &options).unwrap()
        });
    }
}
