//! Build script: passes the git commit and the target triple of the build to the crate, and the OpenAPI
//! document and the page that shows it, compressed.

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

    let directory = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    // JSON has no line breaks within strings (RFC 8259 §7): they make its differences readable.
    let document = fs::read_to_string("src/http/docs/openapi.json")?.replace('\n', "");
    let page = fs::read_to_string("src/http/docs/page.html")?;
    for (name, text) in [("openapi.json", document), ("page.html", page)] {
        let compressed = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 10);
        fs::write(
            Path::new(&directory).join(format!("{name}.deflate")),
            compressed,
        )?;
    }
    Ok(())
}

/// Returns the output of git in this checkout, or `None` outside a git checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    if !output.status.success() {
        return None;
    }
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
