//! JSON that comes in: which field is wrong and why, and never what was in it, for it may be a
//! password.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use actix_web::http::header;
use actix_web::HttpRequest;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::ApiError;
use super::Data;
use crate::domain::passwords::Password;

/// Unknown fields that are remembered as logged.
const MAX_REMEMBERED: usize = 64;
/// Longest name of an unknown field that is logged, in characters.
const MAX_LOGGED: usize = 80;

/// Reads a body `{"data": T}`.
///
/// # Errors
/// [`ApiError::Invalid`] names the field and the rule.
pub fn data<T: DeserializeOwned>(request: &HttpRequest, body: &[u8]) -> Result<T, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_json = kind.map_or(true, |kind| {
        kind.to_str().is_ok_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json")
        })
    });
    if !is_json {
        return Err(ApiError::Invalid(
            "Content-Type: must be application/json".into(),
        ));
    }
    if body.is_empty() {
        return Err(ApiError::Invalid("body: must be JSON; it is empty".into()));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read: Result<Object<Data<Object<T>>>, _> =
        serde_ignored::deserialize(tracked, |path| log_ignored(&path.to_string()));
    let at = |error: &serde_json::Error, path: String| {
        let field = match path.as_str() {
            "." | "?" => "body".to_owned(),
            path => shortened(path),
        };
        ApiError::Invalid(format!("{field}: {}", reason(error)))
    };
    let envelope = read.map_err(|error| at(&error, track.path().to_string()))?;
    json.end().map_err(|error| at(&error, ".".into()))?;
    Ok(envelope.0.data.0)
}

/// A structure that comes as an object. By itself serde takes an array of its fields as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// For a field that may be left out: present is `Some`, and null only where `T` takes it.
///
/// # Errors
/// As `T`'s own.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// An integer as JSON Schema has it: `3` and `3.0` are the same. One that a `u32` cannot hold counts
/// as the nearest that it can.
#[derive(Clone, Copy, Debug)]
pub struct Integer(u32);

impl Integer {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct Number(f64);

impl Number {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_f64(Numeric { what: "a number" })
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let what = "an integer";
        let number = deserializer.deserialize_f64(Numeric { what })?;
        if number.fract() != 0.0 {
            return Err(D::Error::invalid_value(Unexpected::Float(number), &what));
        }
        // Saturates.
        Ok(Self(number as u32))
    }
}

/// Takes any number of JSON, and names what was expected in its terms.
struct Numeric {
    what: &'static str,
}

impl Visitor<'_> for Numeric {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }
}

/// A password, which no error shows.
#[derive(Debug)]
pub struct PasswordText(pub Password);

impl<'de> Deserialize<'de> for PasswordText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Password;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Password, E> {
                Ok(Password::new(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Password, E> {
                Ok(Password::new(text))
            }

            // The default's error shows the number, which was meant for a password.
            fn visit_u64<E: Error>(self, _: u64) -> Result<Password, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Password, E> {
                self.visit_u64(0)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Password, E> {
                self.visit_u64(0)
            }
        }

        deserializer.deserialize_string(Text).map(Self)
    }
}

/// What is wrong, without the value that is.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // What serde expected stands at the end, and is ours.
    let said = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(said, _)| said);
    if error.is_data() {
        if let Some((_, expected)) = said.rsplit_once(", expected ") {
            return format!("must be {expected}");
        }
        if said.starts_with("missing field") || said.starts_with("duplicate field") {
            return said.to_owned();
        }
        return "invalid value".into();
    }
    format!(
        "is no JSON in UTF-8: line {}, column {}",
        error.line(),
        error.column()
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_LOGGED).collect()
}

/// Says once that a field is not known; newer clients send fields of their own.
fn log_ignored(path: &str) {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_with(HashSet::new);
    let path = shortened(path);
    if seen.len() < MAX_REMEMBERED && !seen.contains(&path) {
        log::info!("ignoring unknown field: {path}");
        seen.insert(path);
    }
}
