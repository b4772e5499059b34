//! What is done in a Kubernetes cluster: workloads and jobs are stopped, nodes are closed, bindings of roles are removed, pods are cut off.
//!
//! A cluster is a target of the service's configuration, as it is for `http.request`: what may be sent there is the operator's to say.
//! Fields are set by merge patches, so that nothing else changes, and what is deleted is named with its uid, so that another one of its
//! name is left alone.

use super::building::{change, check, codes, is, picked, step};
use super::events::Event;
use super::http::REQUEST;
use super::reading::{look, text};
use super::recipe::{
    About, Asked, Context, Draft, Drafted, Kind, Parameter, Recipe, by_policy, nothing, optional,
    required,
};
use super::{PlanFault, Reads, naming};
use crate::plan::{Call, Check, Class, Risk, Step};
use serde_json::{Map, Value, json};

const TARGET: Parameter = by_policy(
    "target",
    Kind::Text,
    "the cluster, by its name among the targets in the service's configuration",
);
const NAMESPACE: Parameter = required("namespace", Kind::Text, "its namespace");
const NAME: Parameter = required("name", Kind::Text, "its name");

/// What the actions of one field share.
const fn setting(
    name: &'static str,
    about: &'static str,
    kind: &'static str,
    parameters: &'static [Parameter],
) -> Recipe {
    Recipe {
        name,
        about,
        risk: Risk::Medium,
        kind,
        is_containment: true,
        is_rolled_back: false,
        triggers: &[],
        makes: &[],
        operations: REQUEST.operations,
        parameters,
        from_event: |_| Ok(Map::new()),
        subject: |_| Err(PlanFault::Lacks("what it is about".to_owned())),
        plan: |_, _| nothing(""),
    }
}

pub(super) const SCALE_TO_ZERO: Recipe = Recipe {
    from_event: |event| of_object(event, WORKLOADS, "workload"),
    subject: |asked| workload(asked)?.about(asked, json!({"replicas": "some"})),
    plan: |context, reads| {
        let asked = context.asked()?;
        let object = workload(&asked)?;
        let field = Field {
            pointer: "/spec/replicas",
            wanted: json!(0),
            without: json!(1),
            did: "scale to zero",
        };
        // A number of pods that are there is left out when it is none.
        let are_gone = is("/body/status/replicas", Value::Null);
        set(&asked, reads, &object, &field, vec![are_gone])
    },
    ..setting(
        "kubernetes.scale_to_zero",
        "Scales a deployment, stateful set or replica set to no pods.",
        "kubernetes.workload",
        &[
            TARGET,
            required(
                "kind",
                Kind::Text,
                "deployments, statefulsets or replicasets",
            ),
            NAMESPACE,
            NAME,
        ],
    )
};

pub(super) const SUSPEND_CRON_JOB: Recipe = Recipe {
    from_event: |event| of_object(event, &["cronjobs"], "cron job"),
    subject: |asked| cron_job(asked)?.about(asked, json!({"suspend": false})),
    plan: |context, reads| {
        let asked = context.asked()?;
        let object = cron_job(&asked)?;
        let field = Field {
            pointer: "/spec/suspend",
            wanted: json!(true),
            without: json!(false),
            did: "suspend",
        };
        set(&asked, reads, &object, &field, Vec::new())
    },
    ..setting(
        "kubernetes.suspend_cron_job",
        "Suspends a cron job. Jobs of it that run go on.",
        "kubernetes.cron_job",
        &[TARGET, NAMESPACE, NAME],
    )
};

pub(super) const CORDON_NODE: Recipe = Recipe {
    from_event: |event| of_object(event, &["nodes"], "node"),
    subject: |asked| node(asked)?.about(asked, json!({"unschedulable": false})),
    plan: |context, reads| {
        let asked = context.asked()?;
        let object = node(&asked)?;
        let field = Field {
            pointer: "/spec/unschedulable",
            wanted: json!(true),
            without: json!(false),
            did: "cordon",
        };
        set(&asked, reads, &object, &field, Vec::new())
    },
    ..setting(
        "kubernetes.cordon_node",
        "Keeps new pods off a node. Pods on it go on.",
        "kubernetes.node",
        &[TARGET, NAME],
    )
};

pub(super) const DELETE_ROLE_BINDING: Recipe = Recipe {
    from_event: |event| of_object(event, BINDINGS, "binding of a role"),
    subject: |asked| binding(asked)?.about(asked, json!({"bound": true})),
    plan: delete_binding,
    ..setting(
        "kubernetes.delete_role_binding",
        "Deletes a binding of a role, or of a cluster role when no namespace is given.",
        "kubernetes.role_binding",
        &[
            TARGET,
            optional(
                "namespace",
                Kind::Text,
                "its namespace; without one it is of the whole cluster",
            ),
            NAME,
        ],
    )
};

pub(super) const QUARANTINE_POD: Recipe = Recipe {
    from_event: |event| of_object(event, &["pods"], "pod"),
    subject: |asked| pod(asked)?.about(asked, json!({"reachable": true})),
    plan: quarantine,
    ..setting(
        "kubernetes.quarantine_pod",
        "Takes a pod's labels away, so that it serves nobody and is replaced, and cuts it off by a network policy.",
        "kubernetes.pod",
        &[TARGET, NAMESPACE, NAME],
    )
};

const WORKLOADS: &[&str] = &["deployments", "statefulsets", "replicasets"];
const BINDINGS: &[&str] = &["rolebindings", "clusterrolebindings"];

/// The label of a pod that is cut off; its value is the action.
const QUARANTINE: &str = "tripline-quarantine";

/// The content type of a merge patch, RFC 7386.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// An object of a cluster.
struct Object<'a> {
    /// Before namespaces, as `/apis/apps/v1`.
    group: &'static str,
    resource: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl Object<'_> {
    fn collection(&self) -> String {
        let (group, resource) = (self.group, self.resource);
        match self.namespace {
            Some(namespace) => format!("{group}/namespaces/{namespace}/{resource}"),
            None => format!("{group}/{resource}"),
        }
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    /// For people.
    fn shown(&self) -> String {
        match self.namespace {
            Some(namespace) => format!("{}/{} in {namespace}", self.resource, self.name),
            None => format!("{}/{}", self.resource, self.name),
        }
    }

    fn about(&self, asked: &Asked<'_>, bad: Value) -> Result<About, PlanFault> {
        let target = target(asked)?;
        let namespace = self.namespace.unwrap_or_default();
        let urn = format!(
            "urn:kubernetes:{target}:{namespace}:{}/{}",
            self.resource, self.name
        );
        Ok(About::global(naming::plain_name(&urn)?.to_owned(), bad))
    }
}

fn target<'a>(asked: &Asked<'a>) -> Result<&'a str, PlanFault> {
    naming::plain_name(asked.text("target")?)
}

/// A name that is one part of a path. Names of roles and their bindings may have colons and capitals, others have neither.
fn part<'a>(asked: &Asked<'a>, name: &str) -> Result<&'a str, PlanFault> {
    let text = naming::plain_name(asked.text(name)?)?;
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    match text.bytes().all(is_one) && text != "." && text.len() <= 253 {
        true => Ok(text),
        false => Err(PlanFault::Refused(format!(
            "{} is no name in a cluster",
            naming::shown(text)
        ))),
    }
}

fn workload<'a>(asked: &Asked<'a>) -> Result<Object<'a>, PlanFault> {
    let kind = asked.text("kind")?;
    if !WORKLOADS.contains(&kind) {
        return Err(PlanFault::Refused(format!(
            "the parameter kind is {}, and none of {}",
            naming::shown(kind),
            WORKLOADS.join(", ")
        )));
    }
    Ok(Object {
        group: "/apis/apps/v1",
        resource: kind,
        namespace: Some(part(asked, "namespace")?),
        name: part(asked, "name")?,
    })
}

fn cron_job<'a>(asked: &Asked<'a>) -> Result<Object<'a>, PlanFault> {
    Ok(Object {
        group: "/apis/batch/v1",
        resource: "cronjobs",
        namespace: Some(part(asked, "namespace")?),
        name: part(asked, "name")?,
    })
}

fn node<'a>(asked: &Asked<'a>) -> Result<Object<'a>, PlanFault> {
    Ok(Object {
        group: "/api/v1",
        resource: "nodes",
        namespace: None,
        name: part(asked, "name")?,
    })
}

fn pod<'a>(asked: &Asked<'a>) -> Result<Object<'a>, PlanFault> {
    Ok(Object {
        group: "/api/v1",
        resource: "pods",
        namespace: Some(part(asked, "namespace")?),
        name: part(asked, "name")?,
    })
}

fn binding<'a>(asked: &Asked<'a>) -> Result<Object<'a>, PlanFault> {
    let name = part(asked, "name")?;
    // What the cluster makes itself, and works by.
    if name.starts_with("system:") || name == "cluster-admin" {
        return Err(PlanFault::Refused(format!(
            "{} is a binding of the cluster's own",
            naming::shown(name)
        )));
    }
    let namespace = match asked.optional("namespace") {
        Some(_) => Some(part(asked, "namespace")?),
        None => None,
    };
    Ok(Object {
        group: "/apis/rbac.authorization.k8s.io/v1",
        resource: if namespace.is_some() {
            "rolebindings"
        } else {
            "clusterrolebindings"
        },
        namespace,
        name,
    })
}

/// What an event of the cluster's audit log says, if it is about such an object.
fn of_object(
    event: &Event<'_>,
    resources: &[&str],
    what: &str,
) -> Result<Map<String, Value>, PlanFault> {
    let failed = event
        .at("/responseStatus/code")
        .and_then(Value::as_i64)
        .filter(|code| *code >= 400);
    if let Some(code) = failed {
        return Err(PlanFault::Refused(format!("the event failed with {code}")));
    }
    let mut said = Map::new();
    let Some(resource) = event.text("/objectRef/resource") else {
        // Another event: the policy says what it is about.
        return Ok(said);
    };
    if !resources.contains(&resource) {
        return Err(PlanFault::Refused(format!(
            "{} is no {what}",
            naming::shown(resource)
        )));
    }
    if resources == WORKLOADS {
        said.insert("kind".to_owned(), json!(resource));
    }
    for name in ["namespace", "name"] {
        if let Some(text) = event.text(&format!("/objectRef/{name}")) {
            said.insert(name.to_owned(), json!(text));
        }
    }
    if resource == "nodes" || resource == "clusterrolebindings" {
        said.remove("namespace");
    }
    Ok(said)
}

fn read(asked: &Asked<'_>, path: &str) -> Result<Call, PlanFault> {
    let parameters = json!({"target": target(asked)?, "path": path});
    Ok(asked.call("http.read", parameters))
}

fn send(
    asked: &Asked<'_>,
    method: &str,
    path: &str,
    body: Value,
    content_type: &str,
) -> Result<Call, PlanFault> {
    let mut parameters = json!({
        "target": target(asked)?,
        "method": method,
        "path": path,
        "body": body,
    });
    if !content_type.is_empty() {
        parameters["content_type"] = json!(content_type);
    }
    Ok(asked.call("http.request", parameters))
}

fn patch(asked: &Asked<'_>, object: &Object<'_>, body: Value) -> Result<Call, PlanFault> {
    send(asked, "PATCH", &object.path(), body, MERGE_PATCH)
}

/// What an object is now.
fn seen(
    asked: &Asked<'_>,
    reads: &mut dyn Reads,
    object: &Object<'_>,
) -> Result<(Call, Option<Value>), PlanFault> {
    let question = read(asked, &object.path())?;
    let answer = look(reads, &question, &["404"])?;
    let body = answer.and_then(|answer| answer.get("body").cloned());
    if let Some(body) = &body
        && text(body, "/metadata/uid").is_empty()
    {
        let why = "the answer is no object of a cluster: it has no /metadata/uid".to_owned();
        return Err(PlanFault::Read(question.operation, why));
    }
    Ok((question, body))
}

fn is_same(question: &Call, body: &Value, more: Vec<crate::plan::Expect>) -> Check {
    let mut expect = vec![is("/body/metadata/uid", body["metadata"]["uid"].clone())];
    expect.extend(more);
    check(question, expect)
}

/// A field of an object, and what it is to be.
struct Field {
    /// A JSON pointer into the object.
    pointer: &'static str,
    wanted: Value,
    /// What it means that it is not there.
    without: Value,
    did: &'static str,
}

impl Field {
    /// A merge patch that sets it, of the object of a uid alone.
    fn patch(&self, body: &Value, value: &Value) -> Value {
        let mut patch = value.clone();
        for part in self.pointer.rsplit('/').filter(|part| !part.is_empty()) {
            patch = json!({ part: patch });
        }
        patch["metadata"] = json!({"uid": body["metadata"]["uid"]});
        patch
    }
}

/// Sets a field, and sets it back to what it was.
fn set(
    asked: &Asked<'_>,
    reads: &mut dyn Reads,
    object: &Object<'_>,
    field: &Field,
    more: Vec<crate::plan::Expect>,
) -> Result<Drafted, PlanFault> {
    let (question, body) = seen(asked, reads, object)?;
    let Some(body) = body else {
        return nothing("it is not there any more");
    };
    let there = body.pointer(field.pointer).cloned().unwrap_or(Value::Null);
    let before = match there.is_null() {
        true => field.without.clone(),
        false => there.clone(),
    };
    if before == field.wanted {
        return nothing("it is so already");
    }
    let pointer = format!("/body{}", field.pointer);
    let shown = object.shown();
    let call = patch(asked, object, field.patch(&body, &field.wanted))?;
    let mut one = step("set", format!("{} {shown}", field.did), Class::Set, call);
    let call = patch(asked, object, field.patch(&body, &before))?;
    let back = format!("set {} of {shown} to {before}", &field.pointer[1..]);
    one.inverse.push(step("set_back", back, Class::Set, call));
    let mut done = vec![is(&pointer, field.wanted.clone())];
    done.extend(more);
    Ok(Drafted::Draft(Draft {
        summary: format!("{} {shown} at {}", field.did, target(asked)?),
        diff: vec![change(
            field.pointer[1..].replace('/', "."),
            before,
            field.wanted.clone(),
        )],
        preconditions: vec![is_same(&question, &body, vec![is(&pointer, there)])],
        steps: vec![one],
        verify: vec![is_same(&question, &body, done)],
    }))
}

/// A request that deletes an object of a uid, and no other of its name.
fn delete(
    asked: &Asked<'_>,
    object: &Object<'_>,
    body: &Value,
    id: &str,
) -> Result<Step, PlanFault> {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": body["metadata"]["uid"]},
    });
    let call = send(asked, "DELETE", &object.path(), options, "")?;
    Ok(Step {
        done_codes: codes(&["404"]),
        ..step(
            id,
            format!("delete {}", object.shown()),
            Class::Remove,
            call,
        )
    })
}

fn delete_binding(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let object = binding(&asked)?;
    let (question, body) = seen(&asked, reads, &object)?;
    let Some(body) = body else {
        return nothing("it is not there any more");
    };
    let (role, subjects) = (body["roleRef"].clone(), body["subjects"].clone());
    let mut again = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": if object.namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" },
        "metadata": picked(
            &body["metadata"],
            &["name", "namespace", "labels", "annotations"],
        ),
        "roleRef": role,
    });
    if !subjects.is_null() {
        again["subjects"] = subjects.clone();
    }
    let is_there = vec![
        is("/body/roleRef", role.clone()),
        is("/body/subjects", subjects.clone()),
    ];
    let call = send(&asked, "POST", &object.collection(), again, "")?;
    let mut one = delete(&asked, &object, &body, "delete")?;
    one.inverse.push(Step {
        probe: Some(check(&question, is_there.clone())),
        ..step(
            "create",
            format!("make {} again", object.shown()),
            Class::Create,
            call,
        )
    });
    Ok(Drafted::Draft(Draft {
        summary: format!(
            "delete {} at {}: {} {} of {}",
            object.shown(),
            target(&asked)?,
            text(&body, "/roleRef/kind"),
            text(&body, "/roleRef/name"),
            naming::line(&subjects.to_string()),
        ),
        diff: vec![change(
            object.shown(),
            json!({"roleRef": role, "subjects": subjects}),
            Value::Null,
        )],
        preconditions: vec![is_same(&question, &body, is_there)],
        steps: vec![one],
        verify: vec![check(&question, vec![super::building::refused(&["404"])])],
    }))
}

fn quarantine(context: &Context<'_>, reads: &mut dyn Reads) -> Result<Drafted, PlanFault> {
    let asked = context.asked()?;
    let object = pod(&asked)?;
    let (question, body) = seen(&asked, reads, &object)?;
    let Some(body) = body else {
        return nothing("it is not there any more");
    };
    let labels = body["metadata"]["labels"].clone();
    let labels = labels.as_object().cloned().unwrap_or_default();
    if labels.contains_key(QUARANTINE) {
        return nothing("it is cut off already");
    }
    let id = context.action_id;
    let name = format!("tripline-{id}");
    let policy = Object {
        group: "/apis/networking.k8s.io/v1",
        resource: "networkpolicies",
        namespace: object.namespace,
        name: &name,
    };
    let spec = json!({
        "podSelector": {"matchLabels": {QUARANTINE: id}},
        "policyTypes": ["Ingress", "Egress"],
    });
    let made = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": object.namespace},
        "spec": spec,
    });
    let policy_read = read(&asked, &policy.path())?;
    let is_made = check(&policy_read, vec![is("/body/spec", spec.clone())]);
    let call = send(&asked, "POST", &policy.collection(), made, "")?;
    let mut cut = Step {
        probe: Some(is_made.clone()),
        ..step(
            "cut_off",
            format!("make {}, which lets nothing in or out", policy.shown()),
            Class::Create,
            call,
        )
    };
    let call = send(&asked, "DELETE", &policy.path(), json!({}), "")?;
    cut.inverse.push(Step {
        done_codes: codes(&["404"]),
        ..step(
            "let_in",
            format!("delete {}", policy.shown()),
            Class::Remove,
            call,
        )
    });
    let uid = &body["metadata"]["uid"];
    let mut new: Map<String, Value> = labels
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    new.insert(QUARANTINE.to_owned(), json!(id));
    let mut old = labels.clone();
    old.insert(QUARANTINE.to_owned(), Value::Null);
    let labelled =
        |labels: &Map<String, Value>| json!({"metadata": {"uid": uid, "labels": labels}});
    let call = patch(&asked, &object, labelled(&new))?;
    let mut label = step(
        "label",
        format!("take the labels of {} away", object.shown()),
        Class::Set,
        call,
    );
    let call = patch(&asked, &object, labelled(&old))?;
    label.inverse.push(Step {
        // A pod that is gone has been replaced, and is not missed.
        done_codes: codes(&["404"]),
        ..step(
            "label_back",
            format!("give {} its labels back", object.shown()),
            Class::Set,
            call,
        )
    });
    let cut_off = json!({QUARANTINE: id});
    let gone = labels.keys().map(|name| {
        let name = name.replace('~', "~0").replace('/', "~1");
        is(&format!("/body/metadata/labels/{name}"), Value::Null)
    });
    let is_bare = [is("/body/metadata/labels", cut_off.clone())];
    let is_bare = is_bare.into_iter().chain(gone).collect();
    Ok(Drafted::Draft(Draft {
        summary: format!("cut {} off at {}", object.shown(), target(&asked)?),
        diff: vec![
            change("metadata.labels", json!(labels), cut_off),
            change(policy.shown(), Value::Null, spec),
        ],
        preconditions: vec![is_same(
            &question,
            &body,
            vec![is("/body/metadata/labels", json!(labels))],
        )],
        steps: vec![cut, label],
        verify: vec![is_same(&question, &body, is_bare), is_made],
    }))
}
