//! TLS of the listener of channels, of PEM files that are read at the start.

use super::service::ServeError;
use crate::config::ChannelsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What speaks TLS, when it is to.
pub(super) fn acceptor(config: &ChannelsConfig) -> Result<Option<TlsAcceptor>, ServeError> {
    if config.tls_cert_file.is_empty() {
        return Ok(None);
    }
    let fault = |setting: &'static str, path: &str, words: String| ServeError::Tls {
        setting,
        words: format!("{path}: {words}"),
    };
    let (cert, key) = (&config.tls_cert_file, &config.tls_key_file);
    let read = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates =
        read.map_err(|error| fault("tls_cert_file", cert, format!("no certificates: {error}")))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| fault("tls_key_file", key, format!("no private key: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fault("tls_cert_file", cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|error| fault("tls_cert_file", cert, error.to_string()))?;
    Ok(Some(TlsAcceptor::from(Arc::new(settings))))
}
