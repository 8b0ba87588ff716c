//! Imports: any bytes are stored whole or not at all, and what was imported is exported and imported again unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luat_kv::{Clock, Code, Format, Limits, Namespace, OpenOptions, PutOptions, Store};

fn namespace(limits: Limits) -> Namespace {
    let options = OpenOptions::new().limits(limits).clock(Clock::manual(1_700_000_000));
    Store::open_memory(&options).unwrap().namespace("n").unwrap()
}

fn export(kv: &Namespace, format: Format) -> Vec<u8> {
    let mut text = Vec::new();
    kv.export(&mut text, format).unwrap();
    text
}

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (replace, is_strict, file) = input;
    let kv = namespace(if is_strict { Limits::Cloudflare } else { Limits::Default });
    kv.put_with("a", b"was here", &PutOptions::new().metadata("[1]")).unwrap();
    let before = export(&kv, Format::JsonLines);
    match kv.import(&mut &*file, replace) {
        Err(error) => {
            assert!(matches!(error.code(), Code::Invalid | Code::Limit), "{error}");
            assert_eq!(export(&kv, Format::JsonLines), before, "an import that fails changes nothing: {error}");
        }
        Ok(_) => {
            for format in [Format::Json, Format::JsonLines] {
                let (text, copy) = (export(&kv, format), namespace(Limits::Default));
                if kv.count("").unwrap() > 0 {
                    copy.import(&mut &*text, false).unwrap();
                }
                assert_eq!(export(&copy, format), text);
            }
        }
    }
});
