//! A database of the Python server, which is imported at the first start.

#![no_main]

use auth_server::domain::audit::Origin;
use auth_server::domain::authority::Caller;
use auth_server::os::clock::Clock;
use auth_server::store::{stage_directory, Import, Store, Strictness, Survey, DATABASE};
use auth_server_fuzz::edits::{self, Edit};
use auth_server_fuzz::logger;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const BASES: [(&str, &[u8]); 2] = [
    (
        "1_b8c4e2f1a903",
        include_bytes!("../../python-state/first/1_b8c4e2f1a903/auth_server.db"),
    ),
    (
        "1_c3a91d4e2b70",
        include_bytes!("../../python-state/upgraded/1_c3a91d4e2b70/auth_server.db"),
    ),
];

fuzz_target!(|input: (bool, Vec<Edit>)| {
    logger::init();
    let (upgraded, edits) = input;
    let (folder, base) = BASES[usize::from(upgraded)];
    let directory = TempDir::new().expect("temporary directories can be made");
    let folder = directory.path().join(folder);
    std::fs::create_dir(&folder).expect("the directory can be made");
    let path = folder.join("auth_server.db");
    edits::apply(base, &edits, &path);
    let before = std::fs::read(&path).expect("the database can be read");

    let opened = Store::open_or_import(directory.path(), |_, _| {});
    let made = directory.path().join(DATABASE);
    if opened.is_ok() {
        drop(opened);
        Store::open_or_import(directory.path(), |_, _| {})
            .expect("a server that started starts again");
    } else {
        assert!(!made.exists(), "a database although the import failed");
        force(directory.path());
    }
    let after = std::fs::read(&path).expect("the database is still there");
    assert!(after == before, "the Python server's database was changed");
});

/// Imports whatever is valid, which always succeeds, and starts with it.
fn force(directory: &std::path::Path) {
    let stage = stage_directory(directory).expect("a directory can be made");
    let survey = Survey::of(directory, stage.path()).expect("there is something to import");
    let import = Import::read(&survey, Clock::resume(None).1);
    import
        .check(Strictness::Force)
        .expect("forcing allows all faults");
    let caller = Caller::anonymous(Origin::Console, None);
    import
        .make_database(directory, &caller, |_, _| {})
        .expect("whatever is valid can be imported");
    Store::open_or_import(directory, |_, _| {}).expect("the server starts with what was imported");
}
