//! Which messages a filter pattern finds (CloudWatch Logs user guide, "Filter pattern syntax").
//!
//! Three kinds: terms (`ERROR -debug ?slow "exact phrase" %regex%`), properties of JSON messages
//! (`{ $.level = "error" && $.took > 5 }`), and fields of space-delimited ones (`[ip, ..., status = 4*]`).

mod condition;
mod fields;
mod json;
mod words;

use std::sync::Arc;

use crate::limits::LOG_PATTERN_MAX_CHARACTERS;
use words::Words;

/// A checked pattern. Cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct Pattern(Option<Arc<Kind>>);

#[derive(Debug)]
enum Kind {
    Terms(Terms),
    Json(json::Expression),
    Fields(fields::Fields),
}

/// What a message must have, may have and must not have.
#[derive(Debug, Default)]
struct Terms {
    all: Vec<Term>,
    any: Vec<Term>,
    none: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(String),
    Regex(regex::Regex),
}

/// A pattern that does not follow the syntax.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

fn bad(why: impl Into<String>) -> BadPattern {
    BadPattern(why.into())
}

impl Pattern {
    /// Finds every message.
    pub fn everything() -> Pattern {
        Pattern(None)
    }

    /// Reads a filter pattern. An empty one finds everything.
    pub fn parse(given: &str) -> Result<Pattern, BadPattern> {
        if given.chars().count() > LOG_PATTERN_MAX_CHARACTERS {
            return Err(bad(format!("it is longer than {LOG_PATTERN_MAX_CHARACTERS} characters")));
        }
        let text = given.trim();
        let kind = match text.chars().next() {
            None => return Ok(Pattern::everything()),
            Some('{') => Kind::Json(json::parse(text)?),
            Some('[') => Kind::Fields(fields::parse(text)?),
            Some(_) => Kind::Terms(terms(text)?),
        };
        Ok(Pattern(Some(Arc::new(kind))))
    }

    /// Finds the messages that have a match of this regular expression.
    pub fn of_regex(given: &str) -> Result<Pattern, BadPattern> {
        let term = Term::Regex(words::regex_of(given)?);
        let terms = Terms { all: vec![term], ..Terms::default() };
        Ok(Pattern(Some(Arc::new(Kind::Terms(terms)))))
    }

    /// Whether it finds this message.
    pub fn matches(&self, message: &str) -> bool {
        match self.0.as_deref() {
            None => true,
            Some(Kind::Terms(terms)) => terms.match_message(message),
            Some(Kind::Json(expression)) => {
                serde_json::from_str(message).is_ok_and(|value| expression.holds(&value))
            }
            Some(Kind::Fields(fields)) => fields.match_message(message),
        }
    }
}

impl Terms {
    fn match_message(&self, message: &str) -> bool {
        let found = |term: &Term| term.is_in(message);
        // AWS: an optional term beside a plain one means nothing.
        let any = !self.all.is_empty() || self.any.is_empty() || self.any.iter().any(found);
        self.all.iter().all(found) && any && !self.none.iter().any(found)
    }
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Term::Text(text) => message.contains(text.as_str()),
            Term::Regex(regex) => regex.is_match(message),
        }
    }
}

fn terms(text: &str) -> Result<Terms, BadPattern> {
    let mut terms = Terms::default();
    let mut words = Words::new(text);
    while let Some(first) = words.peek_past_space() {
        let kind = match first {
            '?' => &mut terms.any,
            '-' => &mut terms.none,
            _ => &mut terms.all,
        };
        if matches!(first, '?' | '-') {
            words.next();
        }
        let term = match words.peek() {
            Some('"') => Term::Text(words.quoted()?),
            Some('%') => Term::Regex(words.regex()?),
            _ => Term::Text(bare(&words.until_space())?),
        };
        kind.push(term);
    }
    Ok(terms)
}

fn bare(word: &str) -> Result<String, BadPattern> {
    let fine = |c: char| c.is_alphanumeric() || c == '_';
    if word.is_empty() || !word.chars().all(fine) {
        return Err(bad(format!(
            "Invalid character(s) in term '{word}': put double quotes around it"
        )));
    }
    Ok(word.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::LOG_PATTERN_DEPTH_MAX;

    /// Of these messages, which ones a pattern finds.
    fn found(pattern: &str, messages: &[&str]) -> Vec<usize> {
        let pattern = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        (0..messages.len()).filter(|at| pattern.matches(messages[*at])).collect()
    }

    #[test]
    fn terms_are_all_wanted_optional_or_excluded() {
        let messages = ["ERROR in task", "ERROR", "WARN in task", "all fine", "error: task [2]"];
        let cases: [(&str, &[usize]); 10] = [
            ("", &[0, 1, 2, 3, 4]),
            ("ERROR", &[0, 1]),
            ("task ERROR", &[0]),
            ("?ERROR ?WARN", &[0, 1, 2]),
            ("ERROR -task", &[1]),
            ("-task", &[1, 3]),
            ("\"in task\"", &[0, 2]),
            ("?fine -\"in task\"", &[3]),
            ("%^E%", &[0, 1]),
            ("\"task [2]\"", &[4]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(found(pattern, &messages), expected, "{pattern}");
        }
    }

    #[test]
    fn properties_of_json_messages_are_compared() {
        let messages = [
            r#"{"level":"error","n":7,"who":{"name":"eve","tags":["a","b"]},"gone":null,"ok":true}"#,
            r#"{"level":"warning","n":2,"ok":false}"#,
            "level error",
            r#"{"level":"info","n":2.5,"who":{"name":"adam"},"a.b":"x"}"#,
        ];
        let cases: [(&str, &[usize]); 17] = [
            (r#"{ $.level = "error" }"#, &[0]),
            (r#"{ $.level = "*n*" }"#, &[1, 3]),
            (r"{ $.level = err* }", &[0]),
            (r#"{ $.level != "error" }"#, &[1, 3]),
            (r"{ $.n > 2 }", &[0, 3]),
            (r"{ $.n >= 2 && $.n < 7 }", &[1, 3]),
            (r"{ $.n = 2 || $.n = 7 }", &[0, 1]),
            (r#"{ ($.n = 2 || $.n = 7) && $.level = "error" }"#, &[0]),
            (r#"{ $.who.name = "eve" }"#, &[0]),
            (r#"{ $.who.tags[1] = "b" }"#, &[0]),
            (r"{ $.gone IS NULL }", &[0]),
            (r"{ $.who NOT EXISTS }", &[1]),
            (r"{ $.ok IS TRUE }", &[0]),
            (r"{ $.ok IS FALSE }", &[1]),
            (r#"{ $.["a.b"] = "x" }"#, &[3]),
            (r#"{ $["a.b"] = "x" }"#, &[3]),
            (r"{ $.level = %^w.*g$% }", &[1]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(found(pattern, &messages), expected, "{pattern}");
        }
    }

    #[test]
    fn fields_of_space_delimited_messages_are_compared() {
        let messages = [
            r#"127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#,
            r#"10.0.0.7 - eve [10/Oct/2000:13:35:22 -0700] "GET /about HTTP/1.0" 200 90"#,
            "three words only",
        ];
        let cases: [(&str, &[usize]); 6] = [
            ("[ip, id, user, at, request, status, bytes]", &[0, 1]),
            ("[ip, id, user, at, request, status = 4*, bytes]", &[0]),
            ("[..., request = *html*, status, bytes > 100]", &[0]),
            ("[ip != 127.0.0.1, ...]", &[1, 2]),
            ("[..., status = 200 || status = 404, bytes]", &[0, 1]),
            ("[a, b, c = only]", &[2]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(found(pattern, &messages), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_not_a_pattern_is_refused() {
        for pattern in [
            "a.b",
            "\"open",
            "?",
            "-",
            "{ $.a }",
            "{ $.a = }",
            "{ a = 1 }",
            "{ $.a = 1",
            "[a",
            "[a = ]",
            "%(%",
            "{ $.a > \"x\" }",
            "[..., b, ...]",
            "{ $.a = 1 } x",
        ] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn brackets_are_nested_only_so_deep() {
        let nested = |depth: usize| {
            let (open, close) = ("(".repeat(depth), ")".repeat(depth));
            Pattern::parse(&format!("{{ {open}$.a = 1{close} }}"))
        };
        assert!(nested(LOG_PATTERN_DEPTH_MAX).is_ok());
        assert!(nested(LOG_PATTERN_DEPTH_MAX + 1).is_err());
        assert!(Pattern::parse(&format!("{{{}", "(".repeat(1_000))).is_err());
        // Side by side there may be more.
        let many = vec!["($.a = 1)"; 2 * LOG_PATTERN_DEPTH_MAX].join(" || ");
        assert!(Pattern::parse(&format!("{{ {many} }}")).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_and_no_message_make_it_panic(
            pattern in r#"[\[{?\-"%]?[ -~é]{0,40}[\]}"%]?"#, message in ".{0,60}"
        ) {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.matches(&message);
            }
        }

        #[test]
        fn a_quoted_text_finds_exactly_the_messages_that_hold_it(
            text in "[a-z .:\\[\\]{}]{1,4}", message in "[a-z .:\\[\\]{}]{0,12}"
        ) {
            prop_assume!(!text.trim().is_empty());
            let pattern = Pattern::parse(&format!("\"{text}\"")).unwrap();
            prop_assert_eq!(pattern.matches(&message), message.contains(&text));
        }
    }
}
