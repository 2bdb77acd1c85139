//! Tokens and event ids: opaque to callers, places in the order of events to us.

use super::failure::Failure;
use crate::logs::{Direction, Position};

/// Digits of an event's id, as CloudWatch writes it.
const ID_DIGITS: usize = 56;
const NUMBER_DIGITS: usize = 20;

fn invalid() -> Failure {
    Failure::invalid("The specified nextToken is invalid.")
}

/// An event's id: unique, and the same whenever it is read.
pub(super) fn id(position: Position) -> String {
    let Position { at_ms, number } = position;
    // The place before every event is -1.
    format!("{:016}{:0NUMBER_DIGITS$}{number:0NUMBER_DIGITS$}", 0, at_ms + 1)
}

/// `f/<56 digits>/s`: on from here. The real ones look so.
pub(super) fn forward(position: Position) -> String {
    format!("f/{}/s", id(position))
}

/// `b/<56 digits>/s`: back from here.
pub(super) fn backward(position: Position) -> String {
    format!("b/{}/s", id(position))
}

/// Where a token of ours leads.
pub(super) fn place(token: &str) -> Result<(Direction, Position), Failure> {
    let (direction, rest) = match token.split_at_checked(2) {
        Some(("f/", rest)) => (Direction::Forward, rest),
        Some(("b/", rest)) => (Direction::Backward, rest),
        _ => return Err(invalid()),
    };
    let digits = rest.strip_suffix("/s").filter(|digits| {
        digits.len() == ID_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let digits = digits.ok_or_else(invalid)?;
    let (rest, number) = digits.split_at(ID_DIGITS - NUMBER_DIGITS);
    let (_, at) = rest.split_at(rest.len() - NUMBER_DIGITS);
    let read = |digits: &str| digits.parse::<i64>().map_err(|_| invalid());
    Ok((direction, Position { at_ms: read(at)? - 1, number: read(number)? }))
}

/// The token behind which names go on after this one.
pub(super) fn of_name(name: &str) -> String {
    hex::encode(name)
}

pub(super) fn name(token: &str) -> Result<String, Failure> {
    let bytes = hex::decode(token).map_err(|_| invalid())?;
    String::from_utf8(bytes).map_err(|_| invalid())
}

/// The same for streams by time.
pub(super) fn of_time_and_name(at_ms: i64, name: &str) -> String {
    hex::encode(format!("{at_ms} {name}"))
}

pub(super) fn time_and_name(token: &str) -> Result<(i64, String), Failure> {
    let text = name(token)?;
    let (at, name) = text.split_once(' ').ok_or_else(invalid)?;
    Ok((at.parse().map_err(|_| invalid())?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place() {
        for position in [
            Position::START,
            Position { at_ms: 1_700_000_000_123, number: 42 },
            Position { at_ms: 0, number: i64::MAX },
        ] {
            assert_eq!(id(position).len(), ID_DIGITS);
            let there = place(&forward(position)).unwrap();
            assert_eq!(there, (Direction::Forward, position));
            let back = place(&backward(position)).unwrap();
            assert_eq!(back, (Direction::Backward, position));
        }
    }

    #[test]
    fn a_stranger_is_no_token() {
        for token in [
            "",
            "f",
            "f/1/s",
            "x/00/s",
            "f/é",
            "f/+0000000000000000000000000000000000000000000000000000000/s",
        ] {
            assert!(place(token).is_err(), "{token}");
        }
        assert!(name("zz").is_err());
        assert!(time_and_name(&of_name("no")).is_err());
        assert_eq!(time_and_name(&of_time_and_name(-1, "a b")).unwrap(), (-1, "a b".to_owned()));
    }
}
