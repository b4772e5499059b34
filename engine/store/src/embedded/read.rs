//! Reading: findings, events and dead letters, each call bounded in what it returns and in what it looks at.
//!
//! Lists show what is durable only. What takes two looks takes both in one snapshot of the database, so that
//! forgetting in between does not look like damage.

use super::fault::of_database;
use super::{EmbeddedStore, is_key, layout};
use crate::limits::{FINDINGS_LOOKED_AT_MAX, PAGE_BYTES_MAX, PAGE_MAX};
use fjall::Readable;
use tripline_core::port::{
    DeadFilter, DeadLetter, DeadNumber, FindingFilter, FindingPage, Outgoing, PortFault, Sequence,
    StoredFinding,
};
use tripline_core::wire::Finding;

fn fault(fault: fjall::Error) -> PortFault {
    of_database("read the store", fault)
}

fn finding(value: &[u8]) -> Result<Finding, PortFault> {
    let (_, json) = layout::read_outgoing(value)?;
    serde_json::from_slice(json).map_err(|fault| layout::damaged("a finding").because(fault))
}

impl EmbeddedStore {
    pub(super) fn read_outgoing(
        &self,
        after: Sequence,
        max: usize,
    ) -> Result<Vec<Outgoing>, PortFault> {
        self.running()?;
        let mut out = Vec::new();
        let newest = self.durable();
        if after.0 >= newest {
            return Ok(out);
        }
        let (first, last) = ((after.0 + 1).to_be_bytes(), newest.to_be_bytes());
        let mut bytes = 0;
        for entry in self.parts.outgoing.range(first..=last) {
            if out.len() >= max.min(PAGE_MAX) || bytes >= PAGE_BYTES_MAX {
                break;
            }
            let (key, value) = entry.into_inner().map_err(fault)?;
            bytes += value.len();
            out.push(Outgoing {
                number: Sequence(layout::key_number("a finding", &key)?),
                finding: finding(&value)?,
            });
        }
        Ok(out)
    }

    pub(super) fn read_finding(&self, id: &str) -> Result<Option<StoredFinding>, PortFault> {
        self.running()?;
        match is_key(id) {
            true => self.newest_version(id),
            false => Ok(None),
        }
    }

    /// The newest version of a finding, durable or not.
    pub(super) fn newest_version(&self, id: &str) -> Result<Option<StoredFinding>, PortFault> {
        let view = self.database.snapshot();
        let Some(number) = view.get(&self.parts.findings, id).map_err(fault)? else {
            return Ok(None);
        };
        let number = layout::read_number("a finding's number", &number)?;
        let value = view
            .get(&self.parts.outgoing, number.to_be_bytes())
            .map_err(fault)?
            .ok_or_else(|| layout::damaged("a finding"))?;
        Ok(Some(StoredFinding {
            number: Sequence(number),
            finding: finding(&value)?,
        }))
    }

    pub(super) fn list_findings(&self, filter: &FindingFilter) -> Result<FindingPage, PortFault> {
        self.running()?;
        let mut page = FindingPage::default();
        let end = self.durable().saturating_add(1);
        let end = filter.before.map_or(end, |before| before.0.min(end));
        let view = self.database.snapshot();
        let range = view.range(&self.parts.outgoing, ..end.to_be_bytes());
        let mut bytes = 0;
        for (looked_at, entry) in range.rev().enumerate() {
            let (key, value) = entry.into_inner().map_err(fault)?;
            let number = layout::key_number("a finding", &key)?;
            if page.found.len() >= filter.max.min(PAGE_MAX)
                || looked_at >= FINDINGS_LOOKED_AT_MAX
                || bytes >= PAGE_BYTES_MAX
            {
                page.next = Some(Sequence(number + 1));
                break;
            }
            bytes += value.len();
            let finding = finding(&value)?;
            if !filter.takes(&finding) {
                continue;
            }
            let newest = view
                .get(&self.parts.findings, &finding.finding_id)
                .map_err(fault)?
                .map(|value| layout::read_number("a finding's number", &value))
                .transpose()?;
            if newest == Some(number) {
                page.found.push(StoredFinding {
                    number: Sequence(number),
                    finding,
                });
            }
        }
        Ok(page)
    }

    pub(super) fn read_event(&self, id: &str) -> Result<Option<Vec<u8>>, PortFault> {
        self.running()?;
        if !is_key(id) {
            return Ok(None);
        }
        let Some(value) = self.parts.events.get(id).map_err(fault)? else {
            return Ok(None);
        };
        let (_, bytes) = layout::read_event(&value)?;
        Ok(Some(bytes.to_vec()))
    }

    pub(super) fn list_dead(
        &self,
        filter: &DeadFilter,
    ) -> Result<Vec<(DeadNumber, DeadLetter)>, PortFault> {
        self.running()?;
        let mut letters = Vec::new();
        let Some(first) = filter.after.0.checked_add(1) else {
            return Ok(letters);
        };
        let first = first.max(self.look_at(|state| state.dead_oldest));
        let mut bytes = 0;
        for entry in self.parts.dead.range(first.to_be_bytes()..) {
            if letters.len() >= filter.max.min(PAGE_MAX) || bytes >= PAGE_BYTES_MAX {
                break;
            }
            let (key, value) = entry.into_inner().map_err(fault)?;
            bytes += value.len();
            let (_, letter) = layout::read_dead(&value)?;
            let number = layout::key_number("a dead letter", &key)?;
            letters.push((DeadNumber(number), letter));
        }
        Ok(letters)
    }

    pub(super) fn read_dead(&self, number: DeadNumber) -> Result<Option<DeadLetter>, PortFault> {
        self.running()?;
        let key = number.0.to_be_bytes();
        let Some(value) = self.parts.dead.get(key).map_err(fault)? else {
            return Ok(None);
        };
        Ok(Some(layout::read_dead(&value)?.1))
    }
}
