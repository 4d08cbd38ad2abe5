//! Form bodies of the OAuth routes: the first byte selects the route, the rest is the body.

#![no_main]

use std::sync::{Mutex, OnceLock};

use auth_server_fuzz::robot::Robot;
use libfuzzer_sys::fuzz_target;

const KIND: &str = "application/x-www-form-urlencoded";
static ROBOT: OnceLock<Mutex<(Robot, Vec<(String, String)>)>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let robot = ROBOT.get_or_init(|| {
        let mut robot = Robot::start();
        let operations = robot.operations(KIND);
        Mutex::new((robot, operations))
    });
    let (robot, operations) = &mut *robot.lock().expect("a panic ends the process");
    let Some((route, body)) = bytes.split_first() else {
        return;
    };
    let (method, path) = &operations[usize::from(*route) % operations.len()];
    let answer = robot.ask(method, path, false, KIND, body);
    assert!(
        answer
            .head
            .to_lowercase()
            .contains("\r\ncache-control: no-store"),
        "may be cached: {answer:?}"
    );
    robot.settle();
});
