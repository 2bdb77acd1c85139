//! SQS: AWS JSON 1.0 and the query protocol over the queues.
//!
//! Promise: whatever boto3 and kombu send is understood, in every version since 5.4; unknown members are ignored.
//! Not here: who may call (`gateway`); what a queue keeps (`queues`).
//!
//! A query request is first put into the shape that JSON has, and an answer is JSON until it is written: one
//! meaning, two spellings.

mod attributes;
mod failure;
mod query;
mod request;
mod response;

use http::header::HOST;
use http::request::Parts;
use serde_json::{Map, Value, json};

use super::wire::aws_json::{self, Version};
use super::wire::{Caller, Connection, Request, RequestId, Response, aws_query};
use crate::id::{AccountId, QueueName, Region};
use crate::limits::{JSON_BODY_MAX_BYTES, LIST_QUEUES_MAX};
use crate::queues::{Ask, Description, Queues};
use failure::Failure;
use request::{Entries, Listing, Operation};

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// The SQS endpoint. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Sqs {
    queues: Queues,
    account: AccountId,
    region: Region,
}

/// What the answer needs to know of the request.
#[derive(Debug)]
struct Context {
    protocol: Protocol,
    /// As in `X-Amz-Target` or `Action`.
    action: String,
    /// `http://127.0.0.1:4570`: as the caller reached us, so that queue URLs work for them.
    base_url: String,
    /// The access key that signed: what receivers see as the sender.
    sender: String,
    request_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Json,
    Query,
}

impl Sqs {
    pub fn new(queues: Queues, account: AccountId, region: Region) -> Sqs {
        Sqs { queues, account, region }
    }

    /// Answers one request. May be dropped while it waits; then no message was received.
    pub async fn call(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, JSON_BODY_MAX_BYTES).await else {
            let context = Context::read(&parts, &aws_query::Params::default());
            return context.fail(&Failure::body());
        };
        let form = match aws_json::target(&parts.headers) {
            Some(_) => String::new(),
            None => String::from_utf8_lossy(&body).into_owned(),
        };
        let params = aws_query::Params::parse(parts.uri.query().unwrap_or_default(), &form);
        let context = Context::read(&parts, &params);
        let members = match context.protocol {
            Protocol::Json => request::members(&body),
            Protocol::Query => Ok(query::members(&params)),
        };
        let operation =
            members.and_then(|members| Operation::read(&context.action, members, parts.uri.path()));
        match operation {
            Ok(operation) => match self.perform(operation, &context).await {
                Ok(value) => context.answer(value),
                Err(failure) => context.fail(&failure),
            },
            Err(failure) => context.fail(&failure),
        }
    }

    async fn perform(
        &self,
        operation: Operation,
        context: &Context,
    ) -> Result<Map<String, Value>, Failure> {
        let nothing = Map::new();
        match operation {
            Operation::CreateQueue { queue, changes, tags } => {
                self.queues.create(&queue, changes, tags).await?;
                Ok(object(json!({ "QueueUrl": self.url(&queue, context) })))
            }
            Operation::GetQueueUrl { queue } => {
                self.queues.describe(&queue).await?;
                Ok(object(json!({ "QueueUrl": self.url(&queue, context) })))
            }
            Operation::ListQueues(listing) => self.list_queues(listing, context).await,
            Operation::GetQueueAttributes { queue, names } => {
                let description = self.queues.describe(&queue).await?;
                Ok(self.queue_attributes(&queue, &description, &names))
            }
            Operation::SetQueueAttributes { queue, changes } => {
                self.queues.configure(&queue, changes).await?;
                Ok(nothing)
            }
            Operation::DeleteQueue { queue } => {
                self.queues.delete(&queue).await?;
                Ok(nothing)
            }
            // Divergence(sqs-purge): AWS refuses a second purge within a minute.
            Operation::PurgeQueue { queue } => {
                self.queues.purge(&queue).await?;
                Ok(nothing)
            }
            Operation::ListDeadLetterSourceQueues { queue } => {
                let sources = self.queues.dead_letter_sources(&queue).await?;
                let urls: Vec<String> =
                    sources.iter().map(|source| self.url(source, context)).collect();
                Ok(object(json!({ "queueUrls": urls })))
            }
            Operation::TagQueue { queue, tags } => {
                self.queues.tag(&queue, tags).await?;
                Ok(nothing)
            }
            Operation::UntagQueue { queue, keys } => {
                self.queues.untag(&queue, keys).await?;
                Ok(nothing)
            }
            Operation::ListQueueTags { queue } => {
                let tags = self.queues.tags(&queue).await?;
                Ok(object(json!({ "Tags": tags })))
            }
            Operation::Messages(operation) => self.perform_on_messages(operation, context).await,
        }
    }

    async fn perform_on_messages(
        &self,
        operation: request::OnMessages,
        context: &Context,
    ) -> Result<Map<String, Value>, Failure> {
        use request::OnMessages as On;
        match operation {
            On::Send { queue, mut draft } => {
                draft.sender.clone_from(&context.sender);
                let digests = response::digests(&draft);
                let sent = self.queues.send(&queue, vec![draft]).await?.remove(0)?;
                Ok(response::sent(&sent, digests))
            }
            On::SendBatch { queue, entries } => self.send_batch(&queue, entries, context).await,
            On::Receive { queue, receiver, max, wait, visibility_seconds, wanted } => {
                let ask = Ask { max, wait, visibility_seconds };
                let messages = self.queues.receive_as(&queue, receiver.as_ref(), ask).await?;
                let arn = |source: &QueueName| self.arn(source);
                Ok(response::received(messages, &wanted, arn))
            }
            On::Delete { queue, receipt } => {
                self.queues.delete_messages(&queue, vec![receipt]).await?.remove(0)?;
                Ok(Map::new())
            }
            On::DeleteBatch { queue, entries } => {
                let Entries { ids, good, failed } = entries;
                let results = self.queues.delete_messages(&queue, good).await?;
                let results = results
                    .into_iter()
                    .map(|result| result.map(|()| Map::new()).map_err(Failure::from));
                Ok(response::batch(ids.into_iter().zip(results), failed))
            }
            On::ChangeVisibility { queue, receipt, seconds } => {
                let change = vec![(receipt, seconds)];
                self.queues.change_visibility(&queue, change).await?.remove(0)?;
                Ok(Map::new())
            }
            On::ChangeVisibilityBatch { queue, entries } => {
                let Entries { ids, good, failed } = entries;
                let results = self.queues.change_visibility(&queue, good).await?;
                let results = results
                    .into_iter()
                    .map(|result| result.map(|()| Map::new()).map_err(Failure::from));
                Ok(response::batch(ids.into_iter().zip(results), failed))
            }
        }
    }

    async fn send_batch(
        &self,
        queue: &QueueName,
        entries: Entries<crate::queues::Draft>,
        context: &Context,
    ) -> Result<Map<String, Value>, Failure> {
        let Entries { ids, mut good, failed } = entries;
        for draft in &mut good {
            draft.sender.clone_from(&context.sender);
        }
        let digests: Vec<_> = good.iter().map(response::digests).collect();
        let results = self.queues.send(queue, good).await?;
        let results = results.into_iter().zip(digests).map(|(result, digests)| {
            result.map(|sent| response::sent(&sent, digests)).map_err(Failure::from)
        });
        Ok(response::batch(ids.into_iter().zip(results), failed))
    }

    async fn list_queues(
        &self,
        listing: Listing,
        context: &Context,
    ) -> Result<Map<String, Value>, Failure> {
        let Listing { prefix, max, after } = listing;
        let limit = max.unwrap_or(LIST_QUEUES_MAX);
        let mut names = self.queues.names(&prefix, after, limit + 1).await?;
        let more = names.len() > limit as usize;
        names.truncate(limit as usize);
        let mut answer = Map::new();
        if !names.is_empty() {
            let urls: Vec<String> = names.iter().map(|name| self.url(name, context)).collect();
            answer.insert("QueueUrls".to_owned(), json!(urls));
        }
        // AWS: a token is given to those who asked for pages.
        if let (true, Some(_), Some(last)) = (more, max, names.last()) {
            answer.insert("NextToken".to_owned(), json!(last));
        }
        Ok(answer)
    }

    fn queue_attributes(
        &self,
        queue: &QueueName,
        description: &Description,
        names: &attributes::Names,
    ) -> Map<String, Value> {
        let arn = |queue: &QueueName| self.arn(queue);
        let all = attributes::show(queue, description, arn);
        let shown: Map<String, Value> = all
            .into_iter()
            .filter(|(name, _)| names.include(name))
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect();
        let mut answer = Map::new();
        if !shown.is_empty() {
            answer.insert("Attributes".to_owned(), Value::Object(shown));
        }
        answer
    }

    fn url(&self, queue: &QueueName, context: &Context) -> String {
        format!("{}/{}/{queue}", context.base_url, self.account)
    }

    fn arn(&self, queue: &QueueName) -> String {
        format!("arn:aws:sqs:{}:{}:{queue}", self.region, self.account)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

impl Context {
    fn read(parts: &Parts, params: &aws_query::Params) -> Context {
        let (protocol, action) = match aws_json::target(&parts.headers) {
            Some((_, action)) => (Protocol::Json, action.to_owned()),
            None => (Protocol::Query, params.get("Action").unwrap_or_default().to_owned()),
        };
        let connection = parts.extensions.get::<Connection>();
        let host = parts
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok().map(str::to_owned))
            .or_else(|| parts.uri.authority().map(ToString::to_string))
            .or_else(|| connection.map(|connection| connection.local.to_string()))
            .unwrap_or_else(|| "localhost".to_owned());
        let scheme =
            if connection.is_some_and(|connection| connection.tls) { "https" } else { "http" };
        Context {
            protocol,
            action,
            base_url: format!("{scheme}://{host}"),
            sender: parts
                .extensions
                .get::<Caller>()
                .map(|caller| caller.0.access_key_id.clone())
                .unwrap_or_default(),
            request_id: parts
                .extensions
                .get::<RequestId>()
                .map(|id| id.0.clone())
                .unwrap_or_default(),
        }
    }

    fn envelope(&self) -> aws_query::Envelope<'_> {
        aws_query::Envelope { namespace: NAMESPACE, request_id: &self.request_id }
    }

    fn answer(&self, value: Map<String, Value>) -> Response {
        match self.protocol {
            Protocol::Json => aws_json::answer(Version::V1_0, &Value::Object(value)),
            Protocol::Query => query::answer(self.envelope(), &self.action, &value),
        }
    }

    fn fail(&self, failure: &Failure) -> Response {
        if failure.is_ours() {
            let cause = failure.cause.as_deref().unwrap_or_default();
            tracing::error!(request_id = %self.request_id, cause, "an SQS operation failed");
        }
        match self.protocol {
            Protocol::Json => aws_json::failure(Version::V1_0, &failure.to_json()),
            Protocol::Query => {
                let (status, code) = (failure.status(), failure.query_code());
                aws_query::failure(self.envelope(), status, code, &failure.message)
            }
        }
    }
}

#[cfg(test)]
mod tests;
