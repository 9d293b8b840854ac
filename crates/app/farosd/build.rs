//! Tells the linker how to lay farosd out, so that little of it has to be in memory.
//!
//! The kernel maps the pages around each one that is used. What runs between start and rest is a third of the code; if
//! it is spread over all of it, all of it is in memory. `layout.ld` has it side by side (`scripts/layout` makes it). And
//! what is to be relocated at the start is told in short: in 10 KB, for 390. The C library knows that since glibc 2.36, and
//! an older one says so and does not start the program.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=layout.ld");
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // The linker that Rust brings knows both; for other machines, or where somebody asks for it, it is another one.
    let chosen = env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    let known = is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_ENV", "gnu") && !chosen;
    if is("PROFILE", "release") && known {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/layout.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
