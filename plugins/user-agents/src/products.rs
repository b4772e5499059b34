//! Names that are known, in the order in which they are looked for.

/// What a product is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// As it stands in user agents, in small letters.
    pub(crate) token: &'static str,
    /// As it is usually written.
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
}

const fn product(token: &'static str, name: &'static str, kind: &'static str) -> Product {
    Product { token, name, kind }
}

/// Programs, the telling ones first: a tool names the library that it is built on after itself or before, and browsers
/// name each other.
pub(crate) const PRODUCTS: [Product; 52] = [
    product("pacu", "Pacu", "attack"),
    product("scoutsuite", "ScoutSuite", "audit"),
    product("prowler", "Prowler", "audit"),
    product("cloudfox", "CloudFox", "attack"),
    product("cloudsplaining", "Cloudsplaining", "audit"),
    product("trufflehog", "TruffleHog", "attack"),
    product("s3scanner", "S3Scanner", "attack"),
    product("stratus-red-team", "Stratus Red Team", "attack"),
    product("weirdaal", "weirdAAL", "attack"),
    product("sqlmap", "sqlmap", "attack"),
    product("nuclei", "Nuclei", "attack"),
    product("nmap", "Nmap", "attack"),
    product("masscan", "masscan", "attack"),
    product("gobuster", "Gobuster", "attack"),
    product("nikto", "Nikto", "attack"),
    product("roadtools", "ROADtools", "attack"),
    product("aadinternals", "AADInternals", "attack"),
    product("terraform", "Terraform", "infrastructure"),
    product("opentofu", "OpenTofu", "infrastructure"),
    product("pulumi", "Pulumi", "infrastructure"),
    product("ansible", "Ansible", "infrastructure"),
    product("cloud-custodian", "Cloud Custodian", "infrastructure"),
    product("steampipe", "Steampipe", "audit"),
    product("s3browser", "S3 Browser", "tool"),
    product("cyberduck", "Cyberduck", "tool"),
    product("rclone", "rclone", "tool"),
    product("kubectl", "kubectl", "tool"),
    product("helm", "Helm", "tool"),
    product("git", "Git", "tool"),
    product("aws-cli", "AWS CLI", "tool"),
    product("aws-tools-powershell", "AWS Tools for PowerShell", "tool"),
    product("boto3", "Boto3", "library"),
    product("botocore", "Botocore", "library"),
    product("aws-sdk-go-v2", "AWS SDK for Go", "library"),
    product("aws-sdk-go", "AWS SDK for Go", "library"),
    product("aws-sdk-java", "AWS SDK for Java", "library"),
    product("aws-sdk-js", "AWS SDK for JavaScript", "library"),
    product("aws-sdk-nodejs", "AWS SDK for JavaScript", "library"),
    product("aws-sdk-rust", "AWS SDK for Rust", "library"),
    product("aws-sdk-dotnet", "AWS SDK for .NET", "library"),
    product("aws-sdk-ruby3", "AWS SDK for Ruby", "library"),
    product("aws-sdk-php", "AWS SDK for PHP", "library"),
    product("aws-sdk-cpp", "AWS SDK for C++", "library"),
    product("python-requests", "Requests", "library"),
    product("go-http-client", "Go's HTTP client", "library"),
    product("curl", "curl", "library"),
    product("edg", "Edge", "browser"),
    product("opr", "Opera", "browser"),
    product("firefox", "Firefox", "browser"),
    product("chrome", "Chrome", "browser"),
    product("version", "Safari", "browser"),
    product("msie", "Internet Explorer", "browser"),
];

/// Systems, by what stands in comments and products, in small letters; the telling ones first.
pub(crate) const SYSTEMS: [(&str, &str); 18] = [
    ("kali", "Kali Linux"),
    ("parrot", "Parrot"),
    ("pentoo", "Pentoo"),
    ("blackarch", "BlackArch"),
    ("android", "Android"),
    ("iphone", "iOS"),
    ("ipad", "iOS"),
    ("os/ios", "iOS"),
    ("windows", "Windows"),
    ("mac os", "macOS"),
    ("macintosh", "macOS"),
    ("macos", "macOS"),
    ("darwin", "macOS"),
    ("cros", "ChromeOS"),
    ("freebsd", "FreeBSD"),
    ("ubuntu", "Linux"),
    ("amzn", "Linux"),
    ("linux", "Linux"),
];

/// Systems made for attacking.
pub(crate) const ATTACK_SYSTEMS: [&str; 4] = ["Kali Linux", "Parrot", "Pentoo", "BlackArch"];

/// Languages, by what stands before a slash, in small letters.
pub(crate) const LANGUAGES: [(&str, &str); 12] = [
    ("python", "Python"),
    ("lang/python", "Python"),
    ("lang/go", "Go"),
    ("lang/java", "Java"),
    ("lang/js", "JavaScript"),
    ("lang/rust", "Rust"),
    ("lang/ruby", "Ruby"),
    ("lang/php", "PHP"),
    ("java", "Java"),
    ("ruby", "Ruby"),
    ("nodejs", "JavaScript"),
    ("node", "JavaScript"),
];
