//! `tripline scan`: events in, findings out.

use super::CommandError;
use crate::exit::{Exit, after_help, flowing};
use crate::input::resolve::{Input, Origin, ResolveError, Resolved, resolve};
use crate::output::summary::{Ending, summary};
use crate::output::{Format, FormatName};
use crate::overwriting::FilesRead;
use crate::plugins::{self, Plugins, Started};
use crate::rule_files::RuleArguments;
use crate::rule_loading::{Loaded, today_of};
use crate::scan::drive::{drive, progress, threads};
use crate::scan::examine::{Dedup, Examination, FINDINGS_BYTES_MAX};
use crate::scan::outlet::Writing;
use crate::scan::progress::{Counters, Wanted};
use crate::scan::remember::{Arrival, Remembering};
use crate::scan::report::{Findings, Reporter, Strictness};
use crate::scan::statistics::{self, RuleTimes, Statistics};
use crate::state_folder::{StateFolder, is_state};
use crate::terminal::{ColorChoice, JsonForTerminal, Shown, printable_json};
use crate::writing::{self, Stream};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use std::hash::RandomState;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use tripline_core::rule::{File, Severity};

const EXAMPLES: &str = "\
Inputs may be files, folders (in order of names, hidden files left out), patterns in quotes, and -
for standard input. What is in them is told by content: JSON lines, arrays, CloudTrail delivery
files, EventBridge envelopes, values one after another; plain, gzip or zstd.

Every record is accounted for: read = matched + unmatched + duplicates + rejected. A duplicate is
a record whose event id is among the last 4,194,304 different ids read (they take up to 96 MiB);
the first one counts. What rules that remember observe is not matched by that: the summary tells how
many records they observed and how many of the findings are theirs.

A rule that cannot be decided on an event is counted as such, or as not applicable when the event is
certainly of another source than the rule. Where it matches, it always matches.

Rules that remember find things in the order of event time, whatever the order of the input, and after
all other findings. With --live or --state a finding is told when its lateness has passed, and once
more with a higher revision when later detections were counted on it.

--state keeps what rules remember in a folder, for the next scan to go on from; the same events
scanned again with it are late and do not count twice. --seed lets rules learn what is usual from
earlier events, and reports nothing. --live is for input that arrives as it happens: rules wait only
as long as their lateness.

Examples:
  tripline scan --demo
  tripline scan logs/
  tripline scan --rules rules/ --rules overrides.toml 'logs/**/*.json.gz'
  tripline scan --sigma sigma/rules/cloud/aws logs/
  tripline scan --sigma sigma/ --sigma-pipeline fields.yml logs/
  zcat trail.gz | tripline scan --format jsonl --fail-on high -
  tripline scan --format sarif --output findings.sarif logs/
  tripline scan --plugins plugins.toml --rules rules/ logs/
  tripline scan --plugins plugins.toml --decoder okta system-log.json
  tripline scan --stats --strict --list admins=admins.csv logs/
  tripline scan --state state/ --seed last-month/   (rules learn what is usual)
  tripline scan --state state/ today/               (and go on from there)
  tail -F audit.jsonl | tripline scan --live -";

const EXIT_CODES: &[(Exit, &str)] = &[
    (
        Exit::Success,
        "every input was read to its end, and no finding reaches --fail-on",
    ),
    (Exit::Findings, "a finding is at or above --fail-on"),
    (
        Exit::Fault,
        "wrong usage, no rule to scan with, findings that could not be written, or something that could not be opened or read to its end; this goes before 1",
    ),
    (
        Exit::Rejected,
        "--strict: a record was rejected, or something could not be opened or read to its end",
    ),
    (Exit::Interrupted, "interrupted"),
];

const CODES_OF_FAULTS: &str = "\
Rules with errors are switched off and told, and do not change the code; nor do rejected records
without --strict, nor files met in a folder that are of a format not read, such as bzip2.";

/// Find what rules say about events.
#[derive(Args, Debug)]
#[command(after_help = format!("{}\n\n{}", after_help(EXAMPLES, EXIT_CODES), flowing(CODES_OF_FAULTS)))]
pub(crate) struct Arguments {
    /// Files, folders, patterns, or - for standard input.
    #[arg(value_name = "INPUT", required_unless_present = "demo")]
    inputs: Vec<String>,

    #[command(flatten)]
    rules: RuleArguments,

    /// The plugin that makes events of the inputs, when they hold none themselves.
    #[arg(long, value_name = "NAME", requires = "file", conflicts_with = "demo")]
    decoder: Option<String>,

    /// Scan a bundled sample with incidents planted in it.
    #[arg(long, conflicts_with = "inputs")]
    demo: bool,

    /// How findings are written.
    #[arg(long, value_enum, default_value = "pretty", value_name = "FORMAT")]
    format: FormatName,

    /// Write findings to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,

    /// Exit with 1 when a finding is at least this severe.
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    fail_on: Option<Severity>,

    /// Tell, on standard error, what each rule did and what became of each input. Verdicts of a rule that could not be
    /// decided, or are not applicable, are counted for duplicates too.
    #[arg(long)]
    stats: bool,

    /// How statistics are written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    stats_format: StatsFormat,

    /// Write statistics to this file; means --stats.
    #[arg(long, value_name = "FILE")]
    stats_output: Option<String>,

    /// Stop at the first rejected record or unreadable input, with exit code 3.
    #[arg(long)]
    strict: bool,

    /// Report records with the same event id once (the default).
    #[arg(long, overrides_with = "no_dedup")]
    dedup: bool,

    /// Report every record, also with an event id seen before.
    #[arg(long)]
    no_dedup: bool,

    /// Keep what rules remember in this folder, and go on from what is there. Written at the end of the input; with
    /// --live also every minute and when interrupted.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Let rules learn from the input, and report nothing.
    #[arg(long, requires = "state")]
    seed: bool,

    /// The input arrives as it happens: rules that remember wait only as long as their lateness.
    #[arg(long)]
    live: bool,

    /// Most memory for what rules remember, in MiB; at least 16.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    state_memory: u32,

    /// Threads that evaluate; all cores without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// No progress bar.
    #[arg(long)]
    no_progress: bool,

    /// The time to take for now, for output that must be the same tomorrow.
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Timestamp>,
}

/// How statistics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatsFormat {
    Text,
    Json,
}

/// A severity by its name.
pub(crate) fn severity(word: &str) -> Result<Severity, String> {
    Severity::from_word(word).ok_or_else(|| format!("one of {}", Severity::WORDS.join(", ")))
}

/// A time.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    let words = "give a time with its zone, such as 2024-06-01T00:00:00Z";
    text.parse().map_err(|_| words.to_owned())
}

/// Scans.
pub(crate) fn run(arguments: Arguments, color: ColorChoice) -> Result<Exit, CommandError> {
    let now = arguments.now.unwrap_or_else(Timestamp::now);
    let mut resolved = inputs(&arguments)?;
    let decoder = arguments.decoder.as_deref();
    arguments
        .rules
        .plugins
        .decode(decoder, &mut resolved.inputs)?;
    let mut more = Vec::new();
    if arguments.demo && arguments.rules.rules.is_empty() && arguments.rules.sigma.is_empty() {
        more.push(File::found("demo.toml", include_str!("demo.toml")));
    }
    let loaded = Loaded {
        catalog: arguments.rules.load(more, today_of(now))?,
    };
    let rules = loaded.compile(color);
    if rules.rules().is_empty() {
        let who = arguments.rules.plugins.who_tells()?;
        let words = format!("no rule is left to scan with; {who}");
        return Err(CommandError::Usage(words));
    }
    keep_what_is_read(&arguments, &resolved)?;
    let format = Format {
        name: arguments.format,
        palette: match arguments.output {
            Some(_) => ColorChoice::Never.palette(&io::stdout()),
            None => color.palette(&io::stdout()),
        },
        now_ms: now.as_millisecond(),
    };
    let started = arguments.rules.plugins.start(rules.plugins())?;
    let plugins = started.asked();
    let scan = Scan {
        arguments: &arguments,
        color,
        rules: &rules,
        plugins: &plugins,
        started: &started,
        format,
        resolved,
        now,
    };
    scan.run()
}

/// The inputs. The files of the state are none, also where its folder is among what is scanned.
fn inputs(arguments: &Arguments) -> Result<Resolved, CommandError> {
    if arguments.demo {
        let input = Input::bundled("demo", super::sample::demo());
        return Ok(Resolved {
            inputs: vec![input],
            faults: Vec::new(),
        });
    }
    let mut resolved = resolve(&arguments.inputs)?;
    if let Some(folder) = &arguments.state {
        let before = resolved.inputs.len();
        let is_state =
            |input: &Input| matches!(&input.origin, Origin::File(path) if is_state(path, folder));
        resolved.inputs.retain(|input| !is_state(input));
        if resolved.inputs.len() < before {
            let folder = folder.display().to_string();
            let words = "the state is kept here; its files are no input";
            // If standard error is closed, nobody wants to know.
            let _ = writeln!(io::stderr(), "{}: {words}", Shown(&folder));
        }
        if before > 0 && resolved.inputs.is_empty() {
            return Err(ResolveError::EmptyFolder(arguments.inputs.join(", ")).into());
        }
    }
    Ok(resolved)
}

/// Refuses to write findings or statistics over an input, a rule or the state.
fn keep_what_is_read(arguments: &Arguments, resolved: &Resolved) -> Result<(), CommandError> {
    let mut read = FilesRead::default();
    read.inputs(&resolved.inputs);
    read.paths(arguments.rules.paths_read()?);
    if let Some(path) = &arguments.state {
        read.state(path);
    }
    read.keep_from(&[
        ("--output", arguments.output.as_deref()),
        ("--stats-output", arguments.stats_output.as_deref()),
    ])?;
    Ok(())
}

struct Scan<'s> {
    arguments: &'s Arguments,
    color: ColorChoice,
    rules: &'s tripline_core::evaluate::RuleSet,
    plugins: &'s Plugins<'s>,
    started: &'s Started,
    format: Format,
    resolved: Resolved,
    now: Timestamp,
}

impl Scan<'_> {
    fn run(self) -> Result<Exit, CommandError> {
        let inputs = &self.resolved.inputs;
        let counters = Counters::default();
        let wanted = match self.arguments.no_progress {
            true => Wanted::Never,
            false => Wanted::WhenTerminal,
        };
        let progress = progress(wanted, inputs, &counters);
        let (statistics, dedup, strictness) = self.options();
        let times = RuleTimes::new(self.rules.rules().len());
        let telling = match self.arguments.seed {
            true => Findings::Learnt,
            false => Findings::Shown,
        };
        let remembering = self.remembering(telling)?;
        let examination = Examination {
            rules: self.rules,
            baseline: None,
            inputs,
            shape: &self.format,
            counters: counters.clone(),
            dedup,
            strictness,
            statistics,
            findings_bytes_max: FINDINGS_BYTES_MAX,
            times: &times,
            plugins: self.plugins,
            memories: remembering
                .as_ref()
                .map(|one| one.plugins().clone())
                .unwrap_or_default(),
            answered: Mutex::default(),
            hash_states: [RandomState::new(), RandomState::new()],
        };
        self.try_statistics()?;
        let writing = Writing::new(&self.format, self.output()?, progress.clone());
        let mut reporter = Reporter::new(
            (inputs, self.rules),
            (&self.format, writing),
            (dedup, strictness),
            (telling, remembering),
        );
        for (path, error) in &self.resolved.faults {
            reporter.unresolved(path.clone(), error);
        }
        let mut head = Vec::new();
        self.format.begin(self.rules, &mut head)?;
        let _ = reporter.outlet.write(&head);
        let threads = match self.plugins.remember() {
            // They are asked about the records in their order, which only one thread sees.
            true => 1,
            false => threads(self.arguments.threads),
        };
        let mut reporter = drive(&examination, reporter, threads, &progress, |reporter| {
            let exit = self.finish(reporter, &times, Ending::Interrupted);
            exit.unwrap_or(Exit::Interrupted)
        });
        let stopped = self.arguments.strict && !reporter.accounting.is_complete();
        let ending = if stopped {
            Ending::Strict
        } else {
            Ending::Complete
        };
        self.finish(&mut reporter, &times, ending)
    }

    /// State, when some rule needs it.
    fn remembering(&self, telling: Findings) -> Result<Option<Remembering<'_>>, CommandError> {
        let Arguments {
            state,
            live,
            state_memory,
            ..
        } = self.arguments;
        let folder = match state {
            Some(path) => Some(StateFolder::open(path)?),
            None => None,
        };
        let arrival = if *live {
            Arrival::Live
        } else {
            Arrival::Archive
        };
        let bytes_max = (*state_memory as usize).saturating_mul(1024 * 1024);
        Ok(Remembering::start(
            (self.rules, self.plugins),
            (arrival, telling, bytes_max),
            self.now,
            folder,
        )?)
    }

    fn options(&self) -> (Statistics, Dedup, Strictness) {
        let Arguments {
            no_dedup, strict, ..
        } = self.arguments;
        (
            if self.wants_stats() {
                Statistics::Wanted
            } else {
                Statistics::Unwanted
            },
            if *no_dedup { Dedup::Off } else { Dedup::ById },
            if *strict {
                Strictness::Strict
            } else {
                Strictness::Tolerant
            },
        )
    }

    /// Writes what comes after the findings, and says how the scan ended.
    fn finish(
        &self,
        reporter: &mut Reporter<'_, Writing<'_>>,
        times: &RuleTimes,
        ending: Ending,
    ) -> Result<Exit, CommandError> {
        reporter.close_unfinished();
        reporter.finish_remembering();
        reporter.note_state();
        let mut broken_pipe = match reporter.outlet.fault.take() {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => true,
            Some(error) => return Err(self.output_error(error)),
            None => false,
        };
        let mut tail = Vec::new();
        self.format.end(&reporter.accounting, &mut tail)?;
        let on_stdout = self.format.name == FormatName::Pretty && self.arguments.output.is_none();
        if on_stdout {
            tail.extend(summary(&reporter.accounting, ending, &self.format.palette).into_bytes());
        }
        if !broken_pipe {
            let _ = reporter.outlet.write(&tail);
            match reporter.outlet.fault.take() {
                Some(error) if error.kind() == io::ErrorKind::BrokenPipe => broken_pipe = true,
                Some(error) => return Err(self.output_error(error)),
                None => {}
            }
        }
        if !on_stdout {
            let palette = self.color.palette(&io::stderr());
            // Nobody may be listening to standard error; the findings are written.
            let text = summary(&reporter.accounting, ending, &palette);
            let _ = io::stderr().write_all(text.as_bytes());
        }
        let decoder = self.arguments.rules.plugins.decoding();
        let ran = self.started.running.iter().chain(decoder);
        let told = plugins::told(ran, self.wants_stats());
        let _ = io::stderr().write_all(told.as_bytes());
        self.statistics(reporter, times)?;
        let ends = match ending {
            // What nobody took was not told, and what could not be read may be read another time.
            _ if broken_pipe || reporter.unread => false,
            Ending::Complete => true,
            Ending::Interrupted => reporter.is_live(),
            Ending::Strict => false,
        };
        if ends {
            reporter.save_state()?;
        } else if self.arguments.state.is_some() {
            // What was read would be read again, and count twice.
            let left = if reporter.is_live() {
                "the state is left as it was last written"
            } else {
                "the state is left as it was before this scan"
            };
            let _ = writeln!(io::stderr(), "{left}");
        }
        Ok(self.exit(reporter, ending))
    }

    fn exit(&self, reporter: &Reporter<'_, Writing<'_>>, ending: Ending) -> Exit {
        let severe = self
            .arguments
            .fail_on
            .is_some_and(|limit| reporter.worst >= Some(limit));
        match ending {
            Ending::Interrupted => Exit::Interrupted,
            Ending::Strict => Exit::Rejected,
            Ending::Complete if reporter.unread => Exit::Fault,
            Ending::Complete if severe => Exit::Findings,
            Ending::Complete => Exit::Success,
        }
    }

    fn statistics(
        &self,
        reporter: &Reporter<'_, Writing<'_>>,
        times: &RuleTimes,
    ) -> Result<(), CommandError> {
        if !self.wants_stats() {
            return Ok(());
        }
        let Reporter {
            rules: counts,
            accounting,
            ..
        } = reporter;
        let text = match self.arguments.stats_format {
            StatsFormat::Text => statistics::to_text(self.rules, counts, times, accounting),
            StatsFormat::Json => {
                let json = statistics::to_json(self.rules, counts, times, accounting);
                printable_json(&format!("{json}\n"))
            }
        };
        match &self.arguments.stats_output {
            Some(path) => writing::write(path, &text).map_err(|source| CommandError::Write {
                path: path.clone(),
                source,
            }),
            None => {
                let _ = io::stderr().write_all(text.as_bytes());
                Ok(())
            }
        }
    }

    /// Whether statistics can be written is better known before anything is told.
    fn try_statistics(&self) -> Result<(), CommandError> {
        let path = self.arguments.stats_output.as_ref();
        let Some(path) = path.filter(|path| writing::stream(path).is_none()) else {
            return Ok(());
        };
        let opened = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        opened.map(drop).map_err(|source| CommandError::Write {
            path: path.clone(),
            source,
        })
    }

    fn wants_stats(&self) -> bool {
        self.arguments.stats || self.arguments.stats_output.is_some()
    }

    fn output(&self) -> Result<Box<dyn Write + Send>, CommandError> {
        let output = self.arguments.output.as_ref();
        match output.filter(|path| writing::stream(path) != Some(Stream::Out)) {
            Some(path) => writing::create(path).map_err(|source| CommandError::Write {
                path: path.clone(),
                source,
            }),
            None if self.format.name != FormatName::Pretty && io::stdout().is_terminal() => {
                Ok(Box::new(JsonForTerminal::new(io::stdout())))
            }
            None => Ok(Box::new(io::stdout())),
        }
    }

    fn output_error(&self, source: io::Error) -> CommandError {
        match &self.arguments.output {
            Some(path) => CommandError::Write {
                path: path.clone(),
                source,
            },
            None => CommandError::Output(source),
        }
    }
}
