//! Issues and redeems MWAA's short-lived tokens, and the web sessions that web-login tokens buy.
//!
//! Promise: a token is good for one audience and one environment, until it is late; a web-login token once.
//! Not here: HTTP headers and cookies (`api::webserver`); who may ask for a token (`api::mwaa`).
//!
//! Tokens are JWTs, as MWAA's are: audience, user and expiry can be read from them. What is stored is which of them are
//! spent before they are late: web-login tokens that were used, sessions that were ended. The signing key is the
//! project's own, in a file only its owner reads.

pub mod identity;
mod store;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::db::{Db, Schema};
use crate::id::{self, EnvironmentName};
use crate::limits::{SESSION_LIFE_SECONDS, TOKEN_LIFE_SECONDS};

/// The signing key's file below `.windtunnel`.
const KEY_FILE: &str = "token.key";
/// A signing key's length; HS256 asks for no less than its digest's 32 bytes (RFC 7518, 3.2). Ours is text of 62
/// letters, so 64 of them carry 381 bits.
const KEY_CHARACTERS: usize = 64;

pub const SCHEMA: Schema = store::SCHEMA;

/// Signs and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    clock: Clock,
    db: Db,
    keys: Arc<Keys>,
    /// Ids of sessions that were ended, with their expiry in seconds; kept as long as they could come again.
    ended: Arc<Mutex<HashMap<String, i64>>>,
}

struct Keys {
    sign: EncodingKey,
    check: DecodingKey,
}

/// A token's text. It never appears in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The text, for the one who asked for the token.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The Airflow user's name: `user/alice`, `assumed-role/Admin/alice`.
    pub user: String,
    /// Admin, Op, User, Viewer or Public. CLI tokens carry none: whoever has one runs any allowed command.
    pub role: Option<String>,
}

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the token is not one of ours, or is for something else")]
    Invalid,
    #[error("the token has expired")]
    Expired,
    #[error("the token was used before")]
    Used,
    #[error("the session was ended")]
    Ended,
    /// The database failed; the log has the reason.
    #[error("the token cannot be looked up")]
    Unknown,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the token key")]
    Key(#[from] io::Error),
    #[error("the index of spent tokens failed")]
    Index(#[from] rusqlite::Error),
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Cli,
    Web,
    Session,
}

impl Audience {
    fn name(self) -> &'static str {
        match self {
            Audience::Cli => "cli",
            Audience::Web => "web",
            Audience::Session => "session",
        }
    }

    fn life_seconds(self) -> i64 {
        match self {
            Audience::Cli | Audience::Web => TOKEN_LIFE_SECONDS,
            Audience::Session => SESSION_LIFE_SECONDS,
        }
    }
}

/// What stands in a token. Times are seconds since the Unix epoch (RFC 7519, 4.1).
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
    jti: String,
    environment: EnvironmentName,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

const ISSUER: &str = "windtunnel";

impl Tokens {
    /// Opens the signing key in `state`, or makes one.
    pub async fn open(state: &Path, db: Db, clock: Clock) -> Result<Tokens, OpenError> {
        let secret = read_or_make_key(state)?;
        let keys = Keys {
            sign: EncodingKey::from_secret(secret.as_bytes()),
            check: DecodingKey::from_secret(secret.as_bytes()),
        };
        let ended = db.read(store::spent).await?;
        Ok(Tokens { clock, db, keys: Arc::new(keys), ended: Arc::new(Mutex::new(ended)) })
    }

    /// A token that runs CLI commands for 60 seconds.
    pub fn issue_cli(&self, environment: &EnvironmentName, user: &str) -> Token {
        self.issue(Audience::Cli, environment, Grant { user: user.to_owned(), role: None })
    }

    /// A CLI token may be used again within its life.
    pub fn redeem_cli(&self, environment: &EnvironmentName, text: &str) -> Result<Grant, Refused> {
        self.check(Audience::Cli, environment, text).map(grant)
    }

    /// A token that buys one web session within 60 seconds.
    pub fn issue_web(&self, environment: &EnvironmentName, grant: &Grant) -> Token {
        self.issue(Audience::Web, environment, grant.clone())
    }

    /// A web-login token is used up by this.
    pub async fn redeem_web(
        &self,
        environment: &EnvironmentName,
        text: &str,
    ) -> Result<Grant, Refused> {
        let claims = self.check(Audience::Web, environment, text)?;
        let first = self.spend(claims.jti.clone(), claims.exp).await?;
        if first { Ok(grant(claims)) } else { Err(Refused::Used) }
    }

    /// A web session of 12 hours.
    pub fn issue_session(&self, environment: &EnvironmentName, grant: &Grant) -> Token {
        self.issue(Audience::Session, environment, grant.clone())
    }

    /// Who a web session belongs to.
    pub fn session(&self, environment: &EnvironmentName, text: &str) -> Result<Grant, Refused> {
        let claims = self.check(Audience::Session, environment, text)?;
        let ended = self.ended.lock().expect("nothing panics under this lock");
        if ended.contains_key(&claims.jti) { Err(Refused::Ended) } else { Ok(grant(claims)) }
    }

    /// Ends a web session: who has its text has nothing any more, here and after a restart.
    pub async fn end_session(
        &self,
        environment: &EnvironmentName,
        text: &str,
    ) -> Result<(), Refused> {
        let claims = self.check(Audience::Session, environment, text)?;
        self.end(claims.jti, claims.exp).await
    }

    /// Ends a token of Airflow's own that was given for a session here. Airflow would take it until it is late.
    pub async fn end_airflow_token(&self, text: &str) -> Result<(), Refused> {
        self.end(airflow_id(text), self.now_seconds() + SESSION_LIFE_SECONDS).await
    }

    /// Whether a token of Airflow's own was ended here.
    pub fn is_ended_airflow_token(&self, text: &str) -> bool {
        let ended = self.ended.lock().expect("nothing panics under this lock");
        !ended.is_empty() && ended.contains_key(&airflow_id(text))
    }

    async fn end(&self, id: String, expiry: i64) -> Result<(), Refused> {
        // In memory first: should the database fail, this windtunnel refuses it all the same.
        let now = self.now_seconds();
        {
            let mut ended = self.ended.lock().expect("nothing panics under this lock");
            ended.retain(|_, expiry| *expiry > now);
            ended.insert(id.clone(), expiry);
        }
        self.spend(id, expiry).await.map(drop)
    }

    /// Notes that a token is not to be taken again. Whether it was not noted before.
    async fn spend(&self, id: String, expiry: i64) -> Result<bool, Refused> {
        let now = self.now_seconds();
        let spent = self.db.write(move |tx| store::spend(tx, &id, (expiry, now))).await;
        spent.map_err(|error: rusqlite::Error| {
            tracing::error!(%error, "the index of spent tokens failed");
            Refused::Unknown
        })
    }

    fn issue(&self, audience: Audience, environment: &EnvironmentName, grant: Grant) -> Token {
        let now = self.now_seconds();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: audience.name().to_owned(),
            sub: grant.user,
            iat: now,
            exp: now + audience.life_seconds(),
            jti: id::random_text(22),
            environment: environment.clone(),
            role: grant.role,
        };
        let text = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.keys.sign)
            .expect("claims are plain data and the key is HS256's");
        Token(text)
    }

    fn check(
        &self,
        audience: Audience,
        environment: &EnvironmentName,
        text: &str,
    ) -> Result<Claims, Refused> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_audience(&[audience.name()]);
        rules.set_issuer(&[ISSUER]);
        // The library reads the system's clock; ours may be held, so the expiry is compared below.
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(text, &self.keys.check, &rules)
            .map_err(|_| Refused::Invalid)?
            .claims;
        if claims.environment != *environment {
            return Err(Refused::Invalid);
        }
        if claims.exp <= self.now_seconds() {
            return Err(Refused::Expired);
        }
        Ok(claims)
    }

    fn now_seconds(&self) -> i64 {
        self.clock.now().as_millis().div_euclid(1000)
    }
}

/// What Airflow's own tokens are noted as: their text is a secret as long as Airflow takes it. A signature has several
/// spellings (base64 leaves bits unused, and Python's decoder skips what is no letter of it); what it signs has one.
fn airflow_id(text: &str) -> String {
    let signed = text.rsplit_once('.').map_or(text, |(signed, _)| signed);
    format!("airflow-{}", hex::encode(Sha256::digest(signed)))
}

fn grant(claims: Claims) -> Grant {
    Grant { user: claims.sub, role: claims.role }
}

/// The key in its file. A key that is too short (a disk was full) is replaced: it only ends sessions.
fn read_or_make_key(state: &Path) -> io::Result<String> {
    let path = state.join(KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(key) if key.len() >= KEY_CHARACTERS => return Ok(key),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = id::random_text(KEY_CHARACTERS);
    let fresh = state.join(format!("{KEY_FILE}.{}", id::random_text(8)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(key.as_bytes()))
        .and_then(|()| fs::rename(&fresh, &path));
    if written.is_err() {
        drop(fs::remove_file(&fresh));
    }
    written.map(|()| key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;
    use crate::config::Durability;

    struct Room {
        tokens: Tokens,
        clock: Clock,
        folder: tempfile::TempDir,
        dev: EnvironmentName,
    }

    async fn opened(folder: &Path, clock: &Clock) -> Tokens {
        let file = folder.join("db");
        let db = Db::open(&file, Durability::Process, &[SCHEMA], clock.clone()).unwrap();
        Tokens::open(folder, db, clock.clone()).await.unwrap()
    }

    async fn room() -> Room {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::held(Timestamp::from_millis(1_700_000_000_000));
        let tokens = opened(folder.path(), &clock).await;
        Room { tokens, clock, folder, dev: EnvironmentName::parse("dev").unwrap() }
    }

    fn alice() -> Grant {
        Grant { user: "user/alice".to_owned(), role: Some("Op".to_owned()) }
    }

    #[tokio::test]
    async fn a_cli_token_is_good_again_and_again_within_its_minute() {
        let Room { tokens, clock, dev, .. } = room().await;
        let token = tokens.issue_cli(&dev, "user/alice");
        for _ in 0..3 {
            let grant = tokens.redeem_cli(&dev, token.reveal()).unwrap();
            assert_eq!(grant, Grant { user: "user/alice".to_owned(), role: None });
            clock.advance(Duration::from_secs(19));
        }
    }

    #[tokio::test]
    async fn an_expired_cli_token_is_refused() {
        let Room { tokens, clock, dev, .. } = room().await;
        let token = tokens.issue_cli(&dev, "user/alice");
        clock.advance(Duration::from_mins(1));
        assert_eq!(tokens.redeem_cli(&dev, token.reveal()), Err(Refused::Expired));
    }

    #[tokio::test]
    async fn a_web_token_is_good_once_and_a_restart_does_not_forget() {
        let Room { tokens, clock, dev, folder } = room().await;
        let (token, later) = (tokens.issue_web(&dev, &alice()), tokens.issue_web(&dev, &alice()));
        assert_eq!(tokens.redeem_web(&dev, token.reveal()).await, Ok(alice()));
        assert_eq!(tokens.redeem_web(&dev, token.reveal()).await, Err(Refused::Used));
        let restarted = opened(folder.path(), &clock).await;
        assert_eq!(restarted.redeem_web(&dev, token.reveal()).await, Err(Refused::Used));
        assert_eq!(restarted.redeem_web(&dev, later.reveal()).await, Ok(alice()));
    }

    #[tokio::test]
    async fn of_two_who_redeem_a_web_token_at_once_one_gets_in() {
        let Room { tokens, dev, .. } = room().await;
        let token = tokens.issue_web(&dev, &alice());
        let redeem = || tokens.redeem_web(&dev, token.reveal());
        let (one, other) = tokio::join!(redeem(), redeem());
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    }

    #[tokio::test]
    async fn a_session_outlives_a_restart_and_ends_after_twelve_hours() {
        let Room { tokens, clock, dev, folder } = room().await;
        let session = tokens.issue_session(&dev, &alice());
        let restarted = opened(folder.path(), &clock).await;
        assert_eq!(restarted.session(&dev, session.reveal()), Ok(alice()));
        clock.advance(Duration::from_hours(12));
        assert_eq!(restarted.session(&dev, session.reveal()), Err(Refused::Expired));
    }

    #[tokio::test]
    async fn a_session_that_was_ended_stays_so_and_leaves_others_alone() {
        let Room { tokens, clock, dev, folder } = room().await;
        let session = tokens.issue_session(&dev, &alice());
        let other = tokens.issue_session(&dev, &alice());
        tokens.end_session(&dev, session.reveal()).await.unwrap();
        let restarted = opened(folder.path(), &clock).await;
        for tokens in [&tokens, &restarted] {
            assert_eq!(tokens.session(&dev, session.reveal()), Err(Refused::Ended));
            assert_eq!(tokens.session(&dev, other.reveal()), Ok(alice()));
        }
        tokens.end_session(&dev, session.reveal()).await.unwrap();
        assert_eq!(tokens.end_session(&dev, "nonsense").await, Err(Refused::Invalid));
    }

    #[tokio::test]
    async fn a_token_of_airflows_that_was_ended_stays_so_and_is_not_kept_in_words() {
        let Room { tokens, clock, folder, .. } = room().await;
        assert!(!tokens.is_ended_airflow_token("jwt"));
        tokens.end_airflow_token("jwt").await.unwrap();
        let restarted = opened(folder.path(), &clock).await;
        assert!(tokens.is_ended_airflow_token("jwt") && restarted.is_ended_airflow_token("jwt"));
        assert!(!restarted.is_ended_airflow_token("another"));
        tokens.end_airflow_token("head.claims.AAA").await.unwrap();
        for spelling in ["head.claims.AAB", "head.claims.A!A A\u{e9}", "head.claims."] {
            assert!(tokens.is_ended_airflow_token(spelling), "{spelling}");
        }
        assert!(!tokens.is_ended_airflow_token("head.others.AAA"));
        let kept = tokens.db.read(store::spent).await.unwrap();
        assert!(kept.keys().all(|id| !id.contains("jwt")), "{kept:?}");
    }

    #[tokio::test]
    async fn what_is_spent_is_forgotten_once_it_is_late_anyway() {
        let Room { tokens, clock, dev, .. } = room().await;
        let session = tokens.issue_session(&dev, &alice());
        tokens.end_session(&dev, session.reveal()).await.unwrap();
        clock.advance(Duration::from_hours(12));
        let token = tokens.issue_web(&dev, &alice());
        tokens.redeem_web(&dev, token.reveal()).await.unwrap();
        let left = tokens.db.read(store::spent).await.unwrap();
        assert_eq!(left.len(), 1, "the used token alone: {left:?}");
    }

    #[tokio::test]
    async fn a_token_is_for_one_audience_and_one_environment() {
        let Room { tokens, dev, .. } = room().await;
        let other = EnvironmentName::parse("other").unwrap();
        let cli = tokens.issue_cli(&dev, "user/alice");
        let web = tokens.issue_web(&dev, &alice());
        assert_eq!(tokens.redeem_cli(&other, cli.reveal()), Err(Refused::Invalid));
        assert_eq!(tokens.redeem_web(&dev, cli.reveal()).await, Err(Refused::Invalid));
        assert_eq!(tokens.session(&dev, web.reveal()), Err(Refused::Invalid));
        assert_eq!(tokens.redeem_cli(&dev, web.reveal()), Err(Refused::Invalid));
    }

    #[tokio::test]
    async fn a_token_signed_by_somebody_else_or_by_nobody_is_refused() {
        let Room { tokens, dev, .. } = room().await;
        let foreign = room().await.tokens.issue_cli(&dev, "user/mallory");
        assert_eq!(tokens.redeem_cli(&dev, foreign.reveal()), Err(Refused::Invalid));
        // {"alg":"none"} and the claims of a good token, without a signature.
        let good = tokens.issue_cli(&dev, "user/alice");
        let claims = good.reveal().split('.').nth(1).unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        assert_eq!(tokens.redeem_cli(&dev, &unsigned), Err(Refused::Invalid));
        assert_eq!(tokens.redeem_cli(&dev, ""), Err(Refused::Invalid));
    }

    #[tokio::test]
    async fn the_key_is_its_owners_alone_and_no_secret_is_printed() {
        let Room { tokens, dev, folder, .. } = room().await;
        let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = tokens.issue_cli(&dev, "user/alice");
        assert_eq!(format!("{token:?} {tokens:?}"), "Token(hidden) Tokens");
    }
}
