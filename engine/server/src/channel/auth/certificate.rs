//! Certificates of clients: what of them tells who somebody is.
//!
//! Relies on the handshake, in which the certificate was verified against the authorities of the listener and its key was
//! proved to be there. Names are those of the certificate's subject alternative names, DNS and URI; a common name is none.

use super::Denied;
use super::sigv4::hex;
use super::unhex;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// Most fingerprints or names of one sender.
const ENTRIES_MAX: usize = 16;

/// The certificate of whoever is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    sha256: [u8; 32],
    names: Vec<String>,
}

impl Certificate {
    /// Of one that was verified.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Self {
        let names = match webpki::EndEntityCert::try_from(der) {
            Ok(read) => {
                let names = read.valid_dns_names().map(str::to_ascii_lowercase);
                names
                    .chain(read.valid_uri_names().map(str::to_owned))
                    .collect()
            }
            // Then its fingerprint alone can tell who it is.
            Err(_) => Vec::new(),
        };
        Self {
            sha256: Sha256::digest(der.as_ref()).into(),
            names,
        }
    }
}

/// Which certificates a sender has. Where both fingerprints and names are given, both must fit.
#[derive(Debug)]
pub(super) struct Wanted {
    sha256: Vec<[u8; 32]>,
    names: Vec<String>,
}

impl Wanted {
    pub(super) fn new(sha256: &[String], names: &[String]) -> Result<Self, String> {
        if sha256.is_empty() && names.is_empty() {
            return Err("give the certificate's sha256, a name of it, or both".to_owned());
        }
        if sha256.len().max(names.len()) > ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} of sha256 or names"));
        }
        let digest = |text: &String| {
            // As openssl prints it, or without colons.
            let plain = text.replace(':', "");
            let mut bytes = [0; 32];
            unhex(plain.as_bytes(), &mut bytes).map(|()| bytes)
        };
        let digests: Option<Vec<[u8; 32]>> = sha256.iter().map(digest).collect();
        let name = |text: &String| match text.contains(':') {
            true => text.clone(),
            false => text.to_ascii_lowercase(),
        };
        Ok(Self {
            sha256: digests.ok_or("sha256 of a certificate has 64 digits of hex")?,
            names: names.iter().map(name).collect(),
        })
    }

    /// What tells that it is one of them.
    pub(super) fn fits(&self, certificate: &Certificate) -> Result<String, Denied> {
        let is_known = self.sha256.is_empty() || self.sha256.contains(&certificate.sha256);
        let mut named = certificate
            .names
            .iter()
            .filter(|name| self.names.contains(name));
        match (is_known, named.next()) {
            (true, Some(name)) => Ok(name.clone()),
            (true, None) if self.names.is_empty() => Ok(hex(&certificate.sha256)),
            _ => Err(Denied::Certificate),
        }
    }
}
