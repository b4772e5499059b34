//! How files are written.
//!
//! `/dev/stdout` and `/dev/stderr` mean the streams that this process has: opening them again would empty a file that
//! one of them goes to, and write from its beginning over what is in it. What replaces a file is written beside it and
//! renamed, so that the old text or the new one is there. What is written beside a file is always a new file: a link
//! that lies under its name is not followed.

use crate::overwriting::whole;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A stream of this process that has a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// The stream that a path means.
pub(crate) fn stream(path: &str) -> Option<Stream> {
    match path {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(Stream::Out),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(Stream::Err),
        _ => None,
    }
    .filter(|_| cfg!(unix))
}

/// Opens what a path means, empty.
pub(crate) fn create(path: &str) -> io::Result<Box<dyn Write + Send>> {
    Ok(match stream(path) {
        Some(Stream::Out) => Box::new(io::stdout()),
        Some(Stream::Err) => Box::new(io::stderr()),
        None => Box::new(File::create(path)?),
    })
}

/// Writes a text to what a path means, and nothing else.
pub(crate) fn write(path: &str, text: &str) -> io::Result<()> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes())?;
    file.flush()
}

/// Puts a text in the place of what is in a file, which keeps its permissions. Of a link the file is replaced.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = whole(path);
    let permissions = fs::metadata(&path)?.permissions();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.writing"));
    let write = || {
        let mut file = fresh(&beside)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(permissions)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    write().inspect_err(|_| {
        // A file that cannot be put in its place is of no use to anybody.
        let _ = fs::remove_file(&beside);
    })
}

/// A new file. One that an earlier run left under this name goes; a link, a folder or a device is not ours.
pub(crate) fn fresh(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_file() => fs::remove_file(path)?,
        Ok(_) => {
            let words = "something else than a file lies under this name; take it away";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::{fresh, replace};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let name = format!("tripline-writing-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("it can be made");
        path
    }

    #[test]
    fn what_is_replaced_keeps_its_permissions_and_its_links() {
        let folder = folder("replace");
        let (file, link) = (folder.join("a.toml"), folder.join("b.toml"));
        fs::write(&file, "old").expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
        symlink("a.toml", &link).expect("it can be made");
        fs::write(folder.join(".a.toml.writing"), "stale").expect("it can be written");
        replace(&link, "new").expect("it can be replaced");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "new");
        let data = fs::symlink_metadata(&link).expect("it is there");
        assert!(data.is_symlink());
        let mode = fs::metadata(&file).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 2);
        // What cannot be replaced stays.
        let beside = folder.join(".a.toml.writing");
        fs::create_dir(&beside).expect("it can be made");
        replace(&file, "newer").expect_err("a folder is in the way");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "new");
        fs::remove_dir_all(folder).expect("it can go");
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let folder = folder("fresh");
        let (other, link) = (folder.join("other"), folder.join("new"));
        for target in ["other", "nowhere"] {
            fs::write(&other, "theirs").expect("it can be written");
            symlink(target, &link).expect("it can be made");
            fresh(&link).expect_err("a link is in the way");
            assert_eq!(fs::read_to_string(&other).expect("it is there"), "theirs");
            assert!(!folder.join("nowhere").exists());
            fs::remove_file(&link).expect("it can go");
        }
        fresh(&link).expect("nothing is in the way");
        fresh(&link).expect("an earlier one goes");
        fs::remove_dir_all(folder).expect("it can go");
    }
}
