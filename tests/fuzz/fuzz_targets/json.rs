//! JSON bodies of every route: the first byte selects the route, the second the user in its path,
//! whether `ada` asks or nobody, and whether a configuration is taken without a test; the rest is the
//! body.

#![no_main]

use std::sync::{Mutex, OnceLock};

use auth_server_fuzz::robot::Robot;
use libfuzzer_sys::fuzz_target;

const KIND: &str = "application/json";
const USERS: [&str; 4] = ["ada", "eve", "bot", "nobody"];
static ROBOT: OnceLock<Mutex<(Robot, Vec<(String, String)>)>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let robot = ROBOT.get_or_init(|| {
        let mut robot = Robot::start();
        let operations = robot.operations(KIND);
        Mutex::new((robot, operations))
    });
    let (robot, operations) = &mut *robot.lock().expect("a panic ends the process");
    let [route, who, body @ ..] = bytes else {
        return;
    };
    let (method, path) = &operations[usize::from(*route) % operations.len()];
    let path = path.replace("{username}", USERS[usize::from(*who) % USERS.len()]);
    let path = match who & 8 {
        0 => path,
        _ => format!("{path}?test=false"),
    };
    let answer = robot.ask(method, &path, who & 4 == 0, KIND, body);
    if answer.status < 400 {
        answer.json();
    }
    robot.settle();
});
