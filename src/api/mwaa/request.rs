//! Method, raw path and body to a checked [`Operation`].

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode, request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::failure::Refusal;
use super::members::{Create, Raw, Update};
use super::publish;
use crate::api::wire::rest_json::{self, Failure};
use crate::constraints::{self as rule, Faults, environment};
use crate::id::EnvironmentName;
use crate::limits::{ENVIRONMENTS_PAGE_MAX, PAGE_TOKEN_MAX_CHARACTERS};

/// A request, checked as far as it can be by itself.
#[derive(Debug)]
pub(super) enum Operation {
    CreateEnvironment(Box<Create>),
    GetEnvironment(EnvironmentName),
    ListEnvironments { after: Option<String>, max: usize },
    UpdateEnvironment(Box<Update>),
    DeleteEnvironment(EnvironmentName),
    CreateCliToken(EnvironmentName),
    CreateWebLoginToken(EnvironmentName),
    InvokeRestApi(EnvironmentName, RestCall),
    ListTags(EnvironmentName),
    Tag(EnvironmentName, BTreeMap<String, String>),
    Untag(EnvironmentName, Vec<String>),
    PublishMetrics(EnvironmentName, publish::Raw),
}

/// A call of Airflow's REST API that the service makes for somebody.
pub(super) struct RestCall {
    /// Below the API's version, with a slash in front.
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) query: Map<String, Value>,
    /// Absent on a read where it is empty: Airflow's own hook always sends one, and Airflow refuses it there.
    pub(super) body: Option<Map<String, Value>>,
}

impl fmt::Debug for RestCall {
    /// Bodies hold connections and variables, so they are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestCall")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawTags {
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawRestCall {
    path: Option<String>,
    method: Option<String>,
    query_parameters: Option<Map<String, Value>>,
    body: Option<Map<String, Value>>,
}

/// Reads a request. The path is taken raw: an ARN's encoded slash is not a segment's end.
pub(super) fn parse(parts: &request::Parts, body: &[u8]) -> Result<Operation, Refusal> {
    let query = parts.uri.query();
    let segments = rest_json::segments(parts.uri.path())?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = &parts.method;
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["environments"]) => list(query),
        ("PUT", ["environments", name]) => create(name, body),
        ("GET", ["environments", name]) => Ok(Operation::GetEnvironment(named(name)?)),
        ("DELETE", ["environments", name]) => Ok(Operation::DeleteEnvironment(named(name)?)),
        ("PATCH", ["environments", name]) => update(name, body),
        ("POST", ["clitoken", name]) => Ok(Operation::CreateCliToken(named(name)?)),
        ("POST", ["webtoken", name]) => Ok(Operation::CreateWebLoginToken(named(name)?)),
        ("POST", ["restapi", name]) => rest_call(name, body),
        ("POST", ["metrics", "environments", name]) => {
            let name = named(name)?;
            let data = json::<publish::Raw>(body)?;
            Ok(Operation::PublishMetrics(name, data))
        }
        // AWS: some SDKs leave an ARN's slash as it is, so it may come as two segments.
        (_, ["tags", arn @ ..]) if !arn.is_empty() => tagging(method, &arn.join("/"), query, body),
        _ => Err(Refusal::UnknownOperation(format!("{method} {}", parts.uri.path()))),
    }
}

fn named(name: &str) -> Result<EnvironmentName, Refusal> {
    let mut faults = Faults::default();
    faults.text("name", name, rule::NAME);
    EnvironmentName::parse(name).map_err(|_| Refusal::Invalid(faults))
}

fn list(query: Option<&str>) -> Result<Operation, Refusal> {
    let mut faults = Faults::default();
    let mut max = ENVIRONMENTS_PAGE_MAX;
    if let Some(given) = rest_json::query_values(query, "MaxResults")?.first() {
        // What is no number at all is as wrong as zero.
        let given = given.parse().unwrap_or(0);
        max = faults.number("maxResults", given, (1, i64::from(ENVIRONMENTS_PAGE_MAX)));
    }
    let mut after = None;
    if let Some(token) = rest_json::query_values(query, "NextToken")?.into_iter().next() {
        after = read_page_token(&token);
        if after.is_none() || token.len() > PAGE_TOKEN_MAX_CHARACTERS {
            faults.broken("nextToken", &token, "Member must be a token of an earlier answer");
        }
    }
    checked(faults, Operation::ListEnvironments { after, max: max as usize })
}

/// A page's token: the last name of the page before it.
pub(super) fn page_token(last: &EnvironmentName) -> String {
    URL_SAFE_NO_PAD.encode(last.as_str())
}

fn read_page_token(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

fn tagging(
    method: &Method,
    arn: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Operation, Refusal> {
    let mut faults = Faults::default();
    faults.text("resourceArn", arn, rule::ENVIRONMENT_ARN);
    checked(faults, ())?;
    let name = rule::environment_of(arn).and_then(|name| EnvironmentName::parse(name).ok());
    // AWS: an ARN may fit its pattern and yet name what no environment can be called.
    let name = name.ok_or_else(|| Refusal::NoSuchArn(arn.to_owned()))?;
    let mut faults = Faults::default();
    match *method {
        Method::GET => Ok(Operation::ListTags(name)),
        Method::POST => {
            let raw: RawTags = json(body)?;
            let tags = faults.required("tags", raw.tags).unwrap_or_default();
            environment::check_tags(&mut faults, &tags);
            checked(faults, Operation::Tag(name, tags))
        }
        Method::DELETE => {
            let keys = rest_json::query_values(query, "tagKeys")?;
            faults.size("tagKeys", keys.len(), (0, 50));
            for key in &keys {
                faults.text("tagKeys", key, rule::TAG_KEY);
            }
            checked(faults, Operation::Untag(name, keys))
        }
        _ => Err(Refusal::UnknownOperation(format!("{method} /tags"))),
    }
}

fn create(name: &str, body: &[u8]) -> Result<Operation, Refusal> {
    let mut faults = Faults::default();
    match json::<Raw>(body)?.create(name, &mut faults) {
        Some(create) => checked(faults, Operation::CreateEnvironment(Box::new(create))),
        None => Err(Refusal::Invalid(faults)),
    }
}

fn update(name: &str, body: &[u8]) -> Result<Operation, Refusal> {
    let mut faults = Faults::default();
    match json::<Raw>(body)?.update(name, &mut faults) {
        Some(update) => checked(faults, Operation::UpdateEnvironment(Box::new(update))),
        None => Err(Refusal::Invalid(faults)),
    }
}

fn rest_call(name: &str, body: &[u8]) -> Result<Operation, Refusal> {
    let raw: RawRestCall = json(body)?;
    let mut faults = Faults::default();
    faults.text("name", name, rule::NAME);
    let path = faults.required("path", raw.path).unwrap_or_default();
    faults.text("path", &path, rule::REST_PATH);
    let method = faults.required("method", raw.method).unwrap_or_default();
    faults.one_of("method", &method, &["GET", "PUT", "POST", "PATCH", "DELETE"]);
    let (Ok(name), Ok(method)) = (EnvironmentName::parse(name), Method::try_from(method.as_str()))
    else {
        return Err(Refusal::Invalid(faults));
    };
    let writes = matches!(method, Method::POST | Method::PUT | Method::PATCH);
    let call = RestCall {
        path: format!("/{}", path.trim_start_matches('/')),
        method,
        query: raw.query_parameters.unwrap_or_default(),
        body: raw.body.filter(|body| writes || !body.is_empty()),
    };
    checked(faults, Operation::InvokeRestApi(name, call))
}

/// Tags that were added to others must still be few enough.
pub(super) fn check_tag_count(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    faults.size("tags", tags.len(), (0, 50));
    checked(faults, ())
}

fn checked<T>(faults: Faults, value: T) -> Result<T, Refusal> {
    if faults.0.is_empty() { Ok(value) } else { Err(Refusal::Invalid(faults)) }
}

fn json<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Refusal> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body is not the JSON of this operation: {error}");
        Failure::new("SerializationException", StatusCode::BAD_REQUEST, message).into()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse_text(method: &str, uri: &str, body: &str) -> Result<Operation, Refusal> {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        parse(&request.into_parts().0, body.as_bytes())
    }

    fn least() -> Value {
        json!({
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/mwaa",
            "SourceBucketArn": "arn:aws:s3:::my-bucket",
            "DagS3Path": "dags/",
            "NetworkConfiguration": {
                "SubnetIds": ["subnet-1", "subnet-2"],
                "SecurityGroupIds": ["sg-1"],
            },
        })
    }

    fn create_with(member: &str, value: Value) -> Result<Operation, Refusal> {
        let mut body = least();
        body[member] = value;
        parse_text("PUT", "/environments/dev", &body.to_string())
    }

    fn sentences(refused: Result<Operation, Refusal>) -> Vec<String> {
        match refused {
            Err(Refusal::Invalid(faults)) => faults.0.iter().map(ToString::to_string).collect(),
            other => panic!("a constraint should be broken: {other:?}"),
        }
    }

    #[test]
    fn the_least_that_can_be_asked_for_gets_mwaas_defaults() {
        let operation = parse_text("PUT", "/environments/dev", &least().to_string()).unwrap();
        let Operation::CreateEnvironment(create) = operation else { panic!("{operation:?}") };
        let spec = create.into_spec([None, None, None]);
        assert_eq!(spec.dag_path, "dags");
        assert_eq!((spec.min_workers, spec.max_workers, spec.schedulers), (1, 10, 2));
        assert_eq!((spec.min_webservers, spec.max_webservers), (2, 2));
        assert_eq!((spec.class.as_str(), spec.access_mode.as_str()), ("mw1.small", "PUBLIC_ONLY"));
        let on: Vec<_> = spec.logging.0.iter().map(|module| module.enabled).collect();
        assert_eq!(on, [false, false, true, false, false]);
    }

    #[test]
    fn a_micro_environment_has_one_of_each() {
        let operation = create_with("EnvironmentClass", json!("mw1.micro")).unwrap();
        let Operation::CreateEnvironment(create) = operation else { panic!("{operation:?}") };
        let spec = create.into_spec([None, None, None]);
        assert_eq!((spec.min_workers, spec.max_workers, spec.schedulers), (1, 1, 1));
        assert_eq!((spec.min_webservers, spec.max_webservers), (1, 1));
    }

    #[test]
    fn each_constraint_is_held() {
        let table = [
            ("ExecutionRoleArn", json!("mwaa")),
            ("ExecutionRoleArn", json!(null)),
            ("SourceBucketArn", json!("my-bucket")),
            ("SourceBucketArn", json!("arn:aws:s3:::my-bucket/")),
            ("SourceBucketArn", json!("arn:aws:s3:::x")),
            ("DagS3Path", json!("")),
            ("DagS3Path", json!("/")),
            ("NetworkConfiguration", json!({})),
            (
                "NetworkConfiguration",
                json!({"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
            ),
            (
                "NetworkConfiguration",
                json!({"SubnetIds": ["subnet-1", "x"], "SecurityGroupIds": ["sg-1"]}),
            ),
            (
                "NetworkConfiguration",
                json!({"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": []}),
            ),
            ("EnvironmentClass", json!("mw1.huge")),
            ("AirflowVersion", json!("2.10.3!")),
            ("MinWorkers", json!(0)),
            ("MinWorkers", json!(11)),
            ("MaxWorkers", json!(26)),
            ("Schedulers", json!(6)),
            ("Schedulers", json!(1)),
            ("MinWebservers", json!(6)),
            ("KmsKey", json!("alias/mine")),
            ("WeeklyMaintenanceWindowStart", json!("TUE:03:15")),
            ("WebserverAccessMode", json!("PUBLIC")),
            ("EndpointManagement", json!("MINE")),
            ("AirflowConfigurationOptions", json!({"Core.x": "1"})),
            ("AirflowConfigurationOptions", json!({"core.x": ""})),
            ("AirflowConfigurationOptions", json!({"core.x": "a\nb"})),
            ("LoggingConfiguration", json!({"TaskLogs": {"Enabled": true}})),
            ("LoggingConfiguration", json!({"TaskLogs": {"LogLevel": "INFO"}})),
            ("LoggingConfiguration", json!({"TaskLogs": {"Enabled": true, "LogLevel": "LOUD"}})),
            ("Tags", json!({"a": ""})),
            ("Tags", json!({"a#": "b"})),
            ("PluginsS3ObjectVersion", json!("x")),
            ("PluginsS3Path", json!("x".repeat(1025))),
        ];
        for (member, value) in table {
            let shown = value.to_string();
            assert!(!sentences(create_with(member, value)).is_empty(), "{member} {shown}");
        }
        assert!(
            !sentences(parse_text("PUT", "/environments/1st", &least().to_string())).is_empty()
        );
    }

    #[test]
    fn an_update_names_what_it_changes_and_nothing_else_is_needed() {
        let update = |body: Value| parse_text("PATCH", "/environments/dev", &body.to_string());
        assert!(matches!(update(json!({})), Ok(Operation::UpdateEnvironment(_))));
        let ignored = json!({"KmsKey": "mine", "Tags": {}, "EndpointManagement": "MINE"});
        assert!(update(ignored).is_ok(), "members that an update does not have are overlooked");
        for wrong in [
            json!({"WorkerReplacementStrategy": "GENTLE"}),
            json!({"NetworkConfiguration": {}}),
            json!({"NetworkConfiguration": {"SecurityGroupIds": []}}),
            json!({"EnvironmentClass": "mw1.huge"}),
            json!({"AirflowConfigurationOptions": {"core.multi_team": "True"}}),
            json!({"Teams": {"AddOrUpdate": {}}}),
            json!({"DagS3Path": "/"}),
            json!({"MaxWorkers": 0}),
            json!({"Schedulers": 6}),
        ] {
            let shown = wrong.to_string();
            assert!(!sentences(update(wrong)).is_empty(), "{shown}");
        }
    }

    #[test]
    fn a_call_of_the_rest_api_has_a_short_path_and_one_of_five_methods() {
        let call = |body: Value| parse_text("POST", "/restapi/dev", &body.to_string());
        let hook = json!({"Path": "dags", "Method": "GET", "Body": {}, "QueryParameters": {}});
        let Ok(Operation::InvokeRestApi(_, called)) = call(hook) else { panic!("it is fine") };
        assert_eq!((called.path.as_str(), called.body), ("/dags", None));
        let write = json!({"Path": "/dags/x/dagRuns", "Method": "POST", "Body": {}});
        let Ok(Operation::InvokeRestApi(_, called)) = call(write) else { panic!("it is fine") };
        assert_eq!(called.body, Some(Map::new()), "Airflow wants an object there");
        assert!(call(json!({"Path": "x".repeat(64), "Method": "DELETE"})).is_ok());
        for wrong in [
            json!({"Path": "x".repeat(65), "Method": "GET"}),
            json!({"Path": "", "Method": "GET"}),
            json!({"Path": "/dags"}),
            json!({"Method": "GET"}),
            json!({"Path": "/dags", "Method": "HEAD"}),
            json!({"Path": "/dags", "Method": "get"}),
        ] {
            let shown = wrong.to_string();
            assert!(!sentences(call(wrong)).is_empty(), "{shown}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_in_aws_words() {
        let body = json!({
            "ExecutionRoleArn": "mwaa",
            "SourceBucketArn": "arn:aws:s3:::my-bucket",
            "DagS3Path": "dags",
            "NetworkConfiguration": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        });
        let refused = parse_text("PUT", "/environments/dev", &body.to_string()).unwrap_err();
        insta::assert_snapshot!(refused.into_failure().message, @r"2 validation errors detected: Value '[1 elements]' at 'networkConfiguration.subnetIds' failed to satisfy constraint: Member must have length greater than or equal to 2; Value 'mwaa' at 'executionRoleArn' failed to satisfy constraint: Member must satisfy regular expression pattern: ^arn:aws(-[a-z]+)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$");
    }

    #[test]
    fn a_body_of_the_wrong_shape_is_a_serialization_exception() {
        let refused = create_with("MinWorkers", json!("many")).unwrap_err().into_failure();
        assert_eq!(refused.code, "SerializationException");
        let refused = parse_text("PUT", "/environments/dev", "{").unwrap_err().into_failure();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn an_arn_in_the_path_may_be_encoded_or_not() {
        let encoded = "/tags/arn%3Aaws%3Aairflow%3Aus-east-1%3A123456789012%3Aenvironment%2Fdev";
        let plain = "/tags/arn:aws:airflow:us-east-1:123456789012:environment/dev";
        for path in [encoded, plain] {
            let operation = parse_text("GET", path, "").unwrap();
            assert!(matches!(operation, Operation::ListTags(name) if name.as_str() == "dev"));
        }
        let uri = format!("{plain}?tagKeys=a&tagKeys=b%20c");
        let operation = parse_text("DELETE", &uri, "").unwrap();
        assert!(matches!(operation, Operation::Untag(_, keys) if keys == ["a", "b c"]));
    }

    #[test]
    fn pages_are_between_one_and_twenty_five_and_their_tokens_ours() {
        for query in ["MaxResults=0", "MaxResults=26", "MaxResults=x", "NextToken=%20"] {
            let uri = format!("/environments?{query}");
            assert!(!sentences(parse_text("GET", &uri, "")).is_empty(), "{query}");
        }
        let token = page_token(&EnvironmentName::parse("dev").unwrap());
        let uri = format!("/environments?MaxResults=5&NextToken={token}");
        let operation = parse_text("GET", &uri, "").unwrap();
        let Operation::ListEnvironments { after, max } = operation else { panic!("{operation:?}") };
        assert_eq!((after.as_deref(), max), (Some("dev"), 5));
    }

    #[test]
    fn what_is_no_operation_says_so() {
        for (method, path) in [("POST", "/environments/dev"), ("GET", "/")] {
            let failure = parse_text(method, path, "").unwrap_err().into_failure();
            assert_eq!(failure.code, "UnknownOperationException", "{method} {path}");
            assert_eq!(failure.status, StatusCode::NOT_FOUND);
        }
    }
}
