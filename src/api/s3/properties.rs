//! Properties of every parser that meets bytes from outside: none panics, and what was written is read back.

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_assert_ne,
    prop_oneof, proptest,
};
use s3s::StdError;

use super::tests::{Place, place};
use super::xml::{Node, Xml};
use super::{chunked, policy, signature, tagging};

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An aws-chunked body cut into pieces of `step` bytes, and what comes out of it.
fn dechunked(framed: &[u8], step: usize) -> Result<Vec<u8>, StdError> {
    let pieces: Vec<Result<Frame<Bytes>, StdError>> =
        framed.chunks(step).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let body = s3s::Body::http_body_unsync(StreamBody::new(futures::stream::iter(pieces)));
    let request = Request::builder()
        .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .header("x-amz-decoded-content-length", "1")
        .body(body)
        .unwrap();
    let (request, _) = chunked::decode(request)?;
    block(async {
        let (mut whole, mut body) = (Vec::new(), request.into_body());
        while let Some(piece) = body.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole)
    })
}

fn any_headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let names = prop::sample::select(vec![
        "range",
        "content-md5",
        "if-match",
        "if-modified-since",
        "x-amz-copy-source",
        "x-amz-copy-source-range",
        "x-amz-tagging",
        "x-amz-storage-class",
        "x-amz-checksum-crc32",
        "x-amz-trailer",
        "x-amz-object-attributes",
        "x-amz-server-side-encryption",
        "x-amz-meta-a",
        "expires",
        "content-encoding",
        "content-type",
        "origin",
    ]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "bytes=-?[0-9]{0,22}-[0-9]{0,22}".prop_map(String::into_bytes),
        "/?things/[a-z%?=/+]{0,30}".prop_map(String::into_bytes),
        "[a-zA-Z0-9+/=,\" -]{0,40}".prop_map(String::into_bytes),
    ];
    prop::collection::vec((names.prop_map(str::to_owned), value), 0..4)
}

fn any_target() -> impl Strategy<Value = String> {
    let path = prop_oneof![Just("/things"), Just("/things/key"), Just("/"), Just("/absent/k")];
    let sub = prop::sample::select(vec![
        "",
        "versions",
        "uploads",
        "uploadId=u",
        "partNumber=1",
        "versionId=",
        "delete",
        "tagging",
        "acl",
        "policy",
        "cors",
        "lifecycle",
        "encryption",
        "retention",
        "legal-hold",
        "object-lock",
        "versioning",
        "location",
        "list-type=2",
        "attributes",
        "ownershipControls",
        "publicAccessBlock",
        "notification",
    ]);
    (path, sub, "([a-z-]{1,12}=[a-zA-Z0-9%.+-]{0,12}&?){0,2}")
        .prop_map(|(path, sub, more)| format!("{path}?{sub}&{more}"))
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "(<[A-Z][a-z]{0,8}>|</[A-Z][a-z]{0,8}>|&#x?[0-9a-f]{0,4};|[a-z0-9 ]{0,9}){0,20}"
            .prop_map(String::into_bytes),
        "\\{(\"[A-Za-z]{1,9}\": ?(\"[a-z:*]{0,9}\"|\\[\\]|1|\\{\\}),?){0,4}\\}"
            .prop_map(String::into_bytes),
    ]
}

async fn answered(
    place: &Place,
    method: &str,
    target: &str,
    headers: &[(String, Vec<u8>)],
    body: Vec<u8>,
) -> http::StatusCode {
    let text: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value).ok()?)))
        .filter(|(_, value)| HeaderValue::from_bytes(value.as_bytes()).is_ok())
        .collect();
    place.send(method, target, &text, body).await.status
}

proptest! {
    #[test]
    fn chunks_come_out_as_they_went_in(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
        step in 1_usize..400,
    ) {
        let mut framed = Vec::new();
        for piece in &pieces {
            framed.extend(format!("{:x};chunk-signature=ab\r\n", piece.len()).into_bytes());
            framed.extend(piece);
            framed.extend(b"\r\n");
        }
        framed.extend(b"0\r\n\r\n");
        prop_assert_eq!(dechunked(&framed, step).unwrap(), pieces.concat());
    }

    #[test]
    fn a_chunked_body_that_is_cut_short_is_never_whole(
        piece in prop::collection::vec(any::<u8>(), 1..300), cut in 0_usize..300,
    ) {
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend(&piece);
        framed.truncate(cut.min(framed.len()));
        prop_assert!(dechunked(&framed, 7).is_err());
    }

    #[test]
    fn any_bytes_are_chunks_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..50,
    ) {
        // Only that it ends, without a panic.
        drop(dechunked(&bytes, step));
    }

    #[test]
    fn xml_that_we_write_is_xml_that_we_read(texts in prop::collection::vec(any::<String>(), 1..6)) {
        let texts: Vec<String> = texts.into_iter().map(|text| text.replace(['\u{fffe}', '\u{ffff}'], "")).collect();
        let document = Xml::document("Root", |xml| {
            for text in &texts {
                xml.element("Item", |xml| xml.leaf("Text", text));
            }
        });
        // XML holds no NUL, not even as a reference.
        if texts.iter().all(|text| !text.contains('\0')) {
            let root = Node::parse(document.as_bytes()).unwrap();
            let read: Vec<&str> = root.all("Item").map(|item| item.text_of("Text").unwrap_or_default()).collect();
            prop_assert_eq!(read, texts);
        }
    }

    #[test]
    fn any_bytes_are_xml_or_an_error(body in any_body()) {
        drop(Node::parse(&body));
    }

    #[test]
    fn any_bytes_are_a_policy_or_an_error(body in any_body()) {
        if let Ok(policy) = policy::read(&body, "things") {
            policy::is_public(&policy);
        }
    }

    #[test]
    fn any_text_is_tags_or_an_error(text in any::<String>(), pairs in "([a-z%+&=]{0,9}){0,6}") {
        drop(tagging::of_header(Some(&text)));
        drop(tagging::of_header(Some(&pairs)));
    }

    #[test]
    fn any_authorization_is_a_claim_or_an_error(
        text in prop_oneof![
            "[ -~]{0,60}".boxed(),
            "AWS4-HMAC-SHA256 (Credential=[A-Z/a-z0-9]{0,30},? ?|SignedHeaders=[a-z;]{0,9},? ?|Signature=[0-9a-f]{0,9}){0,4}".boxed(),
            "AWS [A-Z]{0,9}:?[a-z=]{0,9}".boxed(),
        ],
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, text.parse().unwrap());
        drop(signature::claim(&Method::GET, &Uri::from_static("/b/k"), &headers));
    }

    #[test]
    fn a_stripped_query_keeps_what_is_no_signature(
        pairs in prop::collection::vec(("[a-z][a-z-]{0,8}", "[a-zA-Z0-9%.~-]{0,9}"), 0..5),
    ) {
        let query = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let uri: Uri = format!("/b/k?{query}&X-Amz-Signature=0&AWSAccessKeyId=A").parse().unwrap();
        let left = signature::strip(&uri, &mut HeaderMap::new());
        prop_assert_eq!(left.query().unwrap_or_default(), query);
    }
}

#[test]
fn no_request_is_answered_with_a_fault_of_ours() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let methods =
        prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = runtime.block_on(place());
    runner
        .run(
            &(methods, any_target(), any_headers(), any_body()),
            |(method, target, headers, body)| {
                let status = runtime.block_on(answered(&place, method, &target, &headers, body));
                prop_assert_ne!(
                    status,
                    http::StatusCode::INTERNAL_SERVER_ERROR,
                    "{} {}",
                    method,
                    target
                );
                Ok(())
            },
        )
        .unwrap();
}
