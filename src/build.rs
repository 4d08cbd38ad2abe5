//! Build script: passes the git commit and the target triple of the build to the crate, and the OpenAPI
//! document, compressed and without the line breaks that make its differences readable.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=AUTH_SERVER_GIT_SHA");
    // Not .git/HEAD: in a git worktree, .git is a file.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=src");
    // The recipe sets the variable because BitBake's task environment may lack git.
    let sha = env::var("AUTH_SERVER_GIT_SHA")
        .ok()
        .filter(|sha| !sha.is_empty())
        .or_else(|| git(&["rev-parse", "HEAD"]))
        .unwrap_or_else(|| "unknown".into());
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".into());
    println!("cargo:rustc-env=AUTH_SERVER_GIT_SHA={sha}");
    println!("cargo:rustc-env=AUTH_SERVER_TARGET={target}");

    // JSON has no line breaks within strings (RFC 8259 §7).
    let document = fs::read_to_string("src/http/docs/openapi.json")?.replace('\n', "");
    let directory = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let compressed = miniz_oxide::deflate::compress_to_vec(document.as_bytes(), 10);
    fs::write(
        Path::new(&directory).join("openapi.json.deflate"),
        compressed,
    )
}

/// Returns the output of git in this checkout, or `None` outside a git checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    if !output.status.success() {
        return None;
    }
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
