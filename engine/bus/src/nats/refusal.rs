//! Why there is no connection: files that hold something else, certificates, logins; each with the setting to look at.
//!
//! The client reads the files at each connection and says little of what is wrong with them, so they are looked at once
//! before. It must never quote what is in a file.

use super::connect::{ConnectSettings, Login, Tls};
use super::fault::{Doing, refused, retry};
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, RootCertStore,
};
use async_nats::{ConnectError, ConnectErrorKind};
use std::error::Error;
use std::io;
use std::path::Path;
use tripline_core::port::PortFault;

/// Refuses files of TLS that are of no use.
pub(super) fn check_files(doing: &Doing, tls: &Tls) -> Result<(), PortFault> {
    let wrong = |setting: &str, path: &Path, words: &str| {
        let path = path.display();
        refused(doing, format!("`{setting}` of [nats]: {path}: {words}"))
    };
    let certificates = |setting: &str, path: &Path| {
        let read = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .ok();
        let none =
            "holds no certificate; give one in PEM, which begins with -----BEGIN CERTIFICATE-----";
        read.filter(|read| !read.is_empty())
            .ok_or_else(|| wrong(setting, path, none))
    };
    if let Some(path) = &tls.authorities {
        certificates("tls_ca_file", path)?;
    }
    let Some((certificate, key)) = &tls.identity else {
        return Ok(());
    };
    let chain = certificates("tls_cert_file", certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|_| {
        let none = "holds no private key; give one in PEM, without a passphrase";
        wrong("tls_key_file", key, none)
    })?;
    let builder = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
    match builder.with_client_auth_cert(chain, private) {
        Ok(_) => Ok(()),
        Err(fault) => {
            let other = format!(
                "is not the key of {} (`tls_cert_file`): {fault}",
                certificate.display()
            );
            Err(wrong("tls_key_file", key, &other))
        }
    }
}

/// Why a server could not be connected to.
pub(super) fn not_connected(
    doing: &Doing,
    settings: &ConnectSettings,
    fault: &ConnectError,
) -> PortFault {
    match fault.kind() {
        ConnectErrorKind::AuthorizationViolation => refused(doing, not_accepted(&settings.login)),
        ConnectErrorKind::Authentication => refused(doing, no_login(&settings.login)),
        _ => match tls_fault(fault) {
            Some(of_tls) => tls_words(&settings.tls, of_tls).map_or_else(
                || retry(doing, format!("TLS: {of_tls}")),
                |words| refused(doing, words),
            ),
            None if matches!(fault.kind(), ConnectErrorKind::Tls) => refused(
                doing,
                format!(
                    "TLS: {fault}; look at `tls_ca_file`, `tls_cert_file` and `tls_key_file` of [nats]"
                ),
            ),
            None => retry(
                doing,
                format!("{fault}; is a server running there? Look at `urls` of [nats]"),
            ),
        },
    }
}

fn not_accepted(login: &Login) -> String {
    let given = match login {
        Login::None => {
            return "the server wants to know who we are; give `credentials_file`, `nkey_file`, `token_file` or `user` of [nats]"
                .to_owned();
        }
        Login::Token(_) => "the token; look at `token_file` of [nats]".to_owned(),
        Login::User { name, .. } => format!(
            "the user `{}` and its password; look at `user` and `password_file` of [nats]",
            name.escape_debug()
        ),
        Login::NKey(_) => "the NKey; look at `nkey_file` of [nats]".to_owned(),
        Login::Credentials(_) => {
            return "the server does not accept the credentials, which may have expired, be revoked, or be of another operator; look at `credentials_file` of [nats]"
                .to_owned();
        }
    };
    format!("the server does not accept {given}, and at the users of the server")
}

fn no_login(login: &Login) -> String {
    match login {
        Login::NKey(_) => "`nkey_file` of [nats] holds no seed of a user; its first line must be as `nk -gen user` writes it, and begins with SU".to_owned(),
        Login::Credentials(_) => "the seed in `credentials_file` of [nats] cannot be used to log in; write the file anew with `nsc generate creds`".to_owned(),
        Login::None | Login::Token(_) | Login::User { .. } => "the server wants another kind of login; give `credentials_file` or `nkey_file` of [nats]".to_owned(),
    }
}

/// What went wrong in TLS, if it was that.
fn tls_fault(fault: &ConnectError) -> Option<&TlsError> {
    let mut next: Option<&(dyn Error + 'static)> = fault.source();
    while let Some(one) = next {
        if let Some(found) = one.downcast_ref::<TlsError>() {
            return Some(found);
        }
        // An error of IO names what is below its own cause as its source, and never the cause.
        let own = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match own {
            Some(own) => Some(own),
            None => one.source(),
        };
    }
    None
}

/// What to do about a fault of TLS that does not pass by itself.
fn tls_words(tls: &Tls, fault: &TlsError) -> Option<String> {
    let words = match fault {
        TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::Other(_),
        ) => match &tls.authorities {
            Some(path) => format!(
                "the server's certificate is not of anybody in {} ({fault}); `tls_ca_file` of [nats] must hold the certificate of whoever signed it",
                path.display()
            ),
            None => format!(
                "this machine does not believe the server's certificate ({fault}); give the certificate of whoever signed it as `tls_ca_file` of [nats]"
            ),
        },
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "{fault}; give an address in `urls` of [nats] that the server's certificate names, or the server a certificate that names this one"
        ),
        TlsError::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => format!(
            "{fault}; give the server a certificate that is valid now, and look at the clocks of both machines"
        ),
        TlsError::InvalidCertificate(_) => format!("{fault}; give the server another certificate"),
        TlsError::AlertReceived(alert) if is_about_identity(*alert) => match &tls.identity {
            None => format!(
                "the server wants a certificate of ours ({fault}); give `tls_cert_file` and `tls_key_file` of [nats]"
            ),
            Some((path, _)) => format!(
                "the server does not accept the certificate {} ({fault}); `tls_cert_file` of [nats] must be signed by whoever the server believes (`ca_file` of its `tls`), be for clients, and be valid now",
                path.display()
            ),
        },
        TlsError::InvalidMessage(_) => format!(
            "the server does not do TLS there ({fault}); give its `tls` section a certificate, or neither tls:// in `urls` nor `tls_required` of [nats]"
        ),
        _ => return None,
    };
    Some(words)
}

fn is_about_identity(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
    )
}
