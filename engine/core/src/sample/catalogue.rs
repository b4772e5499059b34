//! The operations of the world, read from `catalogue.txt`, and the columns that incidents share with it.
//!
//! Data, not code, so that an operation is one line. It is part of the program and read once per
//! generator; a mistake in it is our own bug and found by a test.

use super::rhythm::Rhythm;
use super::template::Template;

/// One service and what can be called there.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) source: &'static str,
    pub(super) weight: u64,
    pub(super) rhythm: Rhythm,
    pub(super) scope: Scope,
    /// What its actions start with in IAM.
    pub(super) prefix: &'static str,
    pub(super) errors: Vec<&'static str>,
    /// Type and ARN of what `resources` holds.
    pub(super) resource: Option<(&'static str, Template)>,
    pub(super) operations: Vec<Operation>,
    /// Running sums of the operations' weights.
    pub(super) running_sums: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Regional,
    Global,
}

/// One operation of a service.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) traits: Traits,
    pub(super) columns: Columns,
}

/// The flags of an operation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    pub(super) reads: bool,
    pub(super) called_by_services: bool,
    pub(super) data_event: bool,
    pub(super) names_resources: bool,
}

/// The three parts of a record that depend on the operation; none means `null` (or left out, for the third).
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    pub(super) request: Option<Template>,
    pub(super) response: Option<Template>,
    pub(super) additional: Option<Template>,
}

/// The built-in catalogue.
pub(super) fn builtin() -> Vec<Service> {
    match parse(include_str!("catalogue.txt")) {
        Ok(services) => services,
        Err(error) => unreachable!("the built-in catalogue: {error}"),
    }
}

fn parse(text: &'static str) -> Result<Vec<Service>, String> {
    let mut services: Vec<Service> = Vec::new();
    for line in text.lines().map(str::trim) {
        let within = |error: String| format!("{line}: {error}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            services.push(parse_service(header).map_err(within)?);
            continue;
        }
        let service = services
            .last_mut()
            .ok_or_else(|| within("no service yet".to_owned()))?;
        if let Some(errors) = line.strip_prefix("errors") {
            service.errors = errors.split_whitespace().collect();
        } else if let Some(resource) = line.strip_prefix("resource ") {
            let (kind, arn) = resource
                .split_once(' ')
                .ok_or_else(|| within("no ARN".to_owned()))?;
            service.resource = Some((kind, Template::compile(arn).map_err(within)?));
        } else {
            service
                .operations
                .push(parse_operation(line).map_err(within)?);
        }
    }
    for service in &mut services {
        service.running_sums = zipf(service.operations.len());
    }
    Ok(services)
}

fn parse_service(header: &'static str) -> Result<Service, String> {
    let (source, rest) = header.split_once(']').ok_or("unclosed header")?;
    let mut words = rest.split_whitespace();
    let weight = words
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or("no weight")?;
    let rhythm = words
        .next()
        .and_then(Rhythm::from_name)
        .ok_or("no rhythm")?;
    let scope = match words.next() {
        Some("regional") => Scope::Regional,
        Some("global") => Scope::Global,
        _ => return Err("no scope".to_owned()),
    };
    Ok(Service {
        source,
        weight,
        rhythm,
        scope,
        prefix: words.next().ok_or("no prefix")?,
        errors: Vec::new(),
        resource: None,
        operations: Vec::new(),
        running_sums: Vec::new(),
    })
}

fn parse_operation(line: &'static str) -> Result<Operation, String> {
    let (head, columns) = line.split_once(" | ").unwrap_or((line, ""));
    let (name, flags) = head.trim().split_once(' ').ok_or("no flags")?;
    Ok(Operation {
        name,
        traits: parse_flags(flags)?,
        columns: parse_columns(columns)?,
    })
}

/// The flags of an operation, one letter each.
pub(super) fn parse_flags(flags: &str) -> Result<Traits, String> {
    let mut traits = Traits::default();
    for flag in flags.chars() {
        match flag {
            'r' => traits.reads = true,
            'w' => traits.reads = false,
            's' => traits.called_by_services = true,
            'd' => traits.data_event = true,
            'x' => traits.names_resources = true,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(traits)
}

/// Request, response and additional data.
pub(super) fn parse_columns(text: &str) -> Result<Columns, String> {
    let mut columns = text.split(" | ").map(|column| match column.trim() {
        "" | "null" => Ok(None),
        json => Template::compile(json).map(Some),
    });
    let mut next = || columns.next().unwrap_or(Ok(None));
    Ok(Columns {
        request: next()?,
        response: next()?,
        additional: next()?,
    })
}

/// Running sums of weights that fall like 1/k.
fn zipf(count: usize) -> Vec<u64> {
    let mut sum = 0;
    (1..=count as u64)
        .map(|place| {
            sum += 1_000_000 / place;
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_catalogue_is_well_formed_and_large_enough() {
        let services = parse(include_str!("catalogue.txt")).expect("well formed");
        let operations: usize = services
            .iter()
            .map(|service| service.operations.len())
            .sum();
        assert!(services.len() >= 29, "{} services", services.len());
        assert!((280..=350).contains(&operations), "{operations} operations");
        for service in &services {
            assert!(!service.operations.is_empty(), "{}", service.source);
            for operation in &service.operations {
                let same = service
                    .operations
                    .iter()
                    .filter(|other| other.name == operation.name);
                assert_eq!(
                    same.count(),
                    1,
                    "{} twice in {}",
                    operation.name,
                    service.source
                );
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        fn check(text: &'static str, expected: &str) {
            assert_eq!(parse(text).err().as_deref(), Some(expected), "{text}");
        }
        check("GetObject r", "GetObject r: no service yet");
        check("[s3] many", "[s3] many: no weight");
        check("[s3] 1 steady regional s3\nGet q", "Get q: unknown flag q");
        check(
            "[s3] 1 steady regional s3\nGet r | <x>",
            "Get r | <x>: unknown slot <x>",
        );
    }
}
