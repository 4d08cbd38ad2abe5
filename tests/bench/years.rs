//! Simulates ten years of a robot's use, on the store alone: measures the size of the database, and
//! how long housekeeping delays other operations. Prints JSON for bench.py.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_server::domain::audit::Origin;
use auth_server::domain::authority::Caller;
use auth_server::domain::issue::Issued;
use auth_server::domain::passwords::{NewPassword, Password, PasswordHash};
use auth_server::domain::sessions::end::{end, Which};
use auth_server::domain::sessions::{
    log_in, refresh, revoke, Attempt, LoginOutcome, RefreshOutcome,
};
use auth_server::domain::settings::{self, Setting, SettingsPatch, Value};
use auth_server::domain::tokens::Presented;
use auth_server::domain::users::rules::{self, NewUser};
use auth_server::domain::users::AccountType;
use auth_server::domain::users::Failed;
use auth_server::store::{AuditLog, Store, Verified, DATABASE};

const YEARS: usize = 10;
/// Working days per year.
const DAYS: usize = 250;
const USERS: usize = 20;
/// Logins per user and day. In addition, one user in ten mistypes the password once a day.
const LOGINS: usize = 3;
/// Refreshes per login, before the user logs out.
const REFRESHES: usize = 4;
/// Number of tokens that become useless at the same time, to measure the longest delay.
const TOKENS: usize = 100_000;
/// A PHC string as long as a real one.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn caller() -> Caller {
    Caller::anonymous(Origin::Http, None)
}

fn never<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

/// Sets the lifetime of tokens to longer than the benchmark takes.
async fn never_expire(store: &Store) {
    let mut patch = SettingsPatch::default();
    let day = Value::Duration(Duration::from_secs(86_400));
    patch.add(Setting::named("idleLogout").unwrap(), day);
    store
        .write(move |state, _| settings::rules::patch(state, &caller(), &patch))
        .await
        .unwrap()
        .unwrap();
}

async fn add_users(store: &Store) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for number in 0..USERS {
        let new = NewUser {
            username: format!("scientist{number}"),
            full_name: format!("Scientist Number {number}"),
            account_type: AccountType::User,
            temporary: false,
        };
        let password = NewPassword {
            traits: Password::new("long enough".into()).traits(),
            comparison: None,
        };
        let user = store
            .write(move |state, context| {
                let caller = caller();
                rules::create(state, context.now, &caller, &new, &password)
                    .map(|decide| decide(PasswordHash::from_phc(HASH.into())))
            })
            .await
            .unwrap()
            .unwrap();
        attempts.push(Attempt {
            user: Some(user.id),
            checked: user.password,
            right: true,
            rehashed: None,
        });
    }
    attempts
}

async fn login(store: &Store, attempt: Attempt) -> Option<Issued> {
    let outcome = store
        .write(move |state, context| {
            Ok(log_in(
                state,
                context,
                &caller(),
                &attempt,
                Failed::default(),
                None,
            ))
        })
        .await;
    match never(outcome.unwrap()) {
        LoginOutcome::Granted(issued) => Some(issued),
        _ => None,
    }
}

/// Refreshes a session.
async fn go_on(store: &Store, issued: &Issued) -> Option<Issued> {
    let presented = Presented::of(issued.refresh.expose());
    let outcome = store
        .write(move |state, context| Ok(refresh(state, context, &caller(), &presented, None)))
        .await;
    match never(outcome.unwrap()) {
        RefreshOutcome::Granted { issued, .. } => Some(issued),
        _ => None,
    }
}

/// Simulates all days.
async fn serve(store: &Store, attempts: &[Attempt]) {
    for day in 0..YEARS * DAYS {
        for (number, attempt) in attempts.iter().enumerate() {
            if (number + day) % 10 == 0 {
                let right = false;
                let wrong = Attempt {
                    right,
                    ..attempt.clone()
                };
                assert!(login(store, wrong).await.is_none());
            }
            for _ in 0..LOGINS {
                let mut issued = login(store, attempt.clone()).await.unwrap();
                for _ in 0..REFRESHES {
                    issued = go_on(store, &issued).await.unwrap();
                }
                log_out(store, &issued).await;
            }
        }
        store.forget_expired().await.unwrap();
    }
}

async fn log_out(store: &Store, issued: &Issued) {
    let presented = Presented::of(issued.access.expose());
    let done = store
        .write(move |state, _| Ok(revoke(state, &caller(), &presented)))
        .await;
    never(done.unwrap());
}

/// Returns the longest durations of a read and of a write while [`TOKENS`] tokens of ended sessions are
/// removed.
async fn longest_waits(store: Arc<Store>, attempt: Attempt) -> (Duration, Duration) {
    let mut issued = login(&store, attempt.clone()).await.unwrap();
    // A login issues an access token and a refresh token.
    for _ in 1..TOKENS / 2 {
        issued = login(&store, attempt.clone()).await.unwrap();
    }
    let ended = store
        .write(|state, context| end(state, context.now, &caller(), &Which::All))
        .await;
    ended.unwrap().unwrap();
    assert_eq!(store.read(|state, _| state.token_count()), TOKENS);
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done, digest) = (
            Arc::clone(&store),
            Arc::clone(&done),
            issued.access.digest(),
        );
        std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                store.read(|state, now| assert!(state.authenticate(&digest, now).is_none()));
                longest = longest.max(begun.elapsed());
            }
            longest
        })
    };
    let writes = async {
        let mut longest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let begun = Instant::now();
            login(&store, attempt.clone()).await.unwrap();
            longest = longest.max(begun.elapsed());
        }
        longest
    };
    let housekeeping = async {
        store.forget_expired().await.unwrap();
        done.store(true, Ordering::Relaxed);
    };
    let ((), write) = futures_util::future::join(housekeeping, writes).await;
    (reader.join().unwrap(), write)
}

#[actix_rt::main]
async fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = Arc::new(Store::open(folder.path(), |_, _| {}).unwrap());
    never_expire(&store).await;
    let attempts = add_users(&store).await;
    serve(&store, &attempts).await;
    store.settle().await.unwrap();
    let size = std::fs::metadata(folder.path().join(DATABASE))
        .unwrap()
        .len();
    let begun = Instant::now();
    let verified = AuditLog::open(folder.path()).unwrap().verify().unwrap();
    let Verified::Whole { rows, .. } = verified else {
        panic!("{verified:?}");
    };
    let verifying = begun.elapsed();
    let (read, write) = longest_waits(Arc::clone(&store), attempts[0].clone()).await;
    println!(
        "{}",
        serde_json::json!({
            "years": YEARS,
            "bytes": size,
            "events": rows,
            "verify_seconds": verifying.as_secs_f64(),
            "tokens": TOKENS,
            "longest_read_seconds": read.as_secs_f64(),
            "longest_write_seconds": write.as_secs_f64(),
        })
    );
}
