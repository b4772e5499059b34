//! TLS of the listener of channels, of PEM files that are read at the start.

use super::service::ServeError;
use crate::config::ChannelsConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
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
    let verifier = match config.tls_client_ca_file.as_str() {
        "" => WebPkiClientVerifier::no_client_auth(),
        path => {
            let told = |words: String| fault("tls_client_ca_file", path, words);
            let mut roots = RootCertStore::empty();
            for one in CertificateDer::pem_file_iter(path)
                .map_err(|error| told(format!("no certificates: {error}")))?
            {
                let one = one.map_err(|error| told(format!("no certificate: {error}")))?;
                roots.add(one).map_err(|error| told(error.to_string()))?;
            }
            // Those who prove who they are in another way have none.
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()
                .map_err(|error| told(error.to_string()))?
        }
    };
    let settings = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fault("tls_cert_file", cert, error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, private)
        .map_err(|error| fault("tls_cert_file", cert, error.to_string()))?;
    Ok(Some(TlsAcceptor::from(Arc::new(settings))))
}
