//! luat.toml: any bytes are an error that names a line, or give what the whole toml crate says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match luat_kv::fuzzing::data_dir(bytes) {
        Ok(found) => {
            let table: toml::Table = std::str::from_utf8(bytes).unwrap().parse().unwrap();
            let expected = table.get("routing").and_then(|routing| routing.get("data_dir"));
            let expected = expected.map_or(".luat/data", |data_dir| data_dir.as_str().unwrap());
            assert_eq!(found, std::path::Path::new(expected));
        }
        Err(error) => {
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            let line = error.message().strip_prefix("luat.toml:").and_then(|rest| rest.split(':').next());
            let line: usize = line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("no line: {error}"));
            assert!((1..=lines).contains(&line), "{error}");
        }
    }
});
