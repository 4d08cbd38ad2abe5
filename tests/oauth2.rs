//! Forms and errors of the OAuth 2.0 endpoints, without a server: which parameters and clients are
//! accepted, what is said of those that are not, and the response to each error.

use actix_web::body::MessageBody;
use actix_web::http::header::{HeaderName, AUTHORIZATION, CONTENT_TYPE};
use actix_web::test::TestRequest;
use actix_web::ResponseError;
use auth_server::domain::error::RuleError;
use auth_server::http::error::ApiError;
use auth_server::http::oauth2::error::OAuthError;
use auth_server::http::oauth2::form::parameters;
use auth_server::service::hashing::HashError;
use auth_server::service::ServiceError;
use auth_server::store::StoreError;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::Deserialize;
use serde_json::{json, Value};

const FORM: &str = "application/x-www-form-urlencoded";

/// Parameters of a test: one that is required, and one that is not.
#[derive(Debug, PartialEq, Deserialize)]
struct Parameters {
    token: String,
    hint: Option<String>,
}

/// Parses a body that was sent with these headers.
fn parse(headers: &[(HeaderName, String)], body: &str) -> Result<Parameters, OAuthError> {
    let mut request = TestRequest::post();
    for header in headers {
        request = request.append_header(header.clone());
    }
    parameters(&request.to_http_request(), body.as_bytes())
}

fn form() -> (HeaderName, String) {
    (CONTENT_TYPE, FORM.into())
}

fn basic(credentials: &str) -> (HeaderName, String) {
    (
        AUTHORIZATION,
        format!("Basic {}", STANDARD.encode(credentials)),
    )
}

fn found(token: &str, hint: Option<&str>) -> Parameters {
    Parameters {
        token: token.into(),
        hint: hint.map(Into::into),
    }
}

#[test]
fn parameters_are_decoded_and_empty_ones_omitted() {
    let client = "client_id=opentrons_app";
    for (body, expected) in [
        ("token=a", found("a", None)),
        ("token=a+b%20c%2B%C3%A9", found("a b c+é", None)),
        ("token=a&hint=b", found("a", Some("b"))),
        ("hint=b&token=a", found("a", Some("b"))),
        ("token=a&hint=", found("a", None)),
        ("token=a&other=1", found("a", None)),
    ] {
        let parsed = parse(&[form()], &format!("{client}&{body}"));
        assert_eq!(parsed.unwrap(), expected, "{body}");
    }
    for kind in [
        "application/x-www-form-urlencoded; charset=utf-8",
        "application/x-www-form-urlencoded ;x",
        "APPLICATION/X-WWW-FORM-URLENCODED",
    ] {
        let kind = (CONTENT_TYPE, kind.to_owned());
        assert!(parse(&[kind], &format!("{client}&token=a")).is_ok());
    }
}

#[test]
fn invalid_request_says_what_is_wrong_with_it() {
    let json = (CONTENT_TYPE, "application/json".to_owned());
    let not_a_form = "Content-Type must be application/x-www-form-urlencoded.";
    let twice = "A parameter is given more than once.";
    let missing = "The parameter token is missing.";
    let differs = "The parameter client_id differs from the client in the Authorization header.";
    let app = basic("opentrons_app:");
    for (headers, body, said) in [
        (vec![], "client_id=opentrons_app&token=a", not_a_form),
        (vec![json], "client_id=opentrons_app&token=a", not_a_form),
        (
            vec![form()],
            "client_id=opentrons_app&token=a&token=a",
            twice,
        ),
        (
            vec![form()],
            "client_id=opentrons_app&token=&token=a",
            twice,
        ),
        (vec![form()], "client_id=opentrons_app", missing),
        (vec![form()], "client_id=opentrons_app&token=", missing),
        (
            vec![form()],
            "token=a",
            "The parameter client_id is missing.",
        ),
        (
            vec![form()],
            "client_id=&token=a",
            "The parameter client_id is missing.",
        ),
        (vec![form(), app], "client_id=other&token=a", differs),
    ] {
        match parse(&headers, body).unwrap_err() {
            OAuthError::InvalidRequest(text) => assert_eq!(text, said, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn client_is_the_only_one_and_has_no_secret() {
    let body = "token=a";
    let with = |header: (HeaderName, String)| parse(&[form(), header], body);
    assert!(with(basic("opentrons_app:")).is_ok());
    assert!(with(basic("opentrons%5fapp:")).is_ok());
    let spaced = format!("Basic   {}  ", STANDARD.encode("opentrons_app:"));
    assert!(with((AUTHORIZATION, spaced)).is_ok());
    for credentials in [
        "opentrons_app",
        "opentrons_app:secret",
        "opentrons_app::",
        "opentrons_app=x:",
        "other:",
        ":",
        "",
    ] {
        let refused = with(basic(credentials));
        assert!(
            matches!(refused, Err(OAuthError::InvalidClient)),
            "{credentials}"
        );
    }
    for header in ["Basic", "Basic !", "basic b3BlbnRyb25zX2FwcA"] {
        let refused = with((AUTHORIZATION, header.into()));
        assert!(
            matches!(refused, Err(OAuthError::InvalidClient)),
            "{header}"
        );
    }
    // Two headers, even the same.
    let twice = [form(), basic("opentrons_app:"), basic("opentrons_app:")];
    assert!(matches!(
        parse(&twice, body),
        Err(OAuthError::InvalidClient)
    ));
    let other = parse(&[form()], "client_id=other&token=a");
    assert!(matches!(other, Err(OAuthError::InvalidClient)));
    // Credentials of another scheme are none of a client's.
    let bearer = (AUTHORIZATION, "Bearer x".to_owned());
    let body = "client_id=opentrons_app&token=a";
    assert!(parse(&[form(), bearer], body).is_ok());
}

/// Returns the status of the response, the headers that tell the client what to do, and the body.
fn respond(error: &OAuthError) -> (u16, Option<String>, Option<String>, Value) {
    let response = error.error_response();
    assert_eq!(response.status(), error.status_code());
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (retry, challenge) = (header("retry-after"), header("www-authenticate"));
    let status = response.status().as_u16();
    let body = response.into_body().try_into_bytes().unwrap();
    (
        status,
        retry,
        challenge,
        serde_json::from_slice(&body).unwrap(),
    )
}

#[test]
fn every_error_has_its_response() {
    let challenge = "Basic realm=\"opentrons-auth-server\"";
    let credentials = |attempts_remaining, locked| OAuthError::InvalidCredentials {
        attempts_remaining,
        locked,
    };
    let wrong = "Invalid credentials given.";
    let rows = [
        (
            OAuthError::InvalidRequest("It is odd.".into()),
            (400, None, None),
            json!({"error": "invalid_request", "error_description": "It is odd."}),
        ),
        (
            OAuthError::InvalidClient,
            (401, None, Some(challenge)),
            json!({"error": "invalid_client", "error_description": "The client is unknown."}),
        ),
        (
            credentials(None, false),
            (400, None, None),
            json!({"error": "invalid_grant", "error_description": wrong}),
        ),
        (
            credentials(Some(3), false),
            (400, None, None),
            json!({"error": "invalid_grant", "error_description": wrong,
                "opentrons_login_attempts_remaining": 3}),
        ),
        (
            credentials(Some(0), true),
            (400, None, None),
            json!({"error": "invalid_grant", "error_description": wrong,
                "opentrons_login_attempts_remaining": 0, "opentrons_account_locked": true}),
        ),
        (
            OAuthError::InvalidRefreshToken,
            (400, None, None),
            json!({"error": "invalid_grant",
                "error_description": "The refresh token is unknown, expired or revoked."}),
        ),
        (
            OAuthError::InvalidScope,
            (400, None, None),
            json!({"error": "invalid_scope",
                "error_description": "A requested scope is unknown or not allowed."}),
        ),
        (
            OAuthError::UnsupportedGrantType,
            (400, None, None),
            json!({"error": "unsupported_grant_type",
                "error_description": "The grant type must be password or refresh_token."}),
        ),
        (
            OAuthError::MustWait { seconds: 7 },
            (429, Some("7"), None),
            json!({"error": "temporarily_unavailable",
                "error_description": "Too many failed logins; try again in 7 s."}),
        ),
        (
            ServiceError::Hash(HashError::Busy).into(),
            (503, Some("1"), None),
            json!({"error": "temporarily_unavailable", "error_description":
                "Too many passwords are waiting to be checked; try again in 1 s."}),
        ),
    ];
    for (error, (status, retry, challenge), body) in rows {
        let (retry, challenge) = (retry.map(Into::into), challenge.map(Into::into));
        assert_eq!(respond(&error), (status, retry, challenge, body));
    }
}

/// Errors that are not OAuth's own have the form of the other routes.
#[test]
fn other_errors_are_enveloped() {
    let other = |error: ServiceError| respond(&error.into());
    let (status, _, _, body) = other(ServiceError::Store(StoreError::Stopped));
    assert_eq!(status, 500);
    assert_eq!(body["errors"][0]["id"], "internalError");
    let wait = RuleError::TooManyAttempts { seconds: 9 };
    let (status, retry, _, body) = other(ServiceError::Rule(wait));
    assert_eq!((status, retry.as_deref()), (429, Some("9")));
    assert_eq!(body["errors"][0]["id"], "tooManyAttempts");
    let (status, ..) = respond(&OAuthError::Other(ApiError::NotFound));
    assert_eq!(status, 404);
}
