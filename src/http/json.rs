//! Parsing of JSON request bodies. An error names the field and the reason, but never contains the
//! value, which may be a password.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, Unexpected, Visitor,
};
use serde::{Deserialize, Deserializer};

use super::error::ApiError;
use super::{has_type, Data};
use crate::domain::passwords::Password;

/// Maximum number of unknown fields that are logged per process.
const MAX_REMEMBERED: usize = 64;
/// Maximum length of a field's path in an error or a log line, in characters.
const MAX_LOGGED: usize = 80;

/// Parses a request body of the form `{"data": T}`. Unknown fields are ignored; the name of each is
/// logged once.
///
/// # Errors
/// - [`ApiError::UnsupportedMediaType`] if the `Content-Type` of the request is missing or another
///   than `application/json`: a web page can send any other body without asking the server first.
/// - [`ApiError::Invalid`], which names the field and the reason, if the body is empty or not JSON in
///   UTF-8, or a field is missing, given more than once, or has a value of the wrong type.
pub fn data<T: DeserializeOwned>(request: &HttpRequest, body: &[u8]) -> Result<T, ApiError> {
    if !has_type(request, "application/json") {
        return Err(ApiError::UnsupportedMediaType);
    }
    envelope(body)
}

/// Parses a text of the form `{"data": T}`, as [`data`] does.
///
/// # Errors
/// [`ApiError::Invalid`], which names the field and the reason.
pub fn envelope<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.is_empty() {
        return Err(ApiError::Invalid("body: must be JSON, but is empty".into()));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read: Result<Object<Data<Object<T>>>, _> = serde_ignored::deserialize(tracked, log_ignored);
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

/// Structure that is deserialized from a JSON object only. serde's derived implementation also
/// accepts an array of the fields.
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

/// Object whose members a table describes.
pub trait Members: Default {
    /// Row of the table.
    type Row: 'static;

    /// Returns the row of a member, and its name; `None` if the object has no member of this name.
    fn row(name: &str) -> Option<(&'static Self::Row, &'static str)>;

    /// Deserializes the value of a row's member, and keeps it.
    ///
    /// # Errors
    /// The deserializer's error if the value does not have the member's type.
    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        row: &'static Self::Row,
        value: D,
    ) -> Result<(), D::Error>;
}

/// Deserializes an object whose members a table describes. Other members are ignored, as everywhere.
///
/// # Errors
/// The deserializer's error if this is no object, a member is given more than once, or a value does not
/// have the member's type.
pub fn members<'de, T: Members, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Reader<T>(PhantomData<T>);

    impl<'de, T: Members> Visitor<'de> for Reader<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<T, A::Error> {
            let mut object = T::default();
            let mut seen = Vec::new();
            while let Some(name) = members.next_key::<String>()? {
                let Some((row, name)) = T::row(&name) else {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                };
                if seen.contains(&name) {
                    return Err(A::Error::duplicate_field(name));
                }
                seen.push(name);
                members.next_value_seed(Member(&mut object, row))?;
            }
            Ok(object)
        }
    }

    struct Member<'a, T: Members>(&'a mut T, &'static T::Row);

    impl<'de, T: Members> DeserializeSeed<'de> for Member<'_, T> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
            self.0.read(self.1, value)
        }
    }

    deserializer.deserialize_map(Reader(PhantomData))
}

/// Deserializes an optional field that is present, for `#[serde(default, deserialize_with)]`: the
/// value becomes `Some`, and null is accepted only if `T` accepts it.
///
/// # Errors
/// The error of `T::deserialize` if the value does not have the type `T`.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Integer as defined by JSON Schema: `3.0` is the same as `3`. A value outside the range of `u32`
/// is replaced by the nearest bound.
#[derive(Clone, Copy, Debug)]
pub struct Integer(u32);

impl Integer {
    /// Returns the value.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// JSON number, with or without a fraction.
#[derive(Clone, Copy, Debug)]
pub struct Number(f64);

impl Number {
    /// Returns the value.
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
        // The cast saturates at the bounds of `u32`.
        Ok(Self(number as u32))
    }
}

/// Visitor that accepts any JSON number; its errors state `what` was expected in the terms of JSON.
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

/// Password in a request. Deserialization errors never contain it.
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

            // The error of the default method contains the number, which may be a password.
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

/// Returns the reason for a parse error, without the offending value.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // serde puts the expected type last; that text is ours and contains no value.
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
        "must be JSON in UTF-8; syntax error at line {}, column {}",
        error.line(),
        error.column()
    )
}

/// Returns the first [`MAX_LOGGED`] characters of a text.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_LOGGED).collect()
}

/// Logs the path of an unknown field, once per process: newer clients send fields that only newer
/// servers know.
fn log_ignored(path: serde_ignored::Path<'_>) {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_with(HashSet::new);
    let path = shortened(&path.to_string());
    if seen.len() < MAX_REMEMBERED && !seen.contains(&path) {
        log::info!("ignoring unknown field: {path}");
        seen.insert(path);
    }
}
