//! CloudWatch Logs: AWS JSON 1.1 over the logs.
//!
//! Promise: what boto3, the AWS CLI, watchtower and Airflow's handlers send is understood; unknown members are
//! ignored. Not here: who may call (`gateway`); what is kept and for how long (`logs`).

mod failure;
mod live_tail;
mod request;
mod response;
mod token;

use serde_json::{Value, json};

use super::wire::aws_json::{self, Version};
use super::wire::{Request, RequestId, Response};
use crate::id::{AccountId, LogGroupName, Region};
use crate::limits::JSON_BODY_MAX_BYTES;
use crate::logs::{CreateError, Direction, Logs, Names, Stream, StreamOrder};
use failure::Failure;
use request::{Asked, Operation, Tail};

/// The CloudWatch Logs endpoint. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct CloudwatchLogs {
    logs: Logs,
    account: AccountId,
    region: Region,
}

impl CloudwatchLogs {
    pub fn new(logs: Logs, account: AccountId, region: Region) -> CloudwatchLogs {
        CloudwatchLogs { logs, account, region }
    }

    /// Answers one request.
    pub async fn call(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let request_id = request_id.unwrap_or_default();
        let action = aws_json::target(&parts.headers).map_or("", |(_, action)| action);
        let answer = match axum::body::to_bytes(body, JSON_BODY_MAX_BYTES).await {
            Ok(body) => self.answer(action, &body, &request_id).await,
            Err(_) => Err(Failure::invalid("The request body is too large, or ended early.")),
        };
        answer.unwrap_or_else(|failure| {
            if let Some(cause) = &failure.cause {
                tracing::error!(request_id, cause, "a CloudWatch Logs operation failed");
            }
            aws_json::failure(Version::V1_1, &failure.to_json())
        })
    }

    async fn answer(
        &self,
        action: &str,
        body: &[u8],
        request_id: &str,
    ) -> Result<Response, Failure> {
        match Asked::read(action, body)? {
            Asked::Tail(tail) => self.live_tail(tail, request_id).await,
            Asked::Once(operation) => {
                Ok(aws_json::answer(Version::V1_1, &self.perform(operation).await?))
            }
        }
    }

    async fn perform(&self, operation: Operation) -> Result<Value, Failure> {
        let logs = &self.logs;
        match operation {
            Operation::CreateLogGroup(new) => match logs.create_group(new).await {
                Err(CreateError::Exists) => return Err(Failure::group_exists()),
                created => created?,
            },
            Operation::DeleteLogGroup(group) => logs.delete_group(&group).await?,
            Operation::SetRetention(group, days) => logs.set_retention(&group, days).await?,
            Operation::Tag(group, tags) => logs.tag(&group, tags).await?,
            Operation::Untag(group, keys) => logs.untag(&group, keys).await?,
            Operation::CreateLogStream(group, stream) => {
                logs.create_stream(&group, &stream).await?;
            }
            Operation::DeleteLogStream(group, stream) => {
                logs.delete_stream(&group, &stream).await?;
            }
            Operation::ListTags(group) => {
                return Ok(json!({ "tags": logs.group(&group).await?.tags }));
            }
            Operation::DescribeLogGroups { names, limit } => {
                return self.describe_groups(names, limit).await;
            }
            Operation::DescribeLogStreams { group, order, direction, limit } => {
                return self.describe_streams(&group, order, (direction, limit)).await;
            }
            Operation::PutLogEvents { group, stream, events } => {
                return Ok(response::appended(logs.append(&group, &stream, events).await?));
            }
            Operation::GetLogEvents { group, stream, ask } => {
                return Ok(response::page(&logs.read(&group, &stream, ask).await?));
            }
            Operation::FilterLogEvents { group, search } => {
                let direction = search.direction;
                return Ok(response::found(&logs.search(&group, search).await?, direction));
            }
        }
        Ok(json!({}))
    }

    async fn live_tail(&self, tail: Tail, request_id: &str) -> Result<Response, Failure> {
        for group in &tail.groups {
            self.logs.group(group).await?;
        }
        Ok(live_tail::start(self, tail, request_id))
    }

    async fn describe_groups(&self, names: Names, limit: u32) -> Result<Value, Failure> {
        let mut groups = self.logs.groups(names, limit + 1).await?;
        let next = cut(&mut groups, limit).map(|last| token::of_name(last.name.as_str()));
        let shown = groups.iter().map(|group| response::group(self, group)).collect();
        Ok(response::listed("logGroups", shown, next))
    }

    async fn describe_streams(
        &self,
        group: &LogGroupName,
        order: StreamOrder,
        (direction, limit): (Direction, u32),
    ) -> Result<Value, Failure> {
        let token = match order {
            StreamOrder::Name { .. } => |last: &Stream| token::of_name(last.name.as_str()),
            StreamOrder::LastEvent { .. } => |last: &Stream| {
                let at = last.last_event.map_or(-1, crate::clock::Timestamp::as_millis);
                token::of_time_and_name(at, last.name.as_str())
            },
        };
        let mut streams = self.logs.streams(group, order, (direction, limit + 1)).await?;
        let next = cut(&mut streams, limit).map(token);
        let shown = streams.iter().map(|stream| response::stream(self, group, stream)).collect();
        Ok(response::listed("logStreams", shown, next))
    }

    /// `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`.
    fn group_arn(&self, group: &LogGroupName) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{group}", self.region, self.account)
    }
}

/// Shortens a list that was read one longer than the page; the last one on the page where there is more.
fn cut<T>(list: &mut Vec<T>, limit: u32) -> Option<&T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if list.len() <= limit {
        return None;
    }
    list.truncate(limit);
    list.last()
}

#[cfg(test)]
mod tests;
