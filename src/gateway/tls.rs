//! The project's own certificate authority, and the certificate of this machine's names.
//!
//! AWS's samples open HTTPS connections to the web server with verification on; they work as published for who
//! trusts `.windtunnel/ca.pem`. The authority is made once per project and never leaves it; the leaf is made anew at
//! every start.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::Duration;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;

/// Where Linux distributions and macOS keep the roots that the system trusts.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// No list of certificates of a browser or of Apple's takes a leaf that lives longer than this.
const LEAF_DAYS: i64 = 397;

const AUTHORITY_DAYS: i64 = 3650;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot {verb} {path}")]
    File { verb: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("the certificate cannot be served")]
    Serve(#[from] rustls::Error),
}

/// Serves TLS for this machine's names, and says where the trust lies.
#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The system's roots and the authority in one file, for clients that take just one.
    pub bundle: PathBuf,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// Opens the authority in `state`, or makes one, and signs a certificate for loopback and `addresses`.
pub fn open(state: &Path, addresses: &[IpAddr], clock: &Clock) -> Result<Tls, TlsError> {
    let now = clock.now().to_utc();
    let (authority, bundle) = (state.join("ca.pem"), state.join("ca-bundle.pem"));
    let issuer = authority_in(state, &authority, now)?;
    write_bundle(&authority, &bundle)?;
    let key = KeyPair::generate()?;
    let certificate = leaf(addresses, now)?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), authority, bundle })
}

fn authority_in(
    state: &Path,
    certificate: &Path,
    now: time::OffsetDateTime,
) -> Result<Issuer<'static, KeyPair>, TlsError> {
    let key_path = state.join("ca-key.pem");
    let read = |path: &Path| match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TlsError::File { verb: "read", path: path.to_owned(), source }),
    };
    let params = authority(now);
    if let (Some(key), Some(_)) = (read(&key_path)?, read(certificate)?) {
        // The issuer's name and key are all that a signature needs of it.
        return Ok(Issuer::new(params, KeyPair::from_pem(&key)?));
    }
    let key = KeyPair::generate()?;
    let signed = params.self_signed(&key)?;
    replace(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
    replace(certificate, signed.pem().as_bytes(), 0o644)?;
    Ok(Issuer::new(params, key))
}

fn authority(now: time::OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("windtunnel local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(AUTHORITY_DAYS);
    params
}

fn leaf(addresses: &[IpAddr], now: time::OffsetDateTime) -> Result<CertificateParams, TlsError> {
    let mut names: Vec<String> = [
        "localhost",
        "api.localhost",
        "env.localhost",
        "ops.localhost",
        "s3.localhost",
        "*.s3.localhost",
        "127.0.0.1",
        "::1",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend(addresses.iter().filter(|ip| !ip.is_loopback()).map(IpAddr::to_string));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("localhost");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(LEAF_DAYS);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn write_bundle(authority: &Path, bundle: &Path) -> Result<(), TlsError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| TlsError::File {
            verb: "read",
            path: path.to_owned(),
            source,
        })
    };
    let mut text = Vec::new();
    if let Some(system) = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()) {
        text = read(system)?;
        text.push(b'\n');
    }
    text.extend(read(authority)?);
    replace(bundle, &text, 0o644)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let temporary = path.with_extension("new");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| TlsError::File { verb: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_outlives_a_restart_and_its_key_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().unwrap();
        let first = open(state.path(), &[], &Clock::system()).unwrap();
        let made = fs::read(&first.authority).unwrap();
        let again = open(state.path(), &[], &Clock::system()).unwrap();
        assert_eq!(fs::read(&again.authority).unwrap(), made);
        let key = fs::metadata(state.path().join("ca-key.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let bundle = fs::read(&again.bundle).unwrap();
        assert!(bundle.ends_with(&made));
    }
}
