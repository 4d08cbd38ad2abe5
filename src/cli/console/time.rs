//! Times on the command line.

use std::str::FromStr;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Day, second or millisecond that a user gave, in UTC, as the first and last millisecond of it. The texts have the
/// form of the times in the audit log, so they compare like the times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// First millisecond.
    pub first: String,
    /// Last millisecond.
    pub last: String,
}

impl FromStr for TimeSpan {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or(
            "must be a date such as 2026-11-27, which is a whole day in UTC, or a time such as \
             2026-11-27T09:30:00Z, which is a whole second (RFC 3339)",
        )
    }
}

/// Parses a date or a time of RFC 3339 §5.6. Digits after milliseconds are ignored.
fn parse(text: &str) -> Option<TimeSpan> {
    let date = parse_date(text.get(..10)?)?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some(TimeSpan {
            first: format!("{text}T00:00:00.000Z"),
            last: format!("{text}T23:59:59.999Z"),
        });
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let [hour, minute, second] = numbers(clock.get(..8)?, ':')?;
    let (milliseconds, offset) = match clock.get(8..)?.strip_prefix('.') {
        None => (None, clock.get(8..)?),
        Some(rest) => {
            let length = rest.find(|c: char| !c.is_ascii_digit());
            let length = length.filter(|length| *length > 0)?;
            let (digits, offset) = rest.split_at(length);
            let padded: String = digits.chars().chain("00".chars()).take(3).collect();
            (Some(number(&padded)?), offset)
        }
    };
    let offset = parse_offset(offset)?;
    let utc = |milliseconds| {
        let time = Time::from_hms_milli(hour, minute, second, milliseconds).ok()?;
        let local = PrimitiveDateTime::new(date, time).assume_offset(offset);
        Some(format(local.checked_to_offset(UtcOffset::UTC)?))
    };
    Some(TimeSpan {
        first: utc(milliseconds.unwrap_or(0))?,
        last: utc(milliseconds.unwrap_or(999))?,
    })
}

/// Parses `2026-11-27`.
fn parse_date(text: &str) -> Option<Date> {
    let year = text.get(..4)?;
    let [month, day] = numbers(text.get(5..)?, '-')?;
    let is_separated = text.as_bytes()[4] == b'-';
    let month = Month::try_from(month).ok().filter(|_| is_separated)?;
    Date::from_calendar_date(i32::from(number(year)?), month, day).ok()
}

/// Parses `Z` or `+01:00`.
fn parse_offset(text: &str) -> Option<UtcOffset> {
    if matches!(text, "Z" | "z") {
        return Some(UtcOffset::UTC);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(&text[1..], ':')?;
    let signed = |part: u8| i8::try_from(part).ok().map(|part| sign * part);
    UtcOffset::from_hms(signed(hours)?, signed(minutes)?, 0).ok()
}

/// Parses numbers of two digits with a separator between them.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u8; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for each in &mut numbers {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *each = u8::try_from(number(part)?).ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Parses a number that consists of digits alone.
fn number(text: &str) -> Option<u16> {
    let are_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| are_digits)
}

/// Formats a time as the audit log does.
fn format(time: OffsetDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, milliseconds) = time.to_hms_milli();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_a_whole_day() {
        let day: TimeSpan = "2028-02-29".parse().unwrap();
        assert_eq!(day.first, "2028-02-29T00:00:00.000Z");
        assert_eq!(day.last, "2028-02-29T23:59:59.999Z");
    }

    #[test]
    fn times_are_converted_to_utc() {
        for (text, utc) in [
            ("2026-11-27t09:30:00.5z", "2026-11-27T09:30:00.500Z"),
            ("2026-11-27 09:30:00.1239Z", "2026-11-27T09:30:00.123Z"),
            ("2026-11-27T00:30:00.0+01:00", "2026-11-26T23:30:00.000Z"),
            ("2026-12-31T20:00:00.000-04:30", "2027-01-01T00:30:00.000Z"),
        ] {
            let time: TimeSpan = text.parse().unwrap();
            assert_eq!((time.first.as_str(), time.last.as_str()), (utc, utc));
        }
    }

    #[test]
    fn time_without_a_fraction_is_a_whole_second() {
        let second: TimeSpan = "2026-11-27T00:30:00+01:00".parse().unwrap();
        assert_eq!(second.first, "2026-11-26T23:30:00.000Z");
        assert_eq!(second.last, "2026-11-26T23:30:00.999Z");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "today",
            "2026",
            "2026-11",
            "2026-1-27",
            "26-11-2027",
            "2026/11/27",
            "2026-02-29",
            "2026-11-27T",
            "2026-11-27T09:30",
            "2026-11-27T09:30:00",
            "2026-11-27T24:00:00Z",
            "2026-11-27T09:30:00.Z",
            "2026-11-27T09:30:00+1:00",
            "2026-11-27T09:30:00+0100",
            "2026-11-27T+9:30:00Z",
            "2026-11-27T09:30:00Z ",
            "2026-11-27T09:30:00\u{e4}",
            "0000-01-01T00:00:00+23:00x",
        ] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text:?}");
        }
    }
}
