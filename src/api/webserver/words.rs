//! A command line's words, as Python's `shlex.split` finds them: MWAA's endpoint is Python.
//!
//! A shell, and the crates that do as a shell does, take `#` for a comment; `variables set color #ff0000` has four words.

/// The words, or `None` where a quote or a backslash has no end.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.chars();
    // `None` between words; an empty pair of quotes is a word too.
    let mut word: Option<String> = None;
    while let Some(next) = rest.next() {
        match next {
            '\'' => quoted(&mut rest, word.get_or_insert_default())?,
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(rest.next()?),
            space if space.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

fn quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            '\'' => return Some(()),
            other => word.push(other),
        }
    }
}

/// A backslash in double quotes escapes the quote and itself, and stands for itself before anything else.
fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            '"' => return Some(()),
            '\\' => match rest.next()? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_begins_no_comment() {
        let words = split("variables set color #ff0000 -x#1").unwrap();
        assert_eq!(words, ["variables", "set", "color", "#ff0000", "-x#1"]);
    }

    #[test]
    fn quotes_and_backslashes_are_pythons() {
        let cases: [(&str, &[&str]); 5] = [
            (r#"a "b c" 'd "e"' f\ g"#, &["a", "b c", "d \"e\"", "f g"]),
            (r#""a\"b" "c\\d" "e\nf""#, &["a\"b", "c\\d", "e\\nf"]),
            ("a'b'\"c\"", &["abc"]),
            ("'' \"\"", &["", ""]),
            ("  \t\n ", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_has_no_end_is_no_line() {
        for line in ["a 'b", "a \"b", "a \\", "\"a\\"] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn words_in_single_quotes_come_back(words in proptest::collection::vec("[^']*", 0..6)) {
            let line: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            proptest::prop_assert_eq!(split(&line.join(" ")), Some(words));
        }
    }
}
