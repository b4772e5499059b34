//! Registries: who asks them, and where what they gave is kept.

use super::installed::{kept_in, text};
use std::path::PathBuf;
use tripline_host::oci::{
    Blobs, Credentials, Login, OciFault, PlainHttp, Pulled, Reference, Registry,
};

/// The registry of a reference, with what the environment and docker's file say of logins.
pub(crate) fn registry(reference: &Reference, plain: PlainHttp) -> Result<Registry, OciFault> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = given("TRIPLINE_REGISTRY_USER");
    let login = user.zip(given("TRIPLINE_REGISTRY_PASSWORD"));
    let login = login.map(|(user, password)| Login { user, password });
    let docker = match given("DOCKER_CONFIG") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => given("HOME").map(|home| PathBuf::from(home).join(".docker")),
    };
    let credentials = Credentials {
        given: given("TRIPLINE_REGISTRY").zip(login),
        // Most people have none.
        docker: docker.and_then(|folder| text(&folder.join("config.json")).ok()),
    };
    Registry::of(reference, credentials, plain)
}

/// Pulls what an operator's file pins: from the cache, where it was pulled before.
pub(crate) fn pulled(reference: &Reference, cache: Option<PathBuf>) -> Result<Pulled, OciFault> {
    let blobs = match (&cache, kept_in(cache.clone())) {
        (_, None) => Blobs::default(),
        (Some(_), Some(folder)) => Blobs::open(&folder).map_err(OciFault::Keep)?,
        // Nobody asked for it: without it, it is pulled at each start.
        (None, Some(folder)) => Blobs::open(&folder).unwrap_or_default(),
    };
    registry(reference, PlainHttp::Loopback)?.pull(reference, &blobs)
}
