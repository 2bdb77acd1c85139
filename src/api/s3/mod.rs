//! Amazon S3's REST API over [`Objects`].
//!
//! A request passes three layers. The front (this file and `signature`) finds out who asks: a request with a key of
//! ours is verified by `s3s`; one with a key that nobody knows is, in the lenient mode, taken for the default identity
//! and its `aws-chunked` body decoded here. Then `request` takes what `s3s` would parse wrongly, or refuse, out of the
//! headers. What is left is parsed by `s3s` and answered by `operations`; listings are ours (`listing`), because theirs
//! cannot be written with it, and so are configurations, tags, ACLs, locks (`subresources`) and forms (`form`).

mod access;
mod acl;
mod answer;
mod buckets;
mod chunked;
mod cors;
mod deletions;
mod error;
mod form;
mod lifecycle;
mod listing;
mod lock;
mod multipart;
mod objects;
mod operations;
mod policy;
#[cfg(test)]
mod properties;
mod request;
mod settings;
mod signature;
mod sse;
mod subresources;
mod tagging;
mod target;
#[cfg(test)]
mod tests;
mod xml;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::api::wire::{Request, RequestId, Response};
use crate::config::{Auth, Identity, ObjectOwnership};
use crate::id::{AccountId, BucketName, Region};
use crate::objects::Objects;
use operations::Operations;
use request::Trailers;
use signature::{Claim, Secrets};
use target::Target;

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
    /// Of buckets that are made without saying.
    ownership: ObjectOwnership,
}

/// Bucket names are checked where they matter, at `CreateBucket`: elsewhere a bad one is a bucket that does not exist.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

/// A body that is kept back while `s3s` verifies the rest.
#[derive(Clone)]
struct Aside(Arc<Mutex<Option<s3s::Body>>>);

/// Takes every verified request away from `s3s`, whose parsing comes too early for us.
struct Verified(Arc<Inner>);

#[async_trait::async_trait]
impl S3Route for Verified {
    fn is_match(
        &self,
        _: &http::Method,
        _: &http::Uri,
        _: &HeaderMap,
        _: &mut http::Extensions,
    ) -> bool {
        true
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
        if let Some(Aside(body)) = plain.extensions_mut().remove::<Aside>()
            && let Some(body) = body.lock().expect("nobody panics with a body in hand").take()
        {
            *plain.body_mut() = body;
        }
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
        let ownership = ObjectOwnership::default();
        let identities = identities.into();
        S3::over(Surroundings { objects, account, region, identities, ownership }, auth)
    }

    /// The same API, whose new buckets have that ownership unless they say.
    #[must_use]
    pub fn with_object_ownership(self, ownership: ObjectOwnership) -> S3 {
        let surroundings = self.inner.operations.surroundings.clone();
        S3::over(Surroundings { ownership, ..surroundings }, self.auth)
    }

    fn over(surroundings: Surroundings, auth: Auth) -> S3 {
        let secrets = Secrets::of(&surroundings.identities);
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
        let frame = answer::Frame::of(id, &request);
        let page = cors::Asked::of(request.method(), request.headers());
        let page = page.map(|page| (page, bucket_of(request.uri(), request.headers())));
        let request = request.map(s3s::Body::http_body_unsync);
        let answered = match self.answer(request).await {
            Ok(response) => response,
            Err(error) => answer::of_error(error),
        };
        let mut response = frame.close(answered).await;
        if let Some((page, bucket)) = page
            && let Some(document) = self.cors_of(&bucket).await
            && let Some(headers) = page.answer(&document)
        {
            response.headers_mut().extend(headers);
        }
        response
    }

    /// The mode for one request. A web page from elsewhere gets nothing for a signature that cannot be verified, whatever
    /// the bucket's CORS rules say: it could upload a DAG with a form, and that is code.
    fn auth_for(&self, headers: &HeaderMap) -> Auth {
        // Divergence(foreign-pages): AWS knows every key, so there is no stranger to take for the owner.
        if cors::is_from_elsewhere(headers) { Auth::Strict } else { self.auth }
    }

    async fn cors_of(&self, bucket: &str) -> Option<String> {
        let bucket = BucketName::parse(bucket).ok()?;
        let objects = &self.inner.operations.surroundings.objects;
        let (_, told) = objects.settings(&bucket).await.ok()?;
        told.get("cors").map(str::to_owned)
    }

    async fn answer(
        &self,
        request: http::Request<s3s::Body>,
    ) -> S3Result<http::Response<s3s::Body>> {
        if request.method() == http::Method::OPTIONS {
            let bucket = bucket_of(request.uri(), request.headers());
            let page = cors::Asked::of(request.method(), request.headers());
            let document = self.cors_of(&bucket).await;
            return cors::preflight(page.as_ref(), request.headers(), document.as_deref());
        }
        let claim = signature::claim(request.method(), request.uri(), request.headers())?;
        let auth = self.auth_for(request.headers());
        let surroundings = &self.inner.operations.surroundings;
        match claim {
            Claim::None => {
                let (request, trailers) = chunked::decode(request)?;
                self.inner.serve(request, access::nobody(), trailers).await
            }
            Claim::Form => form::answer(surroundings, auth, request).await,
            Claim::Key(key) if surroundings.identity(&key).is_some() => {
                signature::check_expiry(request.uri(), surroundings.objects.now())?;
                signature::check_date(request.headers(), surroundings.objects.now())?;
                self.verified(request).await
            }
            Claim::Key(_) if auth == Auth::Strict => Err(s3_error!(
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
        mut request: http::Request<s3s::Body>,
    ) -> S3Result<http::Response<s3s::Body>> {
        let headers = request.headers();
        let unsigned =
            headers.get("x-amz-content-sha256").is_some_and(|it| it == "UNSIGNED-PAYLOAD");
        if unsigned && headers.contains_key(header::TRANSFER_ENCODING) {
            // `s3s` refuses a body of unknown size that is not signed, so it does not get to see it.
            let body = std::mem::replace(request.body_mut(), s3s::Body::empty());
            request.extensions_mut().insert(Aside(Arc::new(Mutex::new(Some(body)))));
        }
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
        let surroundings = &self.operations.surroundings;
        let (mut head, mut body) = request.into_parts();
        let origin = request::normalise(&mut head);
        let target = Target::of(&head.uri)?;
        request::check_owner(&head.headers, &surroundings.account)?;
        check_method(&head.method, &target, &caller)?;
        request::check_length(&head, &target)?;
        let want = access::Want::of(&head.method, &target, &head.headers);
        let place = access::check(surroundings, &caller, &want).await?.map(Arc::new);
        let now = surroundings.objects.now();
        let asking = request::Asking { caller, trailers, place, origin, now };
        let given = request::read(&mut head.headers, asking)?;
        if subresources::is_one(&target) {
            let body = request::checked(body, &given, &target).await?;
            let asked = subresources::Asked {
                surroundings,
                given: &given,
                method: &head.method,
                target: &target,
                body: &body,
            };
            return subresources::answer(asked).await;
        }
        if request::has_xml_body(&head.method, &target) {
            let bytes = request::checked(body, &given, &target).await?;
            if head.method == http::Method::POST && target.key.is_none() && target.has("delete") {
                let asked =
                    deletions::Request { given: &given, target: &target, headers: &head.headers };
                return deletions::answer(surroundings, asked, &bytes).await;
            }
            body = s3s::Body::from(bytes);
        }
        let about_attributes = head.method == http::Method::GET && target.has("attributes");
        if about_attributes {
            objects::check_attributes(&head.headers)?;
        }
        head.extensions.insert(given);
        let request = http::Request::from_parts(head, body);
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
        if about_attributes && response.status() == StatusCode::OK {
            response = objects::unquoted(response).await;
        }
        Ok(response)
    }
}

/// The name of the bucket that a request is about; empty for none.
fn bucket_of(uri: &http::Uri, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let uri = request::path_style(uri, host.unwrap_or_default());
    Target::of(&uri).map(|target| target.bucket).unwrap_or_default()
}

/// Refuses what nobody can ask of the service, or only somebody who is known.
fn check_method(method: &http::Method, target: &Target, caller: &Identity) -> S3Result<()> {
    let of_service = target.bucket.is_empty();
    if of_service && *method != http::Method::GET {
        return Err(settings::wrong_method());
    }
    let makes_bucket = *method == http::Method::PUT && target.key.is_none();
    if access::is_nobody(caller) && (of_service || makes_bucket) {
        return Err(access::denied());
    }
    // AWS: whoever did not sign cannot have headers their way.
    let overrides = [
        "response-content-type",
        "response-content-language",
        "response-content-disposition",
        "response-content-encoding",
        "response-cache-control",
        "response-expires",
    ];
    if access::is_nobody(caller) && overrides.iter().any(|name| target.has(name)) {
        return Err(s3_error!(
            InvalidRequest,
            "Request specific response headers cannot be used for anonymous GET requests."
        ));
    }
    Ok(())
}

/// A body of ours from one of `s3s`.
fn body(body: s3s::Body) -> Body {
    match body.bytes() {
        Some(bytes) => Body::from(bytes),
        None => Body::new(body),
    }
}
