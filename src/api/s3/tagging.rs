//! Tags of objects and buckets.

use s3s::{S3Error, S3Result, s3_error};

use super::xml::{Node, Xml, malformed};

/// Names and values, in the order given.
pub(super) type Tags = Vec<(String, String)>;

/// Tags on one object (S3 user guide, "Categorizing your objects using tags").
pub(super) const OBJECT_TAGS_MAX: usize = 10;

/// Tags on one bucket (S3 API reference, `PutBucketTagging`).
pub(super) const BUCKET_TAGS_MAX: usize = 50;

/// In characters, not bytes.
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

fn invalid(message: &'static str) -> S3Error {
    s3_error!(InvalidTag, "{}", message)
}

/// Whether tags are what S3 takes.
pub(super) fn check(tags: &[(String, String)], most: usize) -> S3Result<()> {
    if tags.len() > most {
        return Err(invalid("There are more tags than allowed"));
    }
    for (at, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > KEY_MAX {
            return Err(invalid("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > VALUE_MAX {
            return Err(invalid("The TagValue you have provided is invalid"));
        }
        if tags[..at].iter().any(|(before, _)| before == key) {
            return Err(invalid("Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(())
}

/// `x-amz-tagging`: a query string.
pub(super) fn of_header(header: Option<&str>) -> S3Result<Tags> {
    let Some(header) = header else { return Ok(Vec::new()) };
    let uri = http::Uri::builder().path_and_query(format!("/?{header}")).build();
    let uri = uri.map_err(|_| {
        s3_error!(
            InvalidArgument,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
             without tag name duplicates."
        )
    })?;
    let tags = super::signature::query_pairs(&uri);
    check(&tags, OBJECT_TAGS_MAX)?;
    Ok(tags)
}

/// Reads a `Tagging`.
pub(super) fn read(document: &Node, most: usize) -> S3Result<Tags> {
    if document.name != "Tagging" {
        return Err(malformed());
    }
    let set = document.child("TagSet").ok_or_else(malformed)?;
    let tag = |tag: &Node| -> S3Result<(String, String)> {
        let text = |name: &str| tag.text_of(name).map(str::to_owned).ok_or_else(malformed);
        Ok((text("Key")?, text("Value")?))
    };
    let tags = set.all("Tag").map(tag).collect::<S3Result<Tags>>()?;
    check(&tags, most)?;
    Ok(tags)
}

/// Writes a `Tagging`.
pub(super) fn write(tags: &[(String, String)]) -> String {
    Xml::document("Tagging", |xml| {
        xml.element("TagSet", |xml| {
            for (key, value) in tags {
                xml.element("Tag", |xml| {
                    xml.leaf("Key", key);
                    xml.leaf("Value", value);
                });
            }
        });
    })
}
