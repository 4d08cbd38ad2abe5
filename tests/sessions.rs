//! Sessions over HTTP, from the first user to the last logout. The server runs in the test's own
//! process, so that mutation tests can break it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use actix_web::rt::task::spawn_blocking;
use common::{start, PATIENCE};
use serde_json::{json, Value};

mod common;

const FORM: &str = "application/x-www-form-urlencoded";
const PASSWORD: &str = "correct-horse";

/// A response: status, head in lower case, and body.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

/// Requests to the server at an address, each on a connection of its own.
struct Client(SocketAddr);

impl Client {
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: robot\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let length = body.len();
        request += &format!("Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    fn json(&self, method: &str, path: &str, token: Option<&str>, data: Value) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        let body = json!({ "data": data }).to_string();
        self.send(method, path, &headers, &body)
    }

    fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|b| ("Authorization", b.as_str()))
            .collect();
        self.send("GET", path, &headers, "")
    }

    fn form(&self, route: &str, parameters: &str) -> Answer {
        let path = format!("/auth/oauth2/{route}");
        let body = format!("client_id=opentrons_app&{parameters}");
        self.send("POST", &path, &[("Content-Type", FORM)], &body)
    }

    fn try_login(&self, username: &str, password: &str) -> Answer {
        let user = format!("username={username}&password={password}");
        self.form("token", &format!("grant_type=password&{user}"))
    }

    fn login(&self, username: &str, password: &str) -> Pair {
        Pair::of(&self.try_login(username, password))
    }

    fn try_refresh(&self, token: &str) -> Answer {
        self.form(
            "token",
            &format!("grant_type=refresh_token&refresh_token={token}"),
        )
    }

    fn introspect(&self, token: &str) -> Value {
        let answer = self.form("introspect", &format!("token={token}"));
        assert_eq!(answer.status, 200);
        answer.body
    }

    fn active(&self, token: &str) -> bool {
        self.introspect(token)["active"] == true
    }

    fn create(&self, username: &str, account_type: &str, token: Option<&str>) -> Answer {
        let user = json!({
            "username": username, "fullName": "Ada L", "accountType": account_type,
            "password": PASSWORD,
        });
        self.json("POST", "/auth/users", token, user)
    }
}

/// A pair of tokens.
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["token_type"], "Bearer");
        assert!(answer.head.contains("\r\npragma: no-cache"));
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

/// Runs a client against a server with access control off and without users.
async fn with_server(act: impl FnOnce(&Client) + Send + 'static) {
    let (server, address, _directory) = start(1, |_| {}).await;
    spawn_blocking(move || act(&Client(address))).await.unwrap();
    assert_eq!(server.stop(PATIENCE).await, 0);
}

fn error(answer: &Answer) -> (u16, &str) {
    (
        answer.status,
        answer.body["error"].as_str().unwrap_or_default(),
    )
}

fn error_id(answer: &Answer) -> (u16, &str) {
    let id = answer.body["errors"][0]["id"].as_str();
    (answer.status, id.unwrap_or_default())
}

#[actix_web::test]
async fn a_session_begins_goes_on_and_ends() {
    with_server(|client| {
        assert_eq!(client.create("ada", "user", None).status, 201);
        let answer = client.try_login("ada", PASSWORD);
        assert_eq!(answer.body["expires_in"], 180);
        let first = Pair::of(&answer);
        let about = client.introspect(&first.access);
        assert_eq!(about["active"], true);
        assert_eq!(about["username"], "ada");
        assert_eq!(about["ot_fullname"], "Ada L");
        assert_eq!(about["ot_account_type"], "user");
        assert_eq!(about["client_id"], "opentrons_app");
        assert_eq!(about["token_type"], "Bearer");
        assert_eq!(about["scope"], answer.body["scope"]);
        let lifetime = about["exp"].as_i64().unwrap() - about["iat"].as_i64().unwrap();
        assert_eq!(lifetime, 180);
        // Only access tokens are introspected.
        assert_eq!(client.introspect(&first.refresh), json!({"active": false}));
        let second = Pair::of(&client.try_refresh(&first.refresh));
        assert_ne!(first.access, second.access);
        assert!(client.active(&second.access));
        let revoked = client.form("revoke", &format!("token={}", second.refresh));
        assert_eq!(revoked.status, 200);
        for access in [&first.access, &second.access] {
            assert_eq!(client.introspect(access), json!({"active": false}));
        }
        assert_eq!(
            error(&client.try_refresh(&second.refresh)),
            (400, "invalid_grant")
        );
        assert_eq!(client.form("revoke", "token=unknown").status, 200);
        let third = client.login("ada", PASSWORD);
        assert_eq!(
            client
                .form("revoke", &format!("token={}", third.access))
                .status,
            200
        );
        assert!(!client.active(&third.access));
    })
    .await;
}

#[actix_web::test]
async fn a_request_for_a_token_is_refused_for_what_is_wrong_with_it() {
    with_server(|client| {
        assert_eq!(client.create("ada", "user", None).status, 201);
        let refused = |parameters: &str, expected| {
            let answer = client.form("token", parameters);
            assert_eq!(error(&answer), expected, "{parameters}");
            answer
        };
        let invalid = (400, "invalid_request");
        refused("grant_type=password&username=ada", invalid);
        refused("grant_type=password&password=x", invalid);
        refused("grant_type=password&username=&password=x", invalid);
        refused("grant_type=refresh_token", invalid);
        refused("username=ada&password=x", invalid);
        refused("grant_type=password&grant_type=password", invalid);
        refused("client_id=opentrons_app", invalid);
        refused("grant_type=implicit", (400, "unsupported_grant_type"));
        let login = format!("grant_type=password&username=ada&password={PASSWORD}");
        refused(&format!("{login}&scope=none.such"), (400, "invalid_scope"));
        refused(
            &format!("{login}&scope=users.write"),
            (400, "invalid_scope"),
        );
        refused(
            "grant_type=password&username=ada&password=wrong",
            (400, "invalid_grant"),
        );
        refused(
            "grant_type=password&username=eve&password=wrong",
            (400, "invalid_grant"),
        );
        refused(
            "grant_type=refresh_token&refresh_token=x",
            (400, "invalid_grant"),
        );
        let granted = client.login("ada", PASSWORD);
        let refresh = format!("grant_type=refresh_token&refresh_token={}", granted.refresh);
        refused(
            &format!("{refresh}&scope=none.such"),
            (400, "invalid_scope"),
        );
        refused(
            &format!("{refresh}&scope=users.write"),
            (400, "invalid_scope"),
        );
        for route in ["introspect", "revoke"] {
            assert_eq!(error(&client.form(route, "")), invalid);
            assert_eq!(error(&client.form(route, "token=")), invalid);
        }
    })
    .await;
}

#[actix_web::test]
async fn the_client_names_itself_by_parameter_or_by_basic_with_an_empty_secret() {
    with_server(|client| {
        let ask = |headers: &[(&str, &str)], body: &str| {
            let mut all = vec![("Content-Type", FORM)];
            all.extend(headers);
            client.send("POST", "/auth/oauth2/introspect", &all, body)
        };
        // "opentrons_app:", "opentrons_app:secret", "other:", "opentrons_app" and ":".
        let right = ("Authorization", "Basic b3BlbnRyb25zX2FwcDo=");
        assert_eq!(ask(&[right], "token=x").status, 200);
        assert_eq!(ask(&[right], "token=x&client_id=opentrons_app").status, 200);
        assert_eq!(
            error(&ask(&[right], "token=x&client_id=other")),
            (400, "invalid_request")
        );
        assert_eq!(
            ask(
                &[("Authorization", "basic b3BlbnRyb25zX2FwcDo=")],
                "token=x"
            )
            .status,
            200
        );
        for wrong in [
            "Basic b3BlbnRyb25zX2FwcDpzZWNyZXQ=",
            "Basic b3RoZXI6",
            "Basic b3BlbnRyb25zX2FwcA==",
            "Basic Og==",
            "Basic ?",
            "Basic",
        ] {
            let answer = ask(&[("Authorization", wrong)], "token=x");
            assert_eq!(error(&answer), (401, "invalid_client"), "{wrong}");
            assert!(answer.head.contains("\r\nwww-authenticate: basic realm="));
        }
        // Of another scheme, and so no client's credentials.
        assert_eq!(
            ask(
                &[("Authorization", "Bearer x")],
                "token=x&client_id=opentrons_app"
            )
            .status,
            200
        );
        assert_eq!(error(&ask(&[], "token=x")), (400, "invalid_request"));
        let other = ask(&[], "token=x&client_id=other");
        assert_eq!(error(&other), (401, "invalid_client"));
        let as_json = [("Content-Type", "application/json")];
        let answer = client.send("POST", "/auth/oauth2/introspect", &as_json, "{}");
        assert_eq!(error(&answer), (400, "invalid_request"));
        let with_charset = [(
            "Content-Type",
            "APPLICATION/x-www-form-urlencoded; charset=utf-8",
        )];
        let body = "client_id=opentrons_app&token=x";
        let answer = client.send("POST", "/auth/oauth2/introspect", &with_charset, body);
        assert_eq!(answer.status, 200);
    })
    .await;
}

#[actix_web::test]
async fn scopes_narrow_and_never_widen() {
    with_server(|client| {
        assert_eq!(client.create("ada", "user", None).status, 201);
        let answer = client.try_login("ada", PASSWORD);
        let all = answer.body["scope"].as_str().unwrap().to_owned();
        let one = all.split(' ').next().unwrap();
        let login = format!("grant_type=password&username=ada&password={PASSWORD}");
        let narrow = client.form("token", &format!("{login}&scope={one}"));
        assert_eq!(narrow.body["scope"], one);
        let narrow = Pair::of(&narrow);
        assert_eq!(client.introspect(&narrow.access)["scope"], one);
        let refreshed = client.try_refresh(&narrow.refresh);
        assert_eq!(refreshed.body["scope"], one);
        let wide = format!("grant_type=refresh_token&refresh_token={}", narrow.refresh);
        let wide = client.form("token", &format!("{wide}&scope={}", all.replace(' ', "+")));
        assert_eq!(error(&wide), (400, "invalid_scope"));
        // Narrowed for one access token, the session keeps what it was granted.
        let whole = Pair::of(&answer);
        let refresh = format!("grant_type=refresh_token&refresh_token={}", whole.refresh);
        let narrowed = client.form("token", &format!("{refresh}&scope={one}"));
        assert_eq!(narrowed.body["scope"], one);
        let again = client.try_refresh(&Pair::of(&narrowed).refresh);
        assert_eq!(again.body["scope"], all);
    })
    .await;
}

#[actix_web::test]
async fn failed_logins_lock_an_account_and_an_administrator_unlocks_it() {
    with_server(|client| {
        assert_eq!(client.create("root", "admin", None).status, 201);
        assert_eq!(client.create("ada", "user", None).status, 201);
        let limit = json!({"maxNumberOfLoginAttempts": 2});
        assert_eq!(
            client.json("PATCH", "/auth/settings", None, limit).status,
            200
        );
        let wrong = client.try_login("ada", "wrong");
        assert_eq!(wrong.body["opentrons_login_attempts_remaining"], 1);
        assert_eq!(wrong.body["opentrons_account_locked"], Value::Null);
        // A right password in between starts the count anew.
        client.login("ada", PASSWORD);
        assert_eq!(
            client.try_login("ada", "wrong").body["opentrons_login_attempts_remaining"],
            1
        );
        let locked = client.try_login("ada", "wrong");
        assert_eq!(locked.body["opentrons_login_attempts_remaining"], 0);
        assert_eq!(locked.body["opentrons_account_locked"], true);
        assert_eq!(
            error(&client.try_login("ada", PASSWORD)),
            (400, "invalid_grant")
        );
        let path = "/auth/users/byUsername/ada";
        assert_eq!(client.get(path, None).body["data"]["locked"], true);
        let unlock = client.json("PATCH", path, None, json!({"locked": false}));
        assert_eq!(unlock.status, 200);
        client.login("ada", PASSWORD);
    })
    .await;
}

#[actix_web::test]
async fn a_temporary_password_is_replaced_before_anything_else() {
    with_server(|client| {
        assert_eq!(client.create("root", "admin", None).status, 201);
        let user = json!({"username": "ada", "fullName": "Ada L", "accountType": "user"});
        let created = client.json("POST", "/auth/users", None, user);
        let temporary = created.body["data"]["temporaryPassword"]
            .as_str()
            .unwrap()
            .to_owned();
        let status = client.get("/auth/users/byUsername/ada/loginStatus", None);
        assert_eq!(status.status, 200, "{}", status.body);
        let encoded: String = temporary
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect();
        let session = client.login("ada", &encoded);
        let token = Some(session.access.as_str());
        let own = "/auth/users/self";
        assert_eq!(client.get(own, token).body["data"]["username"], "ada");
        let validate = |text: &str| {
            let path = "/auth/users/self/validatePassword";
            client.json("POST", path, token, json!({ "password": text }))
        };
        assert_eq!(error_id(&validate("x")), (400, "passwordTooShort"));
        assert_eq!(
            error_id(&validate(&temporary)),
            (400, "passwordPreviouslyUsed")
        );
        assert_eq!(validate("another-horse").status, 200);
        let change = |text: &str| client.json("PATCH", own, token, json!({ "password": text }));
        assert_eq!(
            error_id(&change(&temporary)),
            (400, "passwordPreviouslyUsed")
        );
        assert_eq!(change("another-horse").status, 200);
        assert_eq!(
            error(&client.try_login("ada", &encoded)),
            (400, "invalid_grant")
        );
        client.login("ada", "another-horse");
        assert_eq!(change("another-horse").status, 400);
        let renamed = client.json("PATCH", own, token, json!({"fullName": "Ada King"}));
        assert_eq!(renamed.body["data"]["fullName"], "Ada King");
        let reset = "/auth/users/byUsername/ada/resetPassword";
        let reset = client.send("POST", reset, &[], "");
        assert!(
            reset.body["data"]["temporaryPassword"].is_string(),
            "{}",
            reset.body
        );
        assert!(!client.active(&session.access));
        assert_eq!(
            error(&client.try_login("ada", "another-horse")),
            (400, "invalid_grant")
        );
    })
    .await;
}

#[actix_web::test]
async fn access_control_lets_in_whom_it_should() {
    with_server(|client| {
        assert_eq!(client.create("root", "admin", None).status, 201);
        assert_eq!(client.create("ada", "user", None).status, 201);
        let ada = client.login("ada", PASSWORD).access;
        let switch = "/auth/settings/accessControlEnabled";
        assert_eq!(
            client.get(switch, None).body["data"]["accessControlEnabled"],
            false
        );
        let on = json!({"accessControlEnabled": true});
        assert_eq!(client.json("PATCH", switch, None, on).status, 200);
        assert_eq!(
            client.get(switch, None).body["data"]["accessControlEnabled"],
            true
        );
        // What was begun before does not go on.
        assert!(!client.active(&ada));
        let (root, ada) = (
            client.login("root", PASSWORD).access,
            client.login("ada", PASSWORD),
        );
        let users = "/auth/users";
        assert_eq!(client.get(users, None).status, 401);
        assert_eq!(client.get(users, Some(&ada.access)).status, 403);
        let listed = client.get(users, Some(&root));
        let names: Vec<_> = listed.body["data"].as_array().unwrap().iter().collect();
        assert_eq!(names.len(), 2);
        assert_eq!(names[0]["username"], "ada");
        let page = client.get("/auth/users?cursor=1&pageLength=1", Some(&root));
        assert_eq!(page.body["data"][0]["username"], "root");
        assert_eq!(page.body["meta"]["totalLength"], 2);
        assert_eq!(client.create("eve", "user", None).status, 401);
        assert_eq!(client.create("eve", "user", Some(&ada.access)).status, 403);
        assert_eq!(client.create("eve", "user", Some(&root)).status, 201);
        let taken = client.create("EVE", "user", Some(&root));
        assert_eq!(error_id(&taken), (400, "userAlreadyExists"));
        let settings = "/auth/settings";
        let idle = json!({"idleLogout": 60});
        let changed = client.json("PATCH", settings, Some(&root), idle);
        assert_eq!(changed.body["data"]["idleLogout"], 60.0);
        assert_eq!(client.try_login("eve", PASSWORD).body["expires_in"], 60);
        let bearer = format!("Bearer {root}");
        let as_root = [("Authorization", bearer.as_str())];
        assert_eq!(client.send("DELETE", settings, &as_root, "").status, 200);
        assert_eq!(
            client.get(settings, Some(&root)).body["data"]["idleLogout"],
            180.0
        );
        let path = "/auth/users/byUsername/ada";
        let changed = client.json("PATCH", path, Some(&root), json!({"username": "countess"}));
        assert_eq!(changed.body["data"]["username"], "countess");
        assert!(!client.active(&ada.access));
        assert_eq!(client.get(path, Some(&root)).status, 404);
        let gone = "/auth/users/byUsername/countess";
        assert_eq!(client.send("DELETE", gone, &as_root, "").status, 200);
        assert_eq!(client.get(gone, Some(&root)).status, 404);
        let last = "/auth/users/byUsername/root";
        assert_eq!(client.send("DELETE", last, &as_root, "").status, 409);
    })
    .await;
}

#[actix_web::test]
async fn metadata_names_the_address_that_was_asked_whatever_the_headers_say() {
    with_server(|client| {
        let issuer = format!("http://{}/auth", client.0);
        for path in [
            "/auth/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/auth",
        ] {
            let about = client.get(path, None).body;
            assert_eq!(about["issuer"], issuer);
            assert_eq!(about["token_endpoint"], format!("{issuer}/oauth2/token"));
            assert_eq!(about["scopes_supported"].as_array().unwrap().len(), 17);
            let forwarded = [
                ("X-Forwarded-Host", "192.0.2.1:31950"),
                ("X-Forwarded-Proto", "https"),
            ];
            let about = client.send("GET", path, &forwarded, "").body;
            assert_eq!(about["issuer"], issuer);
        }
    })
    .await;
}
