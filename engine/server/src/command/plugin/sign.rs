//! `tripline plugin keygen`, `sign` and `verify`: signatures in the format of minisign.

use crate::causes::with_causes;
use crate::command::CommandError;
use crate::exit::Exit;
use clap::Args;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tripline_host::sign::{self, KeyPair, PublicKey, SignFault, Trust, TrustedKey};

/// The variable that holds the password of a secret key.
const PASSWORD: &str = "TRIPLINE_KEY_PASSWORD";

/// Make a pair of keys to sign plugins with.
#[derive(Args, Debug)]
pub(super) struct KeygenArguments {
    /// `acme` makes `acme.key`, to be kept secret, and `acme.pub`, for operators.
    #[arg(value_name = "NAME")]
    name: PathBuf,
}

/// Sign a component.
#[derive(Args, Debug)]
pub(super) struct SignArguments {
    /// The component.
    #[arg(value_name = "FILE")]
    component: PathBuf,

    /// The secret key. Its password is taken from TRIPLINE_KEY_PASSWORD.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Check the signature of a component.
#[derive(Args, Debug)]
pub(super) struct VerifyArguments {
    /// The component; its signature lies beside it as FILE.minisig.
    #[arg(value_name = "FILE")]
    component: PathBuf,

    /// The public key: a file, or its second line.
    #[arg(long, value_name = "FILE|KEY")]
    key: String,
}

fn password() -> Option<String> {
    std::env::var(PASSWORD).ok().filter(|text| !text.is_empty())
}

/// Makes two files, and never writes over one.
pub(super) fn keygen(arguments: &KeygenArguments) -> Result<Exit, CommandError> {
    let pair = KeyPair::generate(password().as_deref());
    let pair = pair.map_err(|fault| CommandError::Usage(with_causes(&fault)))?;
    let beside = |extension: &str| {
        let mut path = arguments.name.clone().into_os_string();
        path.push(extension);
        PathBuf::from(path)
    };
    let (secret, public) = (beside(".key"), beside(".pub"));
    create(&secret, &pair.secret, 0o600)?;
    create(&public, &pair.public, 0o644)?;
    let key = pair.public.lines().nth(1).unwrap_or_default();
    let locked = match password() {
        Some(_) => "locked with the password",
        None => "not locked: TRIPLINE_KEY_PASSWORD was not set",
    };
    let text = format!(
        "made {} ({locked}) and {}\n\noperators trust it with:\n  [trust]\n  keys = [{{ key = \"{key}\", names = [\"…/*\"], capabilities = [] }}]\n",
        secret.display(),
        public.display()
    );
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

/// Writes the signature beside the component.
pub(super) fn sign(arguments: &SignArguments) -> Result<Exit, CommandError> {
    let component = read(&arguments.component)?;
    let secret = text(&arguments.key)?;
    let name = arguments.component.file_name().unwrap_or_default();
    let comment = format!("file:{}", name.to_string_lossy());
    let signature = sign::sign(&component, &secret, password().as_deref(), &comment);
    let signature = signature.map_err(|fault| {
        let key = arguments.key.display();
        let help = match fault {
            SignFault::Locked => format!("; {PASSWORD} gives it"),
            SignFault::Password => format!("; {PASSWORD} gave it"),
            _ => String::new(),
        };
        CommandError::Usage(format!("{key}: {}{help}", with_causes(&fault)))
    })?;
    let path = signature_path(&arguments.component);
    std::fs::write(&path, signature).map_err(|source| CommandError::Write {
        path: path.display().to_string(),
        source,
    })?;
    io::stdout().write_all(format!("made {}\n", path.display()).as_bytes())?;
    Ok(Exit::Success)
}

/// Ends with `Findings` when the signature is not that of the key.
pub(super) fn verify(arguments: &VerifyArguments) -> Result<Exit, CommandError> {
    let component = read(&arguments.component)?;
    let key = match Path::new(&arguments.key).exists() {
        true => {
            let file = text(Path::new(&arguments.key))?;
            file.lines().nth(1).unwrap_or_default().trim().to_owned()
        }
        false => arguments.key.clone(),
    };
    let Some(key) = PublicKey::new(&key) else {
        let words = format!("{}: no public key of minisign", arguments.key);
        return Err(CommandError::Usage(words));
    };
    let signature = text(&signature_path(&arguments.component))?;
    let trust = Trust {
        keys: vec![TrustedKey {
            key,
            names: Vec::new(),
            capabilities: Vec::new(),
        }],
        ..Trust::default()
    };
    let shown = arguments.component.display();
    let (text, exit) = match sign::verify(&component, Some(&signature), &trust, None) {
        Ok(verified) => (
            format!("{shown}: signed by this key, {}\n", verified.digest),
            Exit::Success,
        ),
        Err(fault) => (
            format!("{shown}: {}\n", with_causes(&fault)),
            Exit::Findings,
        ),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(exit)
}

/// Where the signature of a component lies.
pub(super) fn signature_path(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), CommandError> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| CommandError::Write {
        path: path.display().to_string(),
        source,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|source| CommandError::Read {
        path: path.display().to_string(),
        source,
    })
}

fn text(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|source| CommandError::Read {
        path: path.display().to_string(),
        source,
    })
}
