//! Answers that come in pages.
//!
//! What is not on the first page is there nevertheless: a check that a policy is gone must look at all of them.

use super::operation::Operation;
use serde_json::{Map, Value};

/// The parameters that ask for what follows an answer; none when it was all. A service that gives the mark back that it
/// was asked with would go on for ever, and is taken to be done.
pub fn next_page(
    operation: &Operation,
    parameters: &Map<String, Value>,
    answer: &Value,
) -> Option<Map<String, Value>> {
    let pages = operation.pages.as_ref()?;
    let mark = answer.get(pages.output)?;
    let is_mark = mark.as_str().is_some_and(|mark| !mark.is_empty());
    if !is_mark || parameters.get(pages.input) == Some(mark) {
        return None;
    }
    let mut next = parameters.clone();
    next.insert(pages.input.to_owned(), mark.clone());
    Some(next)
}

/// Puts a page behind those before it.
pub fn join_page(operation: &Operation, before: &mut Value, mut page: Value) {
    let lists = operation.pages.iter().flat_map(|pages| &pages.lists);
    for name in lists {
        let Some(Value::Array(first)) = before.get_mut(*name).map(Value::take) else {
            continue;
        };
        let mut all = first;
        if let Some(Value::Array(more)) = page.get_mut(*name) {
            all.append(more);
        }
        if let Value::Object(page) = &mut page {
            page.insert((*name).to_owned(), Value::Array(all));
        }
    }
    *before = page;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::operation::{operation, operations};
    use serde_json::json;

    #[test]
    fn every_answer_that_can_be_cut_says_how_to_go_on() {
        for operation in operations().filter(|operation| operation.is_read) {
            let kind = operation.output;
            let members = kind.map_or(&[][..], |kind| operation.service.members(kind));
            let is_mark =
                |name: &str| ["NextToken", "nextToken", "Marker", "NextMarker"].contains(&name);
            let is_cut = members.iter().any(|member| is_mark(member.name));
            assert_eq!(operation.pages.is_some(), is_cut, "{}", operation.name);
            for list in operation.pages.iter().flat_map(|pages| &pages.lists) {
                assert!(members.iter().any(|member| member.name == *list), "{list}");
            }
        }
    }

    #[test]
    fn pages_are_joined_until_there_is_no_mark() {
        let operation = operation("iam.ListAttachedUserPolicies").unwrap();
        let Value::Object(parameters) = json!({"UserName": "a"}) else {
            panic!("it is an object");
        };
        let mut all = json!({"AttachedPolicies": [1], "IsTruncated": true, "Marker": "m"});
        let next = next_page(operation, &parameters, &all).unwrap();
        assert_eq!(
            Value::Object(next.clone()),
            json!({"UserName": "a", "Marker": "m"})
        );
        assert!(next_page(operation, &next, &all).is_none());
        join_page(
            operation,
            &mut all,
            json!({"AttachedPolicies": [2], "IsTruncated": false}),
        );
        assert_eq!(
            all,
            json!({"AttachedPolicies": [1, 2], "IsTruncated": false})
        );
        assert!(next_page(operation, &next, &all).is_none());
    }
}
