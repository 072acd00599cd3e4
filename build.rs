//! Sets `cfg(stackful)` where there are stackful tasks: with the feature of that name, on Linux, on
//! the architectures that the stack switch is written for.

use std::env;

pub(crate) fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(stackful)");
    let is = |name: &str, values: &[&str]| {
        env::var(name).is_ok_and(|value| values.contains(&value.as_str()))
    };
    let wanted = env::var_os("CARGO_FEATURE_STACKFUL").is_some();
    // The models are of what does not depend on a stack.
    let modelled = env::var_os("CARGO_CFG_LOOM").is_some();
    // As on other systems, for the check that everything builds there.
    let refused = env::var_os("CARGO_CFG_RUNNEXT_STACKLESS").is_some();
    if wanted
        && !refused
        && !modelled
        && is("CARGO_CFG_TARGET_OS", &["linux"])
        && is("CARGO_CFG_TARGET_ARCH", &["x86_64", "aarch64"])
    {
        println!("cargo::rustc-cfg=stackful");
    }
}
