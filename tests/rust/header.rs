//! Checks that `include/luat_kv.h` is what cbindgen generates from `src/ffi`. With LUAT_KV_WRITE_HEADER set, writes it.

use std::{env, fs, path::Path};

#[test]
fn the_committed_header_is_what_the_source_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut header = Vec::new();
    cbindgen::generate_with_config(root, config).unwrap().write(&mut header);
    let header = without_rust_sections(&String::from_utf8(header).unwrap());
    let path = root.join("include/luat_kv.h");
    if env::var_os("LUAT_KV_WRITE_HEADER").is_some() {
        fs::write(&path, &header).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(committed == header, "include/luat_kv.h is not what src/ffi says: run `make header` and commit it");
}

/// Rust requires a section on safety for each unsafe function. It tells a C programmer nothing new.
fn without_rust_sections(header: &str) -> String {
    let mut kept = Vec::new();
    let mut skipping = false;
    for line in header.lines() {
        if line.trim() == "* # Safety" {
            skipping = true;
            // and the empty line before it
            kept.pop();
        }
        skipping &= line.trim() != "*/";
        if !skipping {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}
