//! Reads a pattern letter by letter.

use super::{BadPattern, bad};
use crate::limits::LOG_PATTERN_DEPTH_MAX;

/// A pattern, and how far it has been read.
#[derive(Clone, Debug)]
pub(super) struct Words<'t> {
    rest: &'t str,
    /// Brackets that are open.
    depth: usize,
}

impl<'t> Words<'t> {
    pub(super) fn new(text: &'t str) -> Words<'t> {
        Words { rest: text, depth: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn peek_past_space(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.peek()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    /// A bracket opens.
    pub(super) fn deeper(&mut self) -> Result<(), BadPattern> {
        self.depth += 1;
        if self.depth > LOG_PATTERN_DEPTH_MAX {
            return Err(bad(format!(
                "brackets are nested deeper than {LOG_PATTERN_DEPTH_MAX} times"
            )));
        }
        Ok(())
    }

    /// It closes.
    pub(super) fn shallower(&mut self) {
        self.depth -= 1;
    }

    /// Reads `token` where it stands behind any space.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads these words, in capitals or not, where they stand with space between.
    pub(super) fn eat_words(&mut self, words: &[&str]) -> bool {
        let mut ahead = self.clone();
        for word in words {
            ahead.peek_past_space();
            let found = ahead.while_letters(|letter| letter.is_ascii_alphabetic());
            if !found.eq_ignore_ascii_case(word) {
                return false;
            }
        }
        *self = ahead;
        true
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), BadPattern> {
        if self.eat(token) {
            return Ok(());
        }
        let found = self.rest.trim_start();
        let found = if found.is_empty() { "the end" } else { found };
        Err(bad(format!("`{token}` is missing before {found}")))
    }

    /// Fails unless all was read.
    pub(super) fn end(&mut self) -> Result<(), BadPattern> {
        match self.peek_past_space() {
            None => Ok(()),
            Some(_) => Err(bad(format!("`{}` is one too many", self.rest))),
        }
    }

    pub(super) fn until_space(&mut self) -> String {
        self.while_letters(|letter| !letter.is_whitespace()).to_owned()
    }

    pub(super) fn while_letters(&mut self, is: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|letter| !is(letter)).unwrap_or(self.rest.len());
        let (read, rest) = self.rest.split_at(end);
        self.rest = rest;
        read
    }

    /// A text in double quotes; `\"` and `\\` stand for themselves.
    pub(super) fn quoted(&mut self) -> Result<String, BadPattern> {
        self.expect("\"")?;
        let mut text = String::new();
        while let Some(letter) = self.next() {
            match letter {
                '"' => return Ok(text),
                '\\' if matches!(self.peek(), Some('"' | '\\')) => text.extend(self.next()),
                other => text.push(other),
            }
        }
        Err(bad("a double quote is not closed"))
    }

    /// A regular expression between percent signs.
    pub(super) fn regex(&mut self) -> Result<regex::Regex, BadPattern> {
        self.expect("%")?;
        let text = self.while_letters(|letter| letter != '%');
        self.expect("%")?;
        regex_of(text)
    }
}

pub(super) fn regex_of(text: &str) -> Result<regex::Regex, BadPattern> {
    regex::Regex::new(text).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default();
        bad(format!("`{text}` is not a regular expression: {why}"))
    })
}
