//! Multipart uploads on the wire.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CommonPrefix, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart,
    CopyPartResult, CreateMultipartUploadInput, CreateMultipartUploadOutput, EncodingType,
    Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Part as WirePart, Range, StorageClass, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Response, S3Result, s3_error};

use super::Surroundings;
use super::buckets::{moment, owner_of};
use super::listing::url_encoded;
use super::objects::{
    Settled, SourceConditions, algorithm, checksum_type, metadata_of, precondition, settled,
    shown_id, source, strong, take_in, url_of, with_checksum,
};
use super::operations::{bucket_name, object_key};
use super::request::Given;
use super::{error, sse};
use crate::config::Identity;
use crate::id::{BucketName, ObjectKey};
use crate::limits::{LIST_PAGE_MAX, PARTS_MAX};
use crate::objects::{
    AfterUpload, Algorithm, Checksum, Complete, Declared, NewUpload, Span, Stated, Upload,
    UploadEntry, UploadQuery,
};

/// The checksum that an upload announces, where the two of its headers go together.
fn announced(
    named: Option<&ChecksumAlgorithm>,
    span: Option<&ChecksumType>,
) -> S3Result<Option<(Algorithm, Span)>> {
    let span = match span.map(ChecksumType::as_str) {
        None => None,
        Some(ChecksumType::COMPOSITE) => Some(Span::Composite),
        Some(ChecksumType::FULL_OBJECT) => Some(Span::FullObject),
        Some(_) => {
            return Err(s3_error!(
                InvalidRequest,
                "Value for x-amz-checksum-type header is invalid."
            ));
        }
    };
    let Some(algorithm) = algorithm(named)? else {
        return match span {
            None => Ok(None),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
        };
    };
    let span = match (algorithm, span) {
        (Algorithm::Crc64Nvme, None | Some(Span::FullObject)) => Span::FullObject,
        (Algorithm::Sha1 | Algorithm::Sha256, None | Some(Span::Composite)) => Span::Composite,
        (Algorithm::Crc32 | Algorithm::Crc32c, span) => span.unwrap_or(Span::Composite),
        (Algorithm::Crc64Nvme | Algorithm::Sha1 | Algorithm::Sha256, Some(_)) => {
            return Err(s3_error!(
                InvalidRequest,
                "The checksum type cannot be used with the {} checksum algorithm.",
                algorithm.name().to_ascii_lowercase()
            ));
        }
    };
    Ok(Some((algorithm, span)))
}

fn wire_algorithm(algorithm: Algorithm) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(algorithm.name())
}

fn wire_span(span: Span) -> ChecksumType {
    ChecksumType::from_static(match span {
        Span::FullObject => ChecksumType::FULL_OBJECT,
        Span::Composite => ChecksumType::COMPOSITE,
    })
}

fn initiator_of(identity: &Identity) -> Initiator {
    Initiator {
        display_name: Some(identity.display_name.clone()),
        id: Some(identity.canonical_id.clone()),
    }
}

pub(super) async fn create(
    surroundings: &Surroundings,
    given: Given,
    input: CreateMultipartUploadInput,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let checksum = announced(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    let metadata = metadata_of!(input, given);
    let Settled { metadata, owner } = settled(surroundings, &given, metadata)?;
    let new = NewUpload {
        bucket: bucket_name(&input.bucket)?,
        key: object_key(&input.key)?,
        metadata,
        owner,
        checksum,
    };
    let upload = surroundings.objects.create_upload(new).await?;
    let mut response = S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.id),
        checksum_algorithm: checksum.map(|(algorithm, _)| wire_algorithm(algorithm)),
        checksum_type: checksum.map(|(_, span)| wire_span(span)),
        ..Default::default()
    });
    sse::show(&mut response.headers, upload.metadata.encryption.as_ref());
    Ok(response)
}

fn part_number(number: i32) -> S3Result<u16> {
    let within = u16::try_from(number).ok().filter(|number| (1..=PARTS_MAX).contains(number));
    within.ok_or_else(|| -> S3Error {
        s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive")
    })
}

async fn upload_of(
    surroundings: &Surroundings,
    (bucket, key): (&str, &str),
    id: &str,
) -> S3Result<(BucketName, Upload)> {
    let bucket = bucket_name(bucket)?;
    let upload = surroundings.objects.upload(&bucket, &object_key(key)?, id).await?;
    Ok((bucket, upload))
}

pub(super) async fn upload_part(
    surroundings: &Surroundings,
    given: Given,
    input: UploadPartInput,
) -> S3Result<S3Response<UploadPartOutput>> {
    let number = part_number(input.part_number)?;
    let (bucket, upload) =
        upload_of(surroundings, (&input.bucket, &input.key), &input.upload_id).await?;
    given.encryption.check_part(upload.metadata.encryption.as_ref())?;
    let asked = algorithm(input.checksum_algorithm.as_ref())?;
    let announced = upload.checksum.map(|(algorithm, _)| algorithm);
    let hashed = announced.or(given.algorithm()).or(asked);
    let received = take_in(&surroundings.objects, input.body, &given, hashed).await?;
    let declared = given.declared()?;
    let echoed = declared.checksum.clone();
    let objects = &surroundings.objects;
    let part = objects.put_part((&bucket, &upload, number), declared, received).await?;
    let mut output = UploadPartOutput { e_tag: Some(strong(&part.etag())), ..Default::default() };
    let Checksum { algorithm, value, .. } = part.checksum();
    output = with_checksum!(output, algorithm, value);
    if let Some((algorithm, value)) = echoed {
        output = with_checksum!(output, algorithm, value);
    }
    let mut response = S3Response::new(output);
    sse::show(&mut response.headers, upload.metadata.encryption.as_ref());
    Ok(response)
}

/// `bytes=first-last`, both ends within the source.
fn copy_range(asked: Option<&str>, size_bytes: u64) -> S3Result<std::ops::Range<u64>> {
    let Some(asked) = asked else { return Ok(0..size_bytes) };
    match Range::parse(asked) {
        Ok(Range::Int { first, last: Some(last) }) if last < size_bytes => Ok(first..last + 1),
        Ok(Range::Int { last: Some(_), .. }) => Err(error::bad_range(size_bytes)),
        Ok(Range::Int { last: None, .. } | Range::Suffix { .. }) | Err(_) => Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and \
             last are the zero-based offsets of the first and last bytes to copy"
        )),
    }
}

pub(super) async fn copy_part(
    surroundings: &Surroundings,
    given: Given,
    input: UploadPartCopyInput,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let number = part_number(input.part_number)?;
    let (bucket, upload) =
        upload_of(surroundings, (&input.bucket, &input.key), &input.upload_id).await?;
    let conditions = SourceConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    given.encryption.check_part(upload.metadata.encryption.as_ref())?;
    let (from, _) = source(surroundings, &given, &input.copy_source, conditions).await?;
    let range = copy_range(input.copy_source_range.as_deref(), from.size_bytes)?;
    let objects = &surroundings.objects;
    let mut reading = objects.read(&from, range).await?;
    let mut incoming = objects.receive(upload.checksum.map(|(algorithm, _)| algorithm));
    while let Some(chunk) = reading.next().await? {
        incoming.write(chunk).await?;
    }
    let received = incoming.finish().await?;
    let part = objects.put_part((&bucket, &upload, number), Declared::default(), received).await?;
    let Checksum { algorithm, value, .. } = part.checksum();
    let result = CopyPartResult {
        e_tag: Some(strong(&part.etag())),
        last_modified: Some(moment(part.modified)),
        ..Default::default()
    };
    let mut response = S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(with_checksum!(result, algorithm, value)),
        copy_source_version_id: shown_id(surroundings, &from).await?,
        ..Default::default()
    });
    sse::show(&mut response.headers, upload.metadata.encryption.as_ref());
    Ok(response)
}

fn malformed() -> S3Error {
    s3_error!(
        MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
}

fn stated(part: CompletedPart) -> S3Result<Stated> {
    let number = part.part_number.ok_or_else(malformed)?;
    let checksum = [
        (Algorithm::Crc32, part.checksum_crc32),
        (Algorithm::Crc32c, part.checksum_crc32c),
        (Algorithm::Crc64Nvme, part.checksum_crc64nvme),
        (Algorithm::Sha1, part.checksum_sha1),
        (Algorithm::Sha256, part.checksum_sha256),
    ];
    let mut named = checksum.into_iter().filter_map(|(algorithm, value)| Some((algorithm, value?)));
    Ok(Stated {
        number: part_number(number)?,
        etag: part.e_tag.map(|etag| etag.value().to_owned()),
        checksum: named.next(),
    })
}

pub(super) async fn complete(
    surroundings: &Surroundings,
    given: Given,
    input: CompleteMultipartUploadInput,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let (bucket, key) = (bucket_name(&input.bucket)?, object_key(&input.key)?);
    let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    if parts.is_empty() {
        return Err(malformed());
    }
    let complete = Complete {
        parts: parts.into_iter().map(stated).collect::<S3Result<_>>()?,
        precondition: precondition(input.if_match.as_ref(), input.if_none_match.as_ref())?,
        size_bytes: input.mpu_object_size.map(i64::cast_unsigned),
        checksum: given.checksum,
        upload: input.upload_id,
        bucket,
        key: key.clone(),
    };
    let completed = surroundings.objects.complete_upload(complete).await?;
    let version = Some(completed.version.to_string());
    let mut output = CompleteMultipartUploadOutput {
        location: Some(url_of(&given.origin, &input.bucket, &key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(strong(&completed.etag)),
        version_id: version.filter(|id| completed.versioned && id != "null"),
        ..Default::default()
    };
    if let Some(checksum) = &completed.checksum {
        output.checksum_type = Some(checksum_type(checksum));
        output = with_checksum!(output, checksum.algorithm, checksum.value.clone());
    }
    Ok(S3Response::new(output))
}

pub(super) async fn abort(
    surroundings: &Surroundings,
    _: Given,
    input: AbortMultipartUploadInput,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let (bucket, key) = (bucket_name(&input.bucket)?, object_key(&input.key)?);
    surroundings.objects.abort_upload(&bucket, &key, &input.upload_id).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

/// The page size asked for, at most [`LIST_PAGE_MAX`].
fn most(asked: Option<i32>, name: &str) -> S3Result<usize> {
    super::listing::page_size(name, asked.map(|asked| asked.to_string()).as_deref())
}

pub(super) async fn parts(
    surroundings: &Surroundings,
    _: Given,
    input: ListPartsInput,
) -> S3Result<S3Response<ListPartsOutput>> {
    let most = most(input.max_parts, "max-parts")?;
    let (_, upload) =
        upload_of(surroundings, (&input.bucket, &input.key), &input.upload_id).await?;
    let marker = input.part_number_marker.unwrap_or(0);
    let mut behind = surroundings.objects.parts(&upload).await?;
    behind.retain(|part| i32::from(part.number) > marker);
    let more = behind.len() > most;
    behind.truncate(most);
    let parts = behind.iter().map(|part| {
        let wire = WirePart {
            e_tag: Some(strong(&part.etag())),
            last_modified: Some(moment(part.modified)),
            part_number: Some(part.number.into()),
            size: Some(part.size_bytes.cast_signed()),
            ..Default::default()
        };
        match upload.checksum {
            Some(_) => {
                let Checksum { algorithm, value, .. } = part.checksum();
                with_checksum!(wire, algorithm, value)
            }
            None => wire,
        }
    });
    let owner = surroundings.owner(&upload.owner);
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.id.clone()),
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| wire_algorithm(algorithm)),
        checksum_type: upload.checksum.map(|(_, span)| wire_span(span)),
        initiator: Some(initiator_of(owner)),
        owner: Some(owner_of(owner)),
        is_truncated: Some(more),
        max_parts: i32::try_from(most).ok(),
        part_number_marker: Some(marker),
        next_part_number_marker: behind.last().map(|part| part.number.into()),
        parts: Some(parts.collect()),
        storage_class: Some(class_of(&upload)),
        ..Default::default()
    }))
}

fn class_of(upload: &Upload) -> StorageClass {
    let named = upload.metadata.storage_class.clone();
    named.map_or(StorageClass::from_static(StorageClass::STANDARD), StorageClass::from)
}

/// Where a listing of uploads goes on. AWS: an upload's marker means nothing without its key's.
fn after_upload(input: &ListMultipartUploadsInput) -> AfterUpload {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (filled(&input.key_marker), filled(&input.upload_id_marker)) {
        (None, _) => AfterUpload::Start,
        (Some(key), None) => AfterUpload::Key(key),
        (Some(key), Some(id)) => match ObjectKey::parse(key.as_str()) {
            Ok(key) => AfterUpload::Upload(key, id),
            Err(_) => AfterUpload::Key(key),
        },
    }
}

pub(super) async fn uploads(
    surroundings: &Surroundings,
    _: Given,
    input: ListMultipartUploadsInput,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let most = most(input.max_uploads, "max-uploads")?.min(LIST_PAGE_MAX);
    let encoded = super::listing::encoding(input.encoding_type.as_ref().map(EncodingType::as_str))?;
    let shown = |text: &str| if encoded { url_encoded(text) } else { text.to_owned() };
    let query = UploadQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        after: after_upload(&input),
        limit: most,
    };
    let page = surroundings.objects.uploads(&bucket_name(&input.bucket)?, query).await?;
    let more = page.more;
    let (mut listed, mut groups) = (Vec::new(), Vec::new());
    let (mut next_key, mut next_upload) = (None, None);
    for entry in page.entries {
        match entry {
            UploadEntry::Upload(upload) => {
                let owner = surroundings.owner(&upload.owner);
                listed.push(MultipartUpload {
                    checksum_algorithm: upload
                        .checksum
                        .map(|(algorithm, _)| wire_algorithm(algorithm)),
                    checksum_type: upload.checksum.map(|(_, span)| wire_span(span)),
                    initiated: Some(moment(upload.initiated)),
                    initiator: Some(initiator_of(owner)),
                    owner: Some(owner_of(owner)),
                    key: Some(shown(upload.key.as_str())),
                    storage_class: Some(class_of(&upload)),
                    upload_id: Some(upload.id.clone()),
                });
                (next_key, next_upload) =
                    (Some(shown(upload.key.as_str())), Some(upload.id.clone()));
            }
            UploadEntry::Group(group) => {
                groups.push(CommonPrefix { prefix: Some(shown(&group)) });
                (next_key, next_upload) = (Some(shown(&group)), None);
            }
        }
    }
    let echo = |text: &Option<String>| Some(shown(text.as_deref().unwrap_or_default()));
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        common_prefixes: Some(groups),
        delimiter: input.delimiter.as_deref().filter(|text| !text.is_empty()).map(shown),
        encoding_type: input.encoding_type,
        is_truncated: Some(more),
        key_marker: echo(&input.key_marker),
        max_uploads: i32::try_from(most).ok(),
        next_key_marker: next_key.filter(|_| more),
        next_upload_id_marker: next_upload.filter(|_| more),
        prefix: echo(&input.prefix),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        uploads: Some(listed),
        ..Default::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_go_together_as_s3_says() {
        let of = |named: &'static str, span: Option<&'static str>| {
            let named = ChecksumAlgorithm::from_static(named);
            let span = span.map(ChecksumType::from_static);
            announced(Some(&named), span.as_ref())
        };
        assert_eq!(of("CRC32", None).unwrap(), Some((Algorithm::Crc32, Span::Composite)));
        let full = Some("FULL_OBJECT");
        assert_eq!(of("CRC32", full).unwrap(), Some((Algorithm::Crc32, Span::FullObject)));
        assert_eq!(of("CRC64NVME", None).unwrap(), Some((Algorithm::Crc64Nvme, Span::FullObject)));
        assert!(of("SHA256", full).is_err());
        assert!(of("CRC64NVME", Some("COMPOSITE")).is_err());
    }

    #[test]
    fn a_range_to_copy_lies_within_the_source() {
        assert_eq!(copy_range(None, 10).unwrap(), 0..10);
        assert_eq!(copy_range(Some("bytes=2-9"), 10).unwrap(), 2..10);
        for bad in ["bytes=2-10", "bytes=2-", "bytes=-2", "2-3"] {
            assert!(copy_range(Some(bad), 10).is_err(), "{bad}");
        }
    }
}
