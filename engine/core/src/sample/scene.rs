//! What is going on while one event (or one incident) is written: who, where, when, and the values that
//! slots already got, so that a request and its response speak of the same instance.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::random::{Random, spread};
use super::template::{Piece, SLOTS, Slot, Template};
use super::world::{
    Account, ENVS, TEAMS, WORDS, pick, push_base64, push_hex, push_upper, push_uuid,
};

/// The surroundings of the event being written.
pub(super) struct Scene<'w> {
    pub(super) account: &'w Account,
    pub(super) region: &'static str,
    pub(super) time: Timestamp,
    /// The IAM user who acts, when it is not the one that `<user>` names.
    pub(super) actor: Option<&'static str>,
    kept: [Option<String>; SLOTS.len()],
}

impl<'w> Scene<'w> {
    pub(super) fn new(account: &'w Account, region: &'static str, time: Timestamp) -> Self {
        Self {
            account,
            region,
            time,
            actor: None,
            kept: [const { None }; SLOTS.len()],
        }
    }

    /// Appends the template with its slots filled.
    pub(super) fn fill(&mut self, template: &Template, random: &mut Random, out: &mut String) {
        self.fill_pieces(&template.pieces, random, out);
    }

    fn fill_pieces(&mut self, pieces: &[Piece], random: &mut Random, out: &mut String) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Kept(slot) => self.push_kept(*slot, random, out),
                Piece::Anew(slot) => self.push_slot(*slot, random, out),
                Piece::Repeat {
                    least,
                    most,
                    pieces,
                } => {
                    for turn in 0..random.between(*least, *most) {
                        if turn > 0 {
                            out.push(',');
                        }
                        self.fill_pieces(pieces, random, out);
                    }
                }
            }
        }
    }

    /// The IAM user who acts.
    pub(super) fn acting_user(&mut self, random: &mut Random) -> String {
        match self.actor {
            Some(actor) => actor.to_owned(),
            None => self.kept(Slot::User, random),
        }
    }

    /// The value a slot has in this scene, drawn when it is first asked for.
    pub(super) fn kept(&mut self, slot: Slot, random: &mut Random) -> String {
        let mut value = String::new();
        self.push_kept(slot, random, &mut value);
        value
    }

    fn push_kept(&mut self, slot: Slot, random: &mut Random, out: &mut String) {
        match slot {
            // These follow from the scene and cost less than remembering them.
            Slot::Account => out.push_str(&self.account.id),
            Slot::Region => out.push_str(self.region),
            Slot::Time => push_time(self.time, out),
            _ => {
                if let Some(value) = &self.kept[slot as usize] {
                    out.push_str(value);
                    return;
                }
                let start = out.len();
                self.push_slot(slot, random, out);
                self.kept[slot as usize] = Some(out[start..].to_owned());
            }
        }
    }

    fn push_slot(&mut self, slot: Slot, random: &mut Random, out: &mut String) {
        match slot {
            Slot::Account => out.push_str(&self.account.id),
            Slot::Region => out.push_str(self.region),
            Slot::User => out.push_str(self.account.person(random)),
            Slot::Role => out.push_str(&self.account.role(random)),
            Slot::Team => out.push_str(pick(&TEAMS, self.account.thing(3, 5, random))),
            Slot::Env => out.push_str(ENVS[random.favoured(ENVS.len())]),
            Slot::Word => out.push_str(pick(&WORDS, random.next())),
            Slot::Time => push_time(self.time, out),
            Slot::Seconds => push_number(self.time.as_second(), out),
            Slot::Millis => push_number(self.time.as_millisecond(), out),
            Slot::Email | Slot::Session | Slot::Host | Slot::Private | Slot::Cidr => {
                self.push_place(slot, random, out);
            }
            Slot::Port | Slot::Number | Slot::Count | Slot::Bytes | Slot::Memory | Slot::Size => {
                push_quantity(slot, random, out);
            }
            Slot::Uuid
            | Slot::Hex8
            | Slot::Hex16
            | Slot::Hex17
            | Slot::Hex32
            | Slot::Hex64
            | Slot::UpperHex12
            | Slot::UpperHex17
            | Slot::UpperHex32
            | Slot::Token
            | Slot::Base64
            | Slot::Stream
            | Slot::TempKey
            | Slot::Stranger => push_digits(slot, random, out),
            _ => self.push_thing(slot, random, out),
        }
    }

    /// Who connects, and addresses of the account's network.
    fn push_place(&mut self, slot: Slot, random: &mut Random, out: &mut String) {
        let network = self.account.mark % 200;
        match slot {
            Slot::Email => {
                out.push_str(self.account.person(random));
                out.push_str("@example.com");
            }
            Slot::Session => match random.below(4) {
                0 => {
                    out.push_str("i-");
                    push_hex(self.account.thing(10, 120, random), 17, out);
                }
                1 => out.push_str("AutoScaling"),
                2 => push_number(self.time.as_millisecond(), out),
                _ => self.push_slot(Slot::Function, random, out),
            },
            Slot::Host => {
                let _ = write!(
                    out,
                    "ip-10-{network}-{}-{}.ec2.internal",
                    random.below(16),
                    random.below(256)
                );
            }
            Slot::Cidr => {
                let _ = write!(out, "10.{network}.{}.0/24", random.below(16));
            }
            _ => {
                let _ = write!(
                    out,
                    "10.{network}.{}.{}",
                    random.below(16),
                    random.between(4, 250)
                );
            }
        }
    }

    /// Things the account has a limited number of.
    fn push_thing(&mut self, slot: Slot, random: &mut Random, out: &mut String) {
        let number = self
            .account
            .thing(slot as u64, things_per_account(slot), random);
        let (team, env) = (pick(&TEAMS, number), pick(&ENVS, number >> 8));
        let word = pick(&WORDS, number >> 16);
        let id = &self.account.id;
        let prefix = match slot {
            Slot::Instance => "i-",
            Slot::Volume => "vol-",
            Slot::Snapshot => "snap-",
            Slot::Group => "sg-",
            Slot::Vpc => "vpc-",
            Slot::Subnet => "subnet-",
            Slot::Interface => "eni-",
            Slot::Image => "ami-",
            _ => "",
        };
        if !prefix.is_empty() {
            out.push_str(prefix);
            return push_hex(number, 17, out);
        }
        let _ = match slot {
            Slot::RoleId => return push_id("AROA", number, out),
            Slot::AccessKey => return push_id("AKIA", number, out),
            Slot::Zone => return push_id("Z0", number, out),
            Slot::Kms => return push_uuid(&mut Random::new(number), out),
            Slot::Bucket => write!(out, "{team}-{env}-{word}-{}", &id[8..]),
            Slot::Key => {
                write!(
                    out,
                    "{word}/2026/{:02}/{:02}/",
                    number % 12 + 1,
                    number % 28 + 1
                )
                .ok();
                push_hex(random.next(), 12, out);
                out.push_str(".json.gz");
                Ok(())
            }
            Slot::Parameter => write!(out, "/{team}/{env}/{word}"),
            Slot::Secret => {
                write!(out, "{team}/{env}/{word}-").ok();
                push_base64_letters(number, out);
                Ok(())
            }
            Slot::Alarm => write!(out, "TargetTracking-service/{team}-{env}/{word}-AlarmHigh"),
            Slot::Domain => write!(out, "{team}.example.com"),
            Slot::Repository => write!(out, "{team}/{word}"),
            Slot::Queue | Slot::Table | Slot::Database | Slot::Topic => {
                write!(out, "{team}-{word}-{env}")
            }
            Slot::Cluster => write!(out, "{team}-{env}"),
            Slot::Stack => write!(out, "{env}-{team}-{word}"),
            Slot::Policy => write!(out, "{team}-{word}-access"),
            _ => write!(out, "{team}-{word}-{env}-{}", number % 10),
        };
    }
}

/// How many of a thing an account has.
fn things_per_account(slot: Slot) -> usize {
    match slot {
        Slot::Instance | Slot::Volume | Slot::Snapshot | Slot::Interface => 160,
        Slot::Key => 400,
        Slot::Vpc | Slot::Cluster | Slot::Domain => 4,
        Slot::Bucket | Slot::Function | Slot::Parameter | Slot::Secret => 60,
        _ => 24,
    }
}

fn push_id(prefix: &str, number: u64, out: &mut String) {
    out.push_str(prefix);
    push_upper(number, 17, out);
}

fn push_base64_letters(number: u64, out: &mut String) {
    push_upper(number, 6, out);
}

fn push_number(number: i64, out: &mut String) {
    let _ = write!(out, "{number}");
}

pub(super) fn push_time(time: Timestamp, out: &mut String) {
    let _ = write!(out, "{time}");
}

fn push_quantity(slot: Slot, random: &mut Random, out: &mut String) {
    const PORTS: [u64; 8] = [443, 8443, 8080, 5432, 6379, 9092, 3000, 9200];
    const SIZES: [&str; 7] = [
        "t3.micro",
        "t3.medium",
        "m6i.large",
        "m6i.xlarge",
        "c7g.large",
        "r6g.large",
        "m5.2xlarge",
    ];
    let number = match slot {
        Slot::Size => return out.push_str(SIZES[random.favoured(SIZES.len())]),
        Slot::Port => PORTS[random.favoured(PORTS.len())],
        Slot::Number => random.between(1, 400),
        Slot::Count => random.between(1, 9),
        Slot::Memory => 128 << random.below(5),
        _ => {
            let bits = random.between(6, 26);
            random.below(1 << bits)
        }
    };
    let _ = write!(out, "{number}");
}

fn push_digits(slot: Slot, random: &mut Random, out: &mut String) {
    match slot {
        Slot::Uuid => return push_uuid(random, out),
        Slot::TempKey => return push_id("ASIA", random.next(), out),
        Slot::Stranger => {
            let _ = write!(out, "{:012}", 990_000_000_000 + random.below(1_000_000_000));
            return;
        }
        Slot::Stream => {
            let _ = write!(out, "2026/01/{:02}/[$LATEST]", random.between(1, 28));
            return push_hex(random.next(), 32, out);
        }
        _ => {}
    }
    let number = spread(random.next());
    match slot {
        Slot::Hex8 => push_hex(number, 8, out),
        Slot::Hex16 => push_hex(number, 16, out),
        Slot::Hex17 => push_hex(number, 17, out),
        Slot::Hex32 => push_hex(number, 32, out),
        Slot::Hex64 => push_hex(number, 64, out),
        Slot::UpperHex12 => push_upper(number, 12, out),
        Slot::UpperHex17 => push_upper(number, 17, out),
        Slot::UpperHex32 => push_upper(number, 32, out),
        Slot::Token => push_base64(number, 260, out),
        _ => {
            push_base64(number, 75, out);
            out.push('=');
        }
    }
}
