//! Guests, built from source by cargo when the bench begins.

use std::path::Path;
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// The core module of a guest.
pub(crate) fn module(folder: &Path, target: &Path, name: &str) -> Vec<u8> {
    let _ = Command::new("rustup")
        .args(["target", "add", TARGET])
        .output();
    let status = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--quiet",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(target)
        .env_remove("RUSTFLAGS")
        .current_dir(folder)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the guest is built"
    );
    let module = target.join(TARGET).join("release").join(name);
    std::fs::read(module).expect("cargo made it")
}

/// The component of a guest.
pub(crate) fn component(
    folder: &Path,
    target: &Path,
    name: &str,
    manifest: &str,
    wit: &Path,
) -> Vec<u8> {
    let module = module(folder, target, name);
    tripline_sdk_component::build(&module, manifest, wit).expect("it is a component")
}
