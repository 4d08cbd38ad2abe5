//! A database file that the server finds at its start, or that is restored as a backup.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use auth_server::domain::audit::Origin;
use auth_server::domain::authority::Caller;
use auth_server::store::{AuditLog, Store, DATABASE};
use auth_server_fuzz::edits::{self, Edit};
use auth_server_fuzz::robot::Robot;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static BASE: OnceLock<Vec<u8>> = OnceLock::new();

/// Uses what the server found: a start that succeeded is followed by one that succeeds.
fn use_and_reopen(store: Store, directory: &Path) {
    store.read(|state, now| state.expired(now, 100));
    drop(store);
    let log =
        AuditLog::open(directory).expect("the audit log of a server that started can be read");
    let _verified = log.verify();
    drop(log);
    Store::open(directory, |_, _| {}).expect("a server that started once starts again");
}

fuzz_target!(|edits: Vec<Edit>| {
    let base = BASE.get_or_init(|| Robot::start().database().0);
    let directory = TempDir::new().expect("temporary directories can be made");
    let path = directory.path().join(DATABASE);
    edits::apply(base, &edits, &path);
    let before = std::fs::read(&path).expect("the database can be read");

    let backup = TempDir::new().expect("temporary directories can be made");
    let store = Store::open(backup.path(), |_, _| {}).expect("a new database is made");
    let copy = backup.path().join("copy");
    std::fs::write(&copy, &before).expect("the copy can be written");
    let caller = Caller::anonymous(Origin::Console, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime can be made");
    let restored = runtime.block_on(store.restore(copy, caller));
    if restored.is_err() {
        assert_eq!(
            store.read(|state, _| state.user_count()),
            0,
            "half restored"
        );
    }
    use_and_reopen(store, backup.path());

    match Store::open(directory.path(), |_, _| {}) {
        Ok(store) => use_and_reopen(store, directory.path()),
        Err(error) => {
            let after = std::fs::read(&path).expect("the database is still there");
            assert!(after == before, "changed by a start that failed: {error}");
        }
    }
});
