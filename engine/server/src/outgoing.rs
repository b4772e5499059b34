//! Requests that the program itself makes: of sinks, and to a running service.
//!
//! The roots of the machine count, so that an operator's own authority does. Redirects are not followed: what is sent goes
//! where the operator said, and nowhere else.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Whether requests go through the proxy that the environment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    AsTheEnvironmentSays,
    Never,
}

/// What makes requests that take at most so long.
pub(crate) fn agent(timeout: Duration, proxy: Proxy) -> Agent {
    agent_of(
        timeout,
        proxy,
        &rustls_native_certs::load_native_certs().certs,
    )
}

/// The same, which believes the authorities of a file of PEM and no others.
pub(crate) fn agent_of_file(timeout: Duration, proxy: Proxy, path: &Path) -> Result<Agent, String> {
    let roots: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let roots = roots.map_err(|fault| format!("{}: {fault}", path.display()))?;
    match roots.is_empty() {
        false => Ok(agent_of(timeout, proxy, &roots)),
        true => Err(format!("{}: there is no certificate in it", path.display())),
    }
}

fn agent_of(timeout: Duration, proxy: Proxy, roots: &[CertificateDer<'_>]) -> Agent {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots: Vec<Certificate<'static>> = roots
        .iter()
        .map(|one| Certificate::from_der(one).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::new_with_certs(&roots))
        .build();
    let mut config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("tripline/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls);
    if proxy == Proxy::Never {
        config = config.proxy(None);
    }
    config.build().new_agent()
}
