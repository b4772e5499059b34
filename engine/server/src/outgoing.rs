//! Requests that the program itself makes: of sinks, and to a running service.
//!
//! The roots of the machine count, so that an operator's own authority does. Redirects are not followed: what is sent goes
//! where the operator said, and nowhere else.

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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<Certificate<'static>> = found
        .certs
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
