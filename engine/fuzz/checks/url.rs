//! Any text as the address of a request, where a redirect leads, and what an operator grants: what was read here is what
//! another reader makes of it, redirects stay where they say, and a pattern that covers another takes all of its
//! addresses.
//!
//! Lines: an address, where its answer leads, two patterns of hosts, two of paths.

use tripline_host::grant::http::{Address, Host, HostPattern, PathPattern};
use ureq::http::Uri;

/// Holds the input to the claims above.
pub(crate) fn run(text: &str) {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or("");
    let (first, location) = (line(), line());
    let hosts = [line(), line()].map(HostPattern::new);
    let paths = [line(), line()].map(PathPattern::new);
    let Ok(address) = Address::new(first) else {
        return;
    };
    check_address(&address);
    let mut addresses = vec![address];
    if let Ok(next) = addresses[0].redirected(location) {
        check_address(&next);
        if location.starts_with('/') {
            assert_eq!(next.origin(), addresses[0].origin());
        }
        addresses.push(next);
    }
    for address in &addresses {
        check_hosts(&hosts, address);
        check_paths(&paths, address);
    }
}

/// Two readers that disagree are a way past a list.
fn check_address(address: &Address) {
    let text = address.to_string();
    assert_eq!(Address::new(&text).as_ref(), Ok(address));
    let uri: Uri = text.parse().expect("the client reads it too");
    assert_eq!(uri.scheme_str(), Some(address.scheme.as_str()));
    let host = uri.host().and_then(Host::new);
    assert_eq!(host.as_ref(), Some(&address.host));
    assert_eq!(
        uri.port_u16().unwrap_or(address.scheme.port()),
        address.port
    );
    assert_eq!(uri.path(), address.path);
    assert_eq!(uri.query(), address.query.as_deref());
    assert!(
        !uri.authority()
            .expect("there is one")
            .as_str()
            .contains('@')
    );
    assert!(address.path.starts_with('/'));
    // What follows a semicolon are parameters of a step, not steps.
    let names = address.path.split('/').map(|step| step.split(';').next());
    assert!(names.flatten().all(|name| name != "." && name != ".."));
    assert!(!address.path.contains(['\\', '#', ' ']));
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
}

fn check_hosts(patterns: &[Option<HostPattern>; 2], address: &Address) {
    for pattern in patterns.iter().flatten() {
        assert_eq!(
            HostPattern::new(&pattern.to_string()).as_ref(),
            Some(pattern)
        );
        assert!(pattern.covers(pattern));
    }
    if let [Some(wide), Some(narrow)] = patterns
        && wide.covers(narrow)
        && narrow.matches(&address.host)
    {
        assert!(wide.matches(&address.host));
    }
}

fn check_paths(patterns: &[Option<PathPattern>; 2], address: &Address) {
    for pattern in patterns.iter().flatten() {
        assert_eq!(
            PathPattern::new(&pattern.to_string()).as_ref(),
            Some(pattern)
        );
        assert!(pattern.covers(pattern));
    }
    if let [Some(wide), Some(narrow)] = patterns
        && wide.covers(narrow)
        && narrow.matches(&address.path)
    {
        assert!(wide.matches(&address.path));
    }
}
