//! `.env`: one `NAME=value` a line, as Compose and the Astro CLI read it. Nothing is expanded.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ConfigError;

/// Reads the file at `path`, which errors call `shown`.
pub(super) fn read(path: &Path, shown: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: shown.to_owned(), source })?;
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let bad =
            |why: String| ConfigError::BadValue { file: shown.to_owned(), line: index + 1, why };
        if let Some((name, value)) = assignment(line).map_err(bad)? {
            variables.insert(name, value);
        }
    }
    Ok(variables)
}

/// One line; `None` for an empty one or a comment.
fn assignment(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=') else {
        return Err(format!("`{line}` is not NAME=value"));
    };
    let name = name.trim();
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !fits {
        return Err(format!("`{name}` is not a variable's name: A-Z a-z 0-9 _, no digit first"));
    }
    Ok(Some((name.to_owned(), unquoted(value.trim()))))
}

fn unquoted(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            let plain = inner.replace("\\n", "\n").replace("\\\"", "\"");
            return if quote == '"' { plain } else { inner.to_owned() };
        }
    }
    // An unquoted value ends where a comment begins.
    value.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_compose_takes_them() {
        let cases = [
            ("A=1", Some(("A", "1"))),
            ("export B = two words # a comment", Some(("B", "two words"))),
            ("C=\"a # b\\nc\"", Some(("C", "a # b\nc"))),
            ("D='$HOME'", Some(("D", "$HOME"))),
            ("E=", Some(("E", ""))),
            ("# no", None),
            ("", None),
        ];
        for (line, wanted) in cases {
            let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(assignment(line).unwrap(), wanted, "{line}");
        }
        assert!(assignment("1A=x").is_err());
        assert!(assignment("just words").is_err());
    }
}
