//! Amazon S3's REST API over [`Objects`].
//!
//! A request passes three layers. The front (this file and `signature`) finds out who asks: a request with a key of
//! ours is verified by `s3s`; one with a key that nobody knows is, in the lenient mode, taken for the default identity
//! and its `aws-chunked` body decoded here. Then `request` takes what `s3s` would parse wrongly, or refuse, out of the
//! headers. What is left is parsed by `s3s` and answered by `operations`; listings are ours (`listing`), because theirs
//! cannot be written with it.

mod answer;
mod buckets;
mod chunked;
mod error;
mod listing;
mod multipart;
mod objects;
mod operations;
mod request;
mod signature;
#[cfg(test)]
mod tests;
mod xml;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::api::wire::{Request, RequestId, Response};
use crate::config::{Auth, Identity};
use crate::id::{AccountId, Region};
use crate::objects::Objects;
use operations::Operations;
use request::Trailers;
use signature::{Claim, Secrets};

/// The S3 API. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct S3 {
    inner: Arc<Inner>,
    /// Verifies signatures, then hands on to `inner`.
    verifying: S3Service,
    auth: Auth,
}

/// What comes after the question who asks.
#[derive(Debug)]
struct Inner {
    operations: Operations,
    /// Parses requests whose signature is no matter any more.
    parsing: S3Service,
}

/// What every operation needs to know of the place it runs in.
#[derive(Clone, Debug)]
struct Surroundings {
    objects: Objects,
    account: AccountId,
    region: Region,
    identities: Arc<[Identity]>,
}

/// Bucket names are checked where they matter, at `CreateBucket`: elsewhere a bad one is a bucket that does not exist.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

/// Takes every verified request away from `s3s`, whose parsing comes too early for us, but for form uploads.
struct Verified(Arc<Inner>);

#[async_trait::async_trait]
impl S3Route for Verified {
    fn is_match(
        &self,
        _: &http::Method,
        _: &http::Uri,
        headers: &HeaderMap,
        _: &mut http::Extensions,
    ) -> bool {
        !signature::is_form(headers)
    }

    async fn call(&self, request: S3Request<s3s::Body>) -> S3Result<S3Response<s3s::Body>> {
        let inner = &self.0;
        let key = request.credentials.as_ref().map(|credentials| credentials.access_key.as_str());
        let known = key.and_then(|key| inner.operations.surroundings.identity(key)).cloned();
        let caller = known.ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        let trailers = request.trailing_headers.map_or(Trailers::None, Trailers::Verified);
        let mut plain = http::Request::new(request.input);
        *plain.method_mut() = request.method;
        *plain.uri_mut() = request.uri;
        *plain.headers_mut() = request.headers;
        *plain.extensions_mut() = request.extensions;
        let (head, body) = inner.serve(plain, caller, trailers).await?.into_parts();
        let mut response = S3Response::with_status(body, head.status);
        response.headers = head.headers;
        Ok(response)
    }
}

impl Surroundings {
    fn identity(&self, access_key_id: &str) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.access_key_id == access_key_id)
    }

    fn default_identity(&self) -> &Identity {
        self.identities.first().expect("there is always an identity")
    }

    /// The identity with that canonical id. What we wrote ourselves belongs to the default one.
    fn owner(&self, canonical_id: &str) -> &Identity {
        let known = self.identities.iter().find(|identity| identity.canonical_id == canonical_id);
        known.unwrap_or_else(|| self.default_identity())
    }
}

impl S3 {
    /// `identities` is not empty; the first is the one that unknown keys are taken for in the lenient mode.
    #[expect(clippy::too_many_arguments, reason = "called once, by the daemon")]
    pub fn new(
        objects: Objects,
        account: AccountId,
        region: Region,
        identities: Vec<Identity>,
        auth: Auth,
    ) -> S3 {
        let secrets = Secrets::of(&identities);
        let surroundings = Surroundings { objects, account, region, identities: identities.into() };
        let operations = Operations { surroundings };
        let mut parsing = S3ServiceBuilder::new(operations.clone());
        parsing.set_validation(AnyName);
        let inner = Arc::new(Inner { operations: operations.clone(), parsing: parsing.build() });
        let mut verifying = S3ServiceBuilder::new(operations);
        verifying.set_validation(AnyName);
        verifying.set_auth(secrets);
        verifying.set_route(Verified(Arc::clone(&inner)));
        S3 { inner, verifying: verifying.build(), auth }
    }

    /// Answers one request. Never fails: what goes wrong is an answer.
    pub async fn call(&self, request: Request) -> Response {
        let id = request.extensions().get::<RequestId>().cloned();
        let frame = answer::Frame::of(id, request.method(), request.uri());
        let request = request.map(s3s::Body::http_body_unsync);
        let answered = match self.answer(request).await {
            Ok(response) => response,
            Err(error) => answer::of_error(error),
        };
        frame.close(answered).await
    }

    async fn answer(
        &self,
        request: http::Request<s3s::Body>,
    ) -> S3Result<http::Response<s3s::Body>> {
        let claim = signature::claim(request.method(), request.uri(), request.headers());
        let surroundings = &self.inner.operations.surroundings;
        match claim {
            Claim::None => Err(s3_error!(AccessDenied, "Access Denied")),
            Claim::Form => self.verified(request).await,
            Claim::Key(key) if surroundings.identity(&key).is_some() => {
                self.verified(request).await
            }
            Claim::Key(_) if self.auth == Auth::Strict => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
            Claim::Key(_) => {
                signature::check_expiry(request.uri(), surroundings.objects.now())?;
                let caller = surroundings.default_identity().clone();
                let (request, trailers) = chunked::decode(request)?;
                self.inner.serve(request, caller, trailers).await
            }
        }
    }

    async fn verified(
        &self,
        request: http::Request<s3s::Body>,
    ) -> S3Result<http::Response<s3s::Body>> {
        self.verifying.call(request).await.map_err(|error| broken(error.into()))
    }
}

/// `s3s` itself failed, which it never should.
fn broken(error: s3s::StdError) -> S3Error {
    S3Error::with_source(s3s::S3ErrorCode::InternalError, error)
}

impl Inner {
    async fn serve(
        &self,
        request: http::Request<s3s::Body>,
        caller: Identity,
        trailers: Trailers,
    ) -> S3Result<http::Response<s3s::Body>> {
        let account = &self.operations.surroundings.account;
        let request = request::prepare(request, account, (caller, trailers)).await?;
        if let Some(listing) = listing::asked(request.method(), request.uri())? {
            return listing::answer(&self.operations.surroundings, listing).await;
        }
        let mut response =
            self.parsing.call(request).await.map_err(|error| broken(error.into()))?;
        // `s3s` has no say for an operation in the status of a GET or a HEAD.
        if response.status() == StatusCode::OK
            && response.headers().contains_key(header::CONTENT_RANGE)
        {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }
}

/// A body of ours from one of `s3s`.
fn body(body: s3s::Body) -> Body {
    match body.bytes() {
        Some(bytes) => Body::from(bytes),
        None => Body::new(body),
    }
}
