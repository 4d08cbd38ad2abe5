//! Raw bytes to a connection: it is answered or closed in time, and nothing fails.

#![no_main]

use std::sync::{Mutex, OnceLock};

use auth_server_fuzz::robot::Robot;
use libfuzzer_sys::fuzz_target;

static ROBOT: OnceLock<Mutex<Robot>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let robot = ROBOT.get_or_init(|| Mutex::new(Robot::start()));
    let mut robot = robot.lock().expect("a panic ends the process");
    let answer = robot.feed(bytes);
    if !answer.is_empty() {
        let head = String::from_utf8_lossy(answer.get(..12).unwrap_or_default()).into_owned();
        let status: u16 = ["HTTP/1.0 ", "HTTP/1.1 "]
            .iter()
            .find_map(|version| head.strip_prefix(version)?.parse().ok())
            .unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(&answer)));
        assert!(
            status < 500 || status == 503,
            "the server failed: {:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    robot.settle();
});
