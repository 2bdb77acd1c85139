//! Uploads from HTML forms: `POST` to a bucket as `multipart/form-data`, allowed by a signed policy inside the form.
//!
//! `s3s` would keep the file in memory and answers some of it wrongly, so this is ours from end to end. The file
//! streams: everything that decides about it comes before it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::{
    PutObjectInput, StorageClass, StreamingBlob, Timestamp as WireTimestamp, TimestampFormat,
};
use s3s::{S3Error, S3Result, StdError, s3_error};
use serde_json::Value;

use super::error::{custom, malformed_form};
use super::request::{Asking, Trailers};
use super::settings::empty;
use super::target::Target;
use super::xml::{self, Node, Xml};
use super::{Surroundings, access, buckets, error, listing, objects, request, tagging};
use crate::clock::Timestamp;
use crate::config::{Auth, Identity};
use crate::limits::{FORM_FIELDS_MAX_BYTES, OBJECT_PUT_MAX_BYTES};
use crate::objects::Algorithm;

/// The form before the file: names in lower case, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fields {
    all: Vec<(String, String)>,
    /// What the file was called where it came from.
    file_name: String,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a form part by part.
struct Reader<S> {
    source: S,
    buffer: BytesMut,
    /// What ends a part: a line end, two dashes and the boundary.
    end: Vec<u8>,
    /// The form's last bytes are in the buffer.
    over: bool,
}

#[derive(Debug, thiserror::Error)]
enum Bad {
    #[error("the form is malformed: MalformedPOSTRequest")]
    Malformed,
    #[error("the file is larger than the policy allows: EntityTooLarge")]
    TooLarge,
    #[error("the file is smaller than the policy allows: EntityTooSmall")]
    TooSmall,
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|there| there == wanted)
}

impl<S: Stream<Item = Result<Bytes, StdError>> + Unpin> Reader<S> {
    fn new(source: S, boundary: &str) -> Reader<S> {
        let end = format!("\r\n--{boundary}").into_bytes();
        // The first boundary has no line end before it.
        Reader { source, buffer: BytesMut::from("\r\n"), end, over: false }
    }

    async fn more(&mut self) -> Result<(), StdError> {
        match self.source.next().await {
            Some(chunk) => self.buffer.extend_from_slice(&chunk?),
            None if self.over => return Err(Bad::Malformed.into()),
            None => self.over = true,
        }
        Ok(())
    }

    /// The next bytes of the part; `None` at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, StdError> {
        loop {
            if let Some(at) = position(&self.buffer, &self.end) {
                if at > 0 {
                    return Ok(Some(self.buffer.split_to(at).freeze()));
                }
                return Ok(None);
            }
            // The boundary may have begun in the last bytes.
            let sure = self.buffer.len().saturating_sub(self.end.len());
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.more().await?;
        }
    }

    async fn whole(&mut self, left: &mut usize) -> Result<Vec<u8>, StdError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            *left = left.checked_sub(piece.len()).ok_or(Bad::Malformed)?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// A line of a part's head, without its end.
    async fn line(&mut self, left: &mut usize) -> Result<String, StdError> {
        loop {
            if let Some(at) = position(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(at + 2);
                *left = left.checked_sub(line.len()).ok_or(Bad::Malformed)?;
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.buffer.len() > *left {
                return Err(Bad::Malformed.into());
            }
            self.more().await?;
        }
    }

    /// Goes past a boundary. Whether another part follows.
    async fn next(&mut self) -> Result<bool, StdError> {
        let size = self.end.len() + 2;
        while self.buffer.len() < size {
            self.more().await?;
        }
        let passed = self.buffer.split_to(size);
        match &passed[self.end.len()..] {
            b"\r\n" => Ok(true),
            b"--" => Ok(false),
            _ => Err(Bad::Malformed.into()),
        }
    }

    /// Everything up to the file, at whose first byte the reader is then.
    async fn fields(&mut self) -> Result<Option<Fields>, StdError> {
        let mut left = FORM_FIELDS_MAX_BYTES;
        let mut fields = Fields::default();
        self.whole(&mut left).await?;
        while self.next().await? {
            let (mut name, mut file_name, mut kind) = (None, None, None);
            loop {
                let line = self.line(&mut left).await?;
                if line.is_empty() {
                    break;
                }
                let Some((head, value)) = line.split_once(':') else { continue };
                match head.trim().to_ascii_lowercase().as_str() {
                    "content-disposition" => {
                        name = parameter(value, "name");
                        file_name = parameter(value, "filename");
                    }
                    "content-type" => kind = Some(value.trim().to_owned()),
                    _ => {}
                }
            }
            let name = name.ok_or(Bad::Malformed)?.to_ascii_lowercase();
            // Some clients give every field a file name; the name alone tells which one is the file.
            if name == "file" {
                fields.file_name = file_name.unwrap_or_default();
                if let Some(kind) = kind
                    && fields.get("content-type").is_none()
                {
                    fields.all.push((":file-type".to_owned(), kind));
                }
                return Ok(Some(fields));
            }
            let value = self.whole(&mut left).await?;
            fields.all.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
        Ok(None)
    }

    /// The file, which must have a size within `range`.
    fn file(self, range: (u64, u64)) -> impl Stream<Item = Result<Bytes, StdError>> {
        futures::stream::try_unfold((self, 0_u64), move |(mut reader, mut size)| async move {
            let piece = reader.piece().await?;
            size += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            if size > range.1 {
                return Err(Bad::TooLarge.into());
            }
            match piece {
                Some(piece) => Ok(Some((piece, (reader, size)))),
                None if size < range.0 => Err(Bad::TooSmall.into()),
                None => Ok(None),
            }
        })
    }
}

/// A parameter of a header: `name="value"` or `name=value`.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    for part in header.split(';').skip(1) {
        let Some((name, value)) = part.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

fn missing(message: &'static str) -> S3Error {
    s3_error!(InvalidArgument, "{}", message)
}

/// Answers a form upload.
pub(super) async fn answer(
    surroundings: &Surroundings,
    auth: Auth,
    request: http::Request<s3s::Body>,
) -> S3Result<http::Response<s3s::Body>> {
    let (mut head, body) = request.into_parts();
    let origin = request::normalise(&mut head);
    let target = Target::of(&head.uri)?;
    if target.bucket.is_empty() || target.key.is_some() {
        return Err(super::settings::wrong_method());
    }
    request::check_owner(&head.headers, &surroundings.account)?;
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let boundary = parameter(kind.unwrap_or_default(), "boundary");
    let boundary = boundary.filter(|boundary| !boundary.is_empty()).ok_or_else(malformed_form)?;
    let mut reader = Reader::new(body, &boundary);
    let fields = reader.fields().await.map_err(|failed| error::of_body(failed.as_ref()))?;
    let mut fields =
        fields.ok_or_else(|| missing("POST requires exactly one file upload per request."))?;
    let now = surroundings.objects.now();
    let caller = who(surroundings, auth, &fields)?;
    let key = fields.get("key").filter(|key| !key.is_empty()).ok_or_else(|| {
        missing(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the \
             order of the fields.",
        )
    })?;
    let key = key.replace("${filename}", &fields.file_name);
    for (name, value) in &mut fields.all {
        if name == "key" {
            value.clone_from(&key);
        }
    }
    let range = match fields.get("policy") {
        Some(policy) => Policy::read(policy)?.check(&fields, &target.bucket, now)?,
        None => (0, OBJECT_PUT_MAX_BYTES),
    };
    let mut headers = headers_of(&fields);
    let object = Target::of_object(&target.bucket, &key, None);
    let want = access::Want::write(&object, &headers);
    let place = access::check(surroundings, &caller, &want).await?.map(std::sync::Arc::new);
    let trailers = Trailers::None;
    let asking = Asking { caller, trailers, place, origin: origin.clone(), now };
    let given = request::read(&mut headers, asking)?;
    let frames = reader.file(range).map(|chunk| chunk.map(Frame::data));
    let body = s3s::Body::http_body_unsync(StreamBody::new(Box::pin(frames)));
    let input = input_of(&target.bucket, &key, &headers, tags_of(&fields)?)?;
    let input = PutObjectInput { body: Some(StreamingBlob::from(body)), ..input };
    let done = objects::put(surroundings, given, input).await?;
    let etag = done.output.e_tag.as_ref().map(|etag| format!("\"{}\"", etag.value()));
    let key = objects_key(&key)?;
    let location = objects::url_of(&origin, &target.bucket, &key);
    let mut answer = success(
        &fields,
        (&target.bucket, key.as_str()),
        (&location, etag.as_deref().unwrap_or_default()),
    );
    answer.headers_mut().extend(done.headers);
    let version = done.output.version_id.unwrap_or_default();
    for (name, value) in [("etag", etag.unwrap_or_default()), ("x-amz-version-id", version)] {
        if !value.is_empty() {
            buckets::set(answer.headers_mut(), name, &value);
        }
    }
    if !answer.headers().contains_key(header::LOCATION) {
        buckets::set(answer.headers_mut(), "location", &location);
    }
    Ok(answer)
}

fn objects_key(key: &str) -> S3Result<crate::id::ObjectKey> {
    super::operations::object_key(key)
}

fn success(
    fields: &Fields,
    (bucket, key): (&str, &str),
    (location, etag): (&str, &str),
) -> http::Response<s3s::Body> {
    let redirect = fields.get("success_action_redirect").or(fields.get("redirect"));
    if let Some(to) = redirect.filter(|to| to.starts_with("http://") || to.starts_with("https://"))
    {
        let mark = if to.contains('?') { '&' } else { '?' };
        // The ETag with its quotes, as S3 has it in the query.
        let etag = listing::url_encoded(etag);
        let to = format!("{to}{mark}bucket={bucket}&key={}&etag={etag}", listing::url_encoded(key));
        let mut answer = empty(StatusCode::SEE_OTHER);
        buckets::set(answer.headers_mut(), "location", &to);
        return answer;
    }
    match fields.get("success_action_status") {
        Some("200") => empty(StatusCode::OK),
        Some("201") => {
            let document = Xml::document("PostResponse", |xml| {
                xml.leaf("Location", location);
                xml.leaf("Bucket", bucket);
                xml.leaf("Key", key);
                xml.leaf("ETag", etag);
            });
            let mut answer = xml::answer(document);
            *answer.status_mut() = StatusCode::CREATED;
            answer
        }
        _ => empty(StatusCode::NO_CONTENT),
    }
}

/// Fields that are headers of a put.
fn headers_of(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &fields.all {
        let name = match name.as_str() {
            "acl" => "x-amz-acl",
            ":file-type" => "content-type",
            // A form is no conditional request, and its fields do not say who sends it.
            "content-length" | "host" | "authorization" | "if-match" | "if-none-match" => continue,
            name => name,
        };
        let value = value.replace("${filename}", &fields.file_name);
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// `tagging`: the XML of `PutObjectTagging`. Answers it as the header of a put has it.
fn tags_of(fields: &Fields) -> S3Result<Option<String>> {
    let Some(tagging) = fields.get("tagging") else { return Ok(None) };
    let tags = tagging::read(&Node::parse(tagging.as_bytes())?, tagging::OBJECT_TAGS_MAX)?;
    let encoded = |text: &str| listing::url_encoded(text).replace('/', "%2F");
    let pairs = tags.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value)));
    Ok(Some(pairs.collect::<Vec<_>>().join("&")))
}

fn input_of(
    bucket: &str,
    key: &str,
    headers: &HeaderMap,
    tagging: Option<String>,
) -> S3Result<PutObjectInput> {
    let text = |name: &str| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut input = PutObjectInput::builder();
    input.set_bucket(bucket.to_owned());
    input.set_key(key.to_owned());
    let mut input = input.build().map_err(|_| malformed_form())?;
    input.content_type = text("content-type");
    input.cache_control = text("cache-control");
    input.content_disposition = text("content-disposition");
    input.content_encoding = text("content-encoding");
    input.content_language = text("content-language");
    input.website_redirect_location = text("x-amz-website-redirect-location");
    input.storage_class = text("x-amz-storage-class").map(StorageClass::from);
    input.tagging = tagging.or_else(|| text("x-amz-tagging"));
    Ok(input)
}

// ---- who

/// RFC 2104.
fn hmac(algorithm: Algorithm, key: &[u8], message: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = if key.len() > BLOCK { algorithm.digest(key) } else { key.to_vec() };
    block.resize(BLOCK, 0);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = algorithm.digest(&[&padded(0x36), message].concat());
    algorithm.digest(&[padded(0x5c), inner].concat())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differing == 0
}

fn not_the_signature() -> S3Error {
    s3_error!(
        SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided. Check your \
         key and signing method."
    )
}

/// Who signed the policy.
fn who(surroundings: &Surroundings, auth: Auth, fields: &Fields) -> S3Result<Identity> {
    let credential = fields.get("x-amz-credential");
    let key = fields.get("awsaccesskeyid").or_else(|| credential?.split('/').next());
    let signature = fields.get("x-amz-signature").or(fields.get("signature"));
    let Some(policy) = fields.get("policy") else {
        if key.is_some() || signature.is_some() {
            return Err(missing("Bucket POST must contain a field named 'policy'."));
        }
        return Ok(access::nobody());
    };
    let key = key.ok_or_else(|| {
        missing("Bucket POST must contain a field named 'AWSAccessKeyId' or 'X-Amz-Credential'.")
    })?;
    let signature =
        signature.ok_or_else(|| missing("Bucket POST must contain a field named 'Signature'."))?;
    let Some(identity) = surroundings.identity(key) else {
        return match auth {
            Auth::Lenient => Ok(surroundings.default_identity().clone()),
            Auth::Strict => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        };
    };
    let secret = &identity.secret_access_key;
    let expected = match credential {
        None => STANDARD.encode(hmac(Algorithm::Sha1, secret.as_bytes(), policy.as_bytes())),
        Some(credential) => {
            let scope: Vec<&str> = credential.split('/').skip(1).collect();
            let [day, region, service, last] = scope[..] else { return Err(not_the_signature()) };
            let start = format!("AWS4{secret}").into_bytes();
            let key = [day, region, service, last]
                .iter()
                .fold(start, |key, part| hmac(Algorithm::Sha256, &key, part.as_bytes()));
            hex::encode(hmac(Algorithm::Sha256, &key, policy.as_bytes()))
        }
    };
    if same(&expected, signature) { Ok(identity.clone()) } else { Err(not_the_signature()) }
}

// ---- the policy

/// What a form's policy asks of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Equals(String, String),
    StartsWith(String, String),
    /// In bytes, both included.
    Length(u64, u64),
}

#[derive(Clone, Debug)]
struct Policy {
    expires: Timestamp,
    conditions: Vec<Condition>,
}

fn bad_policy(message: &'static str) -> S3Error {
    custom("InvalidPolicyDocument", StatusCode::BAD_REQUEST, message)
}

fn against_policy(message: &str) -> S3Error {
    s3_error!(AccessDenied, "Invalid according to Policy: {}", message)
}

impl Policy {
    fn read(text: &str) -> S3Result<Policy> {
        let invalid = || bad_policy("Invalid Policy: Invalid JSON.");
        let bytes = STANDARD.decode(text.trim()).map_err(|_| invalid())?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        let expires = document.get("expiration").and_then(Value::as_str);
        let expires = expires.ok_or_else(|| bad_policy("Invalid Policy: Missing expiration."))?;
        let expires: time::OffsetDateTime =
            WireTimestamp::parse(TimestampFormat::DateTime, expires)
                .map_err(|_| bad_policy("Invalid Policy: Invalid 'expiration' value"))?
                .into();
        let conditions = document.get("conditions").and_then(Value::as_array);
        let conditions = conditions
            .filter(|all| !all.is_empty())
            .ok_or_else(|| bad_policy("Invalid Policy: Missing conditions."))?;
        let mut all = Vec::new();
        for condition in conditions {
            read_condition(condition, &mut all)?;
        }
        let expires = Timestamp::from_millis(expires.unix_timestamp() * 1000);
        Ok(Policy { expires, conditions: all })
    }

    /// Whether a form is what the policy allows. Answers the sizes that the file may have.
    fn check(&self, fields: &Fields, bucket: &str, now: Timestamp) -> S3Result<(u64, u64)> {
        if self.expires < now {
            return Err(against_policy("Policy expired."));
        }
        let value = |name: &str| if name == "bucket" { Some(bucket) } else { fields.get(name) };
        let mut range = (0, OBJECT_PUT_MAX_BYTES);
        for condition in &self.conditions {
            let holds = match condition {
                Condition::Equals(name, wanted) => value(name) == Some(wanted.as_str()),
                Condition::StartsWith(name, wanted) => {
                    value(name).unwrap_or_default().starts_with(wanted.as_str())
                }
                Condition::Length(least, most) => {
                    range = (range.0.max(*least), range.1.min(*most));
                    true
                }
            };
            if !holds {
                return Err(against_policy(&format!("Policy Condition failed: {condition:?}")));
            }
        }
        let unsigned =
            ["x-amz-signature", "signature", "awsaccesskeyid", "policy", "file", ":file-type"];
        let named = |field: &str| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Equals(name, _) | Condition::StartsWith(name, _) => name == field,
                Condition::Length(..) => false,
            })
        };
        for (name, _) in &fields.all {
            let free = unsigned.contains(&name.as_str()) || name.starts_with("x-ignore-");
            if !free && !named(name) {
                return Err(against_policy(&format!("Extra input fields: {name}")));
            }
        }
        Ok(range)
    }
}

fn read_condition(condition: &Value, into: &mut Vec<Condition>) -> S3Result<()> {
    let invalid = || bad_policy("Invalid Policy: Invalid condition.");
    match condition {
        Value::Object(pairs) => {
            if pairs.is_empty() {
                return Err(invalid());
            }
            for (name, value) in pairs {
                let value = value.as_str().ok_or_else(invalid)?;
                into.push(Condition::Equals(name.to_ascii_lowercase(), value.to_owned()));
            }
            Ok(())
        }
        Value::Array(three) => {
            let [kind, first, second] = three.as_slice() else { return Err(invalid()) };
            let field = || {
                let name = first.as_str().map(|name| name.trim_start_matches('\\'));
                let name = name.and_then(|name| name.strip_prefix('$'));
                name.map(str::to_ascii_lowercase).ok_or_else(invalid)
            };
            // AWS: a dollar sign in a value is written with a backslash before it.
            let text = || second.as_str().map(|text| text.replace("\\$", "$")).ok_or_else(invalid);
            let size = |value: &Value| {
                let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                number.ok_or_else(invalid)
            };
            into.push(match kind.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("eq") => Condition::Equals(field()?, text()?),
                Some("starts-with") => Condition::StartsWith(field()?, text()?),
                Some("content-length-range") => Condition::Length(size(first)?, size(second)?),
                _ => return Err(invalid()),
            });
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parsed(form: &[u8], size: usize) -> Result<(Fields, Vec<u8>), StdError> {
        let chunks: Vec<Result<Bytes, StdError>> =
            form.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut reader = Reader::new(futures::stream::iter(chunks), "b");
        let fields = reader.fields().await?.ok_or(Bad::Malformed)?;
        let mut file = Vec::new();
        let mut pieces = Box::pin(reader.file((0, 100)));
        while let Some(piece) = pieces.next().await {
            file.extend_from_slice(&piece?);
        }
        Ok((fields, file))
    }

    #[tokio::test]
    async fn a_form_is_read_however_it_arrives() {
        let form = b"--b\r\nContent-Disposition: form-data; name=\"Key\"; filename=\"x\"\r\n\r\n${filename}\r\n--b\r\n\
            Content-Disposition: form-data; name=file; filename=a.txt\r\nContent-Type: text/plain\r\n\r\n\
            one\r\n--two\r\n\r\n--b--\r\n";
        for size in [1, 2, 7, 1000] {
            let (fields, file) = parsed(form, size).await.unwrap();
            assert_eq!(fields.get("key"), Some("${filename}"));
            assert_eq!(fields.file_name, "a.txt");
            assert_eq!(file, b"one\r\n--two\r\n", "in pieces of {size}");
        }
        for cut in 0..form.len() - 4 {
            assert!(parsed(&form[..cut], 5).await.is_err(), "{cut}");
        }
    }

    #[test]
    fn an_hmac_is_the_one_of_rfc_2202() {
        let mac = hmac(Algorithm::Sha1, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex::encode(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }
}
