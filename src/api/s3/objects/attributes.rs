//! `GetObjectAttributes`.

use http::HeaderMap;
use s3s::dto::{
    Checksum as WireChecksum, GetObjectAttributesInput, GetObjectAttributesOutput,
    GetObjectAttributesParts, ObjectAttributes, ObjectPart, StorageClass,
};
use s3s::{S3Response, S3Result, s3_error};

use super::{checksum_type, find, shown_id, strong, with_checksum};
use crate::api::s3::Surroundings;
use crate::api::s3::buckets::moment;
use crate::api::s3::request::Given;
use crate::limits::LIST_PAGE_MAX;
use crate::objects::{Checksum, Piece, Version};

/// The attributes that an object has for `GetObjectAttributes`.
const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// AWS: at least one attribute is asked for, and none that there is not.
pub(in crate::api::s3) fn check_attributes(headers: &HeaderMap) -> S3Result<()> {
    let given = headers.get_all("x-amz-object-attributes");
    let names: Vec<String> = given
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    if names.is_empty() || names.iter().any(|name| !ATTRIBUTES.contains(&name.as_str())) {
        return Err(s3_error!(InvalidArgument, "Invalid attribute name specified."));
    }
    Ok(())
}

/// The answer of [`attributes`] as S3 writes it: the only one whose `ETag` has no quotes.
pub(in crate::api::s3) async fn unquoted(
    answer: http::Response<s3s::Body>,
) -> http::Response<s3s::Body> {
    let (mut head, mut body) = answer.into_parts();
    // A thousand parts at most, and what s3s wrote is in memory already.
    let bytes = body.store_all_limited(crate::limits::S3_XML_MAX_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace("<ETag>&quot;", "<ETag>");
    let text = text.replace("<ETag>\"", "<ETag>").replace("&quot;</ETag>", "</ETag>");
    let text = text.replace("\"</ETag>", "</ETag>");
    head.headers.remove(http::header::CONTENT_LENGTH);
    http::Response::from_parts(head, s3s::Body::from(text))
}

pub(in crate::api::s3) async fn attributes(
    surroundings: &Surroundings,
    given: Given,
    input: GetObjectAttributesInput,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let version =
        find(surroundings, (&input.bucket, &input.key), input.version_id.as_deref()).await?;
    given.encryption.check_read(version.metadata.encryption.as_ref())?;
    let asked = |name: &str| {
        input.object_attributes.iter().any(|attribute| {
            attribute.as_str().split(',').any(|attribute| attribute.trim() == name)
        })
    };
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(moment(version.modified)),
        version_id: shown_id(surroundings, &version).await?,
        ..Default::default()
    };
    if asked(ObjectAttributes::ETAG) {
        output.e_tag = Some(strong(&version.etag));
    }
    if asked(ObjectAttributes::OBJECT_SIZE) {
        output.object_size = Some(version.size_bytes.cast_signed());
    }
    if asked(ObjectAttributes::STORAGE_CLASS) {
        let class = version.metadata.storage_class.as_deref().unwrap_or(StorageClass::STANDARD);
        output.storage_class = Some(class.to_owned().into());
    }
    if asked(ObjectAttributes::CHECKSUM)
        && let Some(checksum) = &version.checksum
    {
        let wire =
            WireChecksum { checksum_type: Some(checksum_type(checksum)), ..Default::default() };
        output.checksum = Some(with_checksum!(wire, checksum.algorithm, checksum.value.clone()));
    }
    if asked(ObjectAttributes::OBJECT_PARTS) && version.parts.is_some() {
        let pieces = surroundings.objects.pieces(&version).await?;
        output.object_parts = Some(object_parts(&version, &pieces, &input));
    }
    Ok(S3Response::new(output))
}

fn object_parts(
    version: &Version,
    pieces: &[Piece],
    input: &GetObjectAttributesInput,
) -> GetObjectAttributesParts {
    let marker = input.part_number_marker.unwrap_or(0);
    let most = usize::try_from(input.max_parts.unwrap_or(1000)).unwrap_or(0).min(LIST_PAGE_MAX);
    let number = |piece: &Piece| i32::try_from(piece.number).unwrap_or(i32::MAX);
    let behind: Vec<&Piece> = pieces.iter().filter(|piece| number(piece) > marker).collect();
    let shown = &behind[..most.min(behind.len())];
    let more = shown.len() < behind.len();
    let parts = shown.iter().map(|piece| {
        let part = ObjectPart {
            part_number: Some(number(piece)),
            size: Some(piece.size_bytes.cast_signed()),
            ..Default::default()
        };
        match (&version.checksum, &piece.digest) {
            (Some(of), Some(digest)) => {
                let value = Checksum::whole(of.algorithm, digest).value;
                with_checksum!(part, of.algorithm, value)
            }
            _ => part,
        }
    });
    GetObjectAttributesParts {
        is_truncated: Some(more),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: shown.last().map(|piece| number(piece)),
        part_number_marker: Some(marker),
        parts: Some(parts.collect()),
        total_parts_count: i32::try_from(pieces.len()).ok(),
    }
}
