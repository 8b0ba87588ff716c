//! luat.toml: any bytes are an error that names a line, or give what the whole toml crate says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match luat_kv::fuzzing::configured(bytes) {
        Ok(found) => {
            let table: toml::Table = std::str::from_utf8(bytes).unwrap().parse().unwrap();
            let string = |table_name, key| Some(table.get(table_name)?.get(key)?.as_str().unwrap());
            match string("kv", "url") {
                None => {
                    let data_dir = string("routing", "data_dir").unwrap_or(".luat/data");
                    assert_eq!(found, Some(std::path::Path::new(data_dir).join("kv.db")));
                }
                Some(url) if !url.contains(':') => assert_eq!(found, Some(url.into())),
                Some(_) => {}
            }
        }
        Err(error) => {
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            let line = error.message().strip_prefix("luat.toml:").and_then(|rest| rest.split(':').next());
            let line: usize = line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("no line: {error}"));
            assert!((1..=lines).contains(&line), "{error}");
        }
    }
});
