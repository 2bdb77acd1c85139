//! MWAA's control plane: environments, their tags, and the tokens that open them.
//!
//! Promise: what AWS validates is validated here, because its SDKs leave it to the service; every answer has the
//! members that AWS's has. The host prefix (`api.`, `env.`, `ops.`) is nobody's business here: the path decides.

mod failure;
mod members;
mod publish;
mod request;
mod response;
pub mod rest;

use super::wire::{Caller, Request, Response, rest_json};
use crate::airflow;
use crate::config::AirflowRole;
use crate::constraints::Faults;
use crate::environment::{Change, Environment, Environments, Pinned, Spec};
use crate::id::{AccountId, BucketName, EnvironmentName, ObjectKey, Region};
use crate::limits::JSON_BODY_MAX_BYTES;
use crate::metrics::Metrics;
use crate::objects::{BucketError, ObjectError, Objects, Versioning};
use crate::tokens::identity::{airflow_identity, iam_identity};
use crate::tokens::{Grant, Tokens};
use failure::Refusal;
use members::{Artefact, Create, Update};
use request::{Operation, RestCall};
use rest::Airflow;

/// The MWAA service. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Mwaa {
    environments: Environments,
    tokens: Tokens,
    objects: Objects,
    metrics: Metrics,
    airflow: Airflow,
    place: Place,
}

/// What the service stands on, and the two parts of every ARN.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub environments: Environments,
    pub tokens: Tokens,
    pub objects: Objects,
    pub metrics: Metrics,
    pub airflow: Airflow,
    pub region: Region,
    pub account: AccountId,
}

/// What stands in every ARN.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: Region,
    pub(super) account: AccountId,
}

impl Mwaa {
    /// The service over these rooms.
    pub fn new(around: Surroundings) -> Mwaa {
        let Surroundings { environments, tokens, objects, metrics, airflow, region, account } =
            around;
        let place = Place { region, account };
        Mwaa { environments, tokens, objects, metrics, airflow, place }
    }

    /// Answers one request. The gateway has checked its signature and says in the extensions who sent it.
    pub async fn call(&self, request: Request) -> Response {
        match self.try_call(request).await {
            Ok(response) => response,
            Err(refusal) => rest_json::failure(&refusal.into_failure()),
        }
    }

    async fn try_call(&self, request: Request) -> Result<Response, Refusal> {
        let caller = request.extensions().get::<Caller>().cloned();
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let body = rest_json::body(request, JSON_BODY_MAX_BYTES).await?;
        let operation = request::parse(&parts, &body)?;
        self.perform(operation, caller).await
    }

    async fn perform(
        &self,
        operation: Operation,
        caller: Option<Caller>,
    ) -> Result<Response, Refusal> {
        match operation {
            Operation::CreateEnvironment(create) => self.create(*create).await,
            Operation::GetEnvironment(name) => {
                let environment = self.find(&name)?;
                Ok(rest_json::answer(&response::environment(&self.place, &environment)))
            }
            Operation::ListEnvironments { after, max } => {
                let names = self.environments.list();
                Ok(rest_json::answer(&response::page(&names, after.as_deref(), max)))
            }
            Operation::UpdateEnvironment(update) => self.update(*update).await,
            Operation::DeleteEnvironment(name) => {
                self.environments.delete(&name).await?;
                Ok(rest_json::empty())
            }
            Operation::CreateCliToken(name) => self.create_cli_token(&name, caller),
            Operation::CreateWebLoginToken(name) => self.create_web_login_token(&name, caller),
            Operation::InvokeRestApi(name, call) => self.invoke_rest_api(&name, call, caller).await,
            Operation::PublishMetrics(name, data) => {
                let data = data.check(&name, self.metrics.now())?;
                if self.environments.get(&name).is_none() {
                    return Err(Refusal::NoEnvironmentToMeasure(name));
                }
                self.metrics.put(data).await.map_err(Refusal::Metrics)?;
                Ok(rest_json::empty())
            }
            Operation::ListTags(name) => {
                let environment = self.find(&name)?;
                Ok(rest_json::answer(&response::tags(&environment.spec.tags)))
            }
            Operation::Tag(name, added) => {
                let mut tags = self.find(&name)?.spec.tags;
                tags.extend(added);
                request::check_tag_count(&tags)?;
                self.environments.retag(&name, tags).await?;
                Ok(rest_json::empty())
            }
            Operation::Untag(name, keys) => {
                let mut tags = self.find(&name)?.spec.tags;
                tags.retain(|key, _| !keys.contains(key));
                self.environments.retag(&name, tags).await?;
                Ok(rest_json::empty())
            }
        }
    }

    fn find(&self, name: &EnvironmentName) -> Result<Environment, Refusal> {
        self.environments.get(name).ok_or_else(|| Refusal::NoEnvironment(name.clone()))
    }

    async fn create(&self, create: Create) -> Result<Response, Refusal> {
        let name = create.name.clone();
        let spec = self.resolve(create).await?;
        self.environments.create(spec).await?;
        Ok(rest_json::answer(&response::arn(&self.place, &name)))
    }

    async fn update(&self, update: Update) -> Result<Response, Refusal> {
        let (name, replacement) = (update.name.clone(), update.replacement);
        let change = self.change(update).await?;
        self.environments.update(&name, change, replacement).await?;
        Ok(rest_json::answer(&response::arn(&self.place, &name)))
    }

    /// Fills in MWAA's defaults and looks up what must be there: the bucket, and each object at its version.
    async fn resolve(&self, create: Create) -> Result<Spec, Refusal> {
        self.check_bucket(&create.bucket).await?;
        let pinned = self.pin(&create.bucket, &create.members.artefacts).await?;
        Ok(create.into_spec(pinned))
    }

    /// Checks the change against the environment as it is, and looks up what it names.
    async fn change(&self, update: Update) -> Result<Change, Refusal> {
        let spec = self.find(&update.name)?.spec;
        let mut faults = Faults::default();
        let artefacts = update.against(&spec, &mut faults);
        if !faults.0.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        if let Some(bucket) = &update.members.bucket {
            self.check_bucket(bucket).await?;
        }
        let bucket = update.members.bucket.as_ref().unwrap_or(&spec.bucket);
        let pinned = self.pin(bucket, &artefacts).await?;
        Ok(update.into_change(&spec, pinned))
    }

    async fn check_bucket(&self, bucket: &BucketName) -> Result<(), Refusal> {
        match self.objects.bucket(bucket).await {
            Ok(found) if found.versioning == Versioning::Enabled => Ok(()),
            Ok(_) => Err(Refusal::NotVersioned(bucket.clone())),
            Err(BucketError::NoSuchBucket(bucket)) => Err(Refusal::NoBucket(bucket)),
            Err(other) => Err(other.into()),
        }
    }

    async fn pin(
        &self,
        bucket: &BucketName,
        artefacts: &[Artefact; 3],
    ) -> Result<[Option<Pinned>; 3], Refusal> {
        let [plugins, requirements, startup_script] = artefacts;
        Ok([
            self.pin_one(bucket, plugins).await?,
            self.pin_one(bucket, requirements).await?,
            self.pin_one(bucket, startup_script).await?,
        ])
    }

    /// The object at the version that is named, or at its current one. AWS's text asks for the version; the service
    /// and Terraform's provider do without.
    async fn pin_one(
        &self,
        bucket: &BucketName,
        artefact: &Artefact,
    ) -> Result<Option<Pinned>, Refusal> {
        let Artefact { path: Some(path), version, .. } = artefact else { return Ok(None) };
        let unreadable = || Refusal::Unreadable {
            bucket: bucket.clone(),
            path: path.clone(),
            version: version.as_ref().map(|version| version.as_str().to_owned()),
        };
        let key = ObjectKey::parse(path.as_str()).map_err(|_| unreadable())?;
        let found = self.objects.version(bucket, &key, version.as_ref()).await;
        match found {
            Ok(found) if !found.is_delete_marker => {
                Ok(Some(Pinned { path: path.clone(), version: found.id }))
            }
            Err(error @ (ObjectError::Disk { .. } | ObjectError::Index(_))) => Err(error.into()),
            Ok(_) | Err(_) => Err(unreadable()),
        }
    }

    async fn invoke_rest_api(
        &self,
        name: &EnvironmentName,
        call: RestCall,
        caller: Option<Caller>,
    ) -> Result<Response, Refusal> {
        self.usable_host(name)?;
        let grant = granted(caller)?.1;
        let version = self.find(name)?.spec.airflow_version;
        let rest = airflow::recipe(&version).map_or("v1", |recipe| recipe.rest);
        let answer = rest::call(&self.airflow, (name.clone(), rest), grant, call).await?;
        if answer.status.is_client_error() || answer.status.is_server_error() {
            return Err(Refusal::Airflow(answer));
        }
        Ok(rest_json::answer(&response::rest(&answer)))
    }

    fn create_cli_token(
        &self,
        name: &EnvironmentName,
        caller: Option<Caller>,
    ) -> Result<Response, Refusal> {
        let host = self.usable_host(name)?;
        let Caller(identity) = caller.ok_or(Refusal::NobodyCalls)?;
        // Divergence(cli-roles): AWS's tokens run any command, and IAM says who gets one; there is no IAM here.
        if matches!(
            identity.airflow_role,
            AirflowRole::Viewer | AirflowRole::Public | AirflowRole::None
        ) {
            return Err(Refusal::NoCli(identity.arn));
        }
        let token = self.tokens.issue_cli(name, &airflow_identity(&iam_identity(&identity.arn)));
        Ok(rest_json::answer(&response::cli_token(token.reveal(), &host)))
    }

    fn create_web_login_token(
        &self,
        name: &EnvironmentName,
        caller: Option<Caller>,
    ) -> Result<Response, Refusal> {
        let host = self.usable_host(name)?;
        let (iam, grant) = granted(caller)?;
        let token = self.tokens.issue_web(name, &grant);
        let answer = response::web_token(token.reveal(), &host, &iam, &grant.user);
        Ok(rest_json::answer(&answer))
    }

    /// Where a token for this environment can be used. An environment that does not run is not found.
    fn usable_host(&self, name: &EnvironmentName) -> Result<String, Refusal> {
        let environment = self.find(name)?;
        match response::host(&environment) {
            Some(host) if environment.status.is_usable() => Ok(host),
            _ => Err(Refusal::NotRunning(name.clone(), environment.status)),
        }
    }
}

/// Who calls, as IAM and as Airflow know them. Who has no Airflow role in IAM is turned away.
fn granted(caller: Option<Caller>) -> Result<(String, Grant), Refusal> {
    let Caller(identity) = caller.ok_or(Refusal::NobodyCalls)?;
    let role = identity.airflow_role.name().ok_or(Refusal::NoAirflowRole)?;
    let iam = iam_identity(&identity.arn);
    let grant = Grant { user: airflow_identity(&iam), role: Some(role.to_owned()) };
    Ok((iam, grant))
}
