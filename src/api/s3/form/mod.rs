//! Uploads from HTML forms: `POST` to a bucket as `multipart/form-data`, allowed by a signed policy inside the form.
//!
//! `s3s` would keep the file in memory and answers some of it wrongly, so this is ours from end to end. The file
//! streams: everything that decides about it comes before it.

mod policy;
mod reader;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::{PutObjectInput, StorageClass, StreamingBlob};
use s3s::{S3Error, S3Result, s3_error};

use self::policy::Policy;
use self::reader::{Fields, Reader, parameter};
use super::error::malformed_form;
use super::request::{Asking, Trailers};
use super::settings::empty;
use super::target::Target;
use super::xml::{self, Node, Xml};
use super::{Surroundings, access, buckets, error, listing, objects, request, tagging};
use crate::config::{Auth, Identity};
use crate::limits::OBJECT_PUT_MAX_BYTES;
use crate::objects::Algorithm;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hmac_is_the_one_of_rfc_2202() {
        let mac = hmac(Algorithm::Sha1, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex::encode(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }
}
