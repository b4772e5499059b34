//! Actions on a cluster. The cluster is a few objects behind TLS of its own authority, with what its API is strict about: the token, the
//! content type of patches, uids, names that are taken.

use super::Service;
use crate::harness::Folder;
use crate::serve::encrypted::Authority;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// Objects by their paths.
#[derive(Clone, Default)]
struct Cluster {
    objects: BTreeMap<String, Value>,
    made: u32,
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self::default();
        let all = [
            (
                "/apis/apps/v1/namespaces/shop/deployments",
                json!({"metadata": {"name": "miner", "namespace": "shop"}, "spec": {"replicas": 3}, "status": {"replicas": 3}}),
            ),
            (
                "/apis/batch/v1/namespaces/shop/cronjobs",
                json!({"metadata": {"name": "beacon", "namespace": "shop"}, "spec": {"schedule": "* * * * *", "suspend": false}}),
            ),
            (
                "/api/v1/nodes",
                json!({"metadata": {"name": "node-7"}, "spec": {"podCIDR": "10.0.7.0/24"}}),
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                json!({
                    "metadata": {"name": "helpers", "labels": {"team": "ops"}},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                    "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}]
                }),
            ),
            (
                "/api/v1/namespaces/shop/pods",
                json!({"metadata": {"name": "web-1", "namespace": "shop", "labels": {"app.kubernetes.io/name": "web"}}}),
            ),
        ];
        for (collection, object) in all {
            let (status, _) = cluster.answer("POST", collection, "", object);
            assert_eq!(status, 201);
        }
        cluster
    }

    /// What is there, without what only tells one making of an object from another.
    fn normal(&self) -> BTreeMap<String, Value> {
        let mut objects = self.objects.clone();
        for object in objects.values_mut() {
            let metadata = object["metadata"].as_object_mut().expect("an object");
            metadata.remove("uid");
        }
        objects
    }

    /// What the API leaves out when it is nothing, and what its controllers do at once.
    fn settle(object: &mut Value) {
        if object.pointer("/spec/unschedulable") == Some(&json!(false)) {
            object["spec"]
                .as_object_mut()
                .expect("an object")
                .remove("unschedulable");
        }
        if let Some(replicas) = object.pointer("/spec/replicas").cloned() {
            object["status"] = match replicas == json!(0) {
                true => json!({}),
                false => json!({ "replicas": replicas }),
            };
        }
    }

    fn answer(&mut self, method: &str, path: &str, kind: &str, body: Value) -> (u16, Value) {
        let failed = |status: u16, reason: &str| {
            (
                status,
                json!({"kind": "Status", "status": "Failure", "reason": reason, "code": status}),
            )
        };
        let there = self.objects.get(path).cloned();
        let uid = |object: &Value| object.pointer("/metadata/uid").cloned();
        match (method, there) {
            ("GET", Some(object)) => (200, object),
            ("POST", None) => {
                let name = body["metadata"]["name"].as_str().expect("a name");
                let path = format!("{path}/{name}");
                if self.objects.contains_key(&path) {
                    return failed(409, "AlreadyExists");
                }
                let mut body = body;
                self.made += 1;
                let uid = format!("00000000-0000-4000-8000-{:012}", self.made);
                body["metadata"]["uid"] = json!(uid);
                for left_out in ["apiVersion", "kind"] {
                    body.as_object_mut().expect("an object").remove(left_out);
                }
                Self::settle(&mut body);
                self.objects.insert(path, body.clone());
                (201, body)
            }
            ("PATCH", Some(_)) if kind != "application/merge-patch+json" => {
                failed(415, "UnsupportedMediaType")
            }
            ("PATCH", Some(mut object)) => {
                if uid(&body).is_some_and(|wanted| Some(wanted) != uid(&object)) {
                    return failed(409, "Conflict");
                }
                merge(&mut object, &body);
                Self::settle(&mut object);
                self.objects.insert(path.to_owned(), object.clone());
                (200, object)
            }
            ("DELETE", Some(object)) => {
                let wanted = body.pointer("/preconditions/uid").cloned();
                if wanted.is_some_and(|wanted| Some(wanted) != uid(&object)) {
                    return failed(409, "Conflict");
                }
                self.objects.remove(path);
                (200, json!({"kind": "Status", "status": "Success"}))
            }
            _ => failed(404, "NotFound"),
        }
    }
}

/// RFC 7386.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let members = object.as_object_mut().expect("an object");
    for (name, value) in patch {
        match value {
            Value::Null => {
                members.remove(name);
            }
            value => merge(members.entry(name.as_str()).or_insert(Value::Null), value),
        }
    }
}

fn serve(cluster: &Arc<Mutex<Cluster>>, certificate: &str, key: &str) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificate).expect("a file");
    let chain = chain.map(|one| one.expect("a certificate")).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).expect("a key"));
    let config = Arc::new(config.expect("a certificate and its key"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    let cluster = cluster.clone();
    // It ends with the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let stream = StreamOwned::new(connection, stream.expect("a connection"));
            // Whoever does not believe the certificate goes away in the middle.
            let _ = answer(stream, &cluster);
        }
    });
    address
}

fn answer(mut stream: impl Read + Write, cluster: &Mutex<Cluster>) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let mut found = lines.iter().filter_map(|line| line.split_once(": "));
        let found = found.find(|(one, _)| one.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut words = lines.first().map_or("", String::as_str).split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (status, said) = match header("authorization") == "Bearer t0ken" {
        false => (401, json!({"kind": "Status", "reason": "Unauthorized"})),
        true => {
            let mut cluster = cluster.lock().expect("is not poisoned");
            cluster.answer(method, path, &header("content-type"), body)
        }
    };
    let text = said.to_string();
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\naudit-id: 7d0f6a54\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )?;
    stream.flush()
}

/// What is answered by what: the resource of an event, its name, and the action.
const ANSWERS: [(&str, &str, &str); 5] = [
    ("deployments", "miner", "kubernetes.scale_to_zero"),
    ("cronjobs", "beacon", "kubernetes.suspend_cron_job"),
    ("nodes", "node-7", "kubernetes.cordon_node"),
    (
        "clusterrolebindings",
        "helpers",
        "kubernetes.delete_role_binding",
    ),
    ("pods", "web-1", "kubernetes.quarantine_pod"),
];

fn rule(resource: &str) -> String {
    format!(
        "id = \"test-changed-{resource}\"\nname = \"Somebody changed {resource}\"\ndescription = \"What the policy answers.\"\nseverity = \"high\"\n\
         status = \"test\"\nsource = \"kubernetes.audit\"\nauthors = [\"Tripline\"]\n\
         when = 'event.?objectRef.?resource.orValue(\"\") == \"{resource}\"'\n\n[finding]\ndedup_key = [\"event.auditID\"]\n"
    )
}

fn policy(resource: &str, action: &str) -> String {
    format!(
        "[remediation.{resource}]\nversion = \"1.0.0\"\ndescription = \"Answers.\"\nrunbook = \"https://runbooks.example.com/cluster\"\n\
         owner = \"platform\"\non_finding = [\"test-changed-{resource}\"]\nwhen = 'event.stage == \"ResponseComplete\"'\naction = \"{action}\"\n\n\
         [remediation.{resource}.params]\ntarget = '\"prod\"'\n\n[remediation.{resource}.stage]\nmode = \"auto\"\n\n\
         [remediation.{resource}.limits]\nper_policy = {{ max = 5, window = \"10m\" }}\nper_account = {{ max = 20, window = \"10m\" }}\n"
    )
}

fn event(number: usize, resource: &str, name: &str, code: u16) -> String {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventTime": jiff::Timestamp::now().to_string(),
        "stage": "ResponseComplete",
        "verb": "patch",
        "user": {"username": "mallory"},
        "objectRef": {"resource": resource, "name": name},
        "responseStatus": {"code": code},
    });
    if !["nodes", "clusterrolebindings"].contains(&resource) {
        event["objectRef"]["namespace"] = json!("shop");
    }
    event.to_string()
}

#[test]
fn a_cluster_is_acted_on_and_is_as_before_when_that_is_taken_back() {
    let folder = Folder::new("remediation-cluster");
    let path = folder.path();
    let authority = Authority::new(&folder, "cluster-ca");
    let (certificate, key) = authority.sign("cluster", "localhost", false);
    let cluster = Arc::new(Mutex::new(Cluster::new()));
    let port = serve(&cluster, &certificate, &key).port();
    for (resource, _, action) in ANSWERS {
        folder.file(&format!("rules/{resource}.toml"), rule(resource));
        folder.file(
            &format!("policies/{resource}.toml"),
            policy(resource, action),
        );
    }
    folder.file("cluster.token", "t0ken\n");
    let allowed: Vec<String> = [
        "/apis/apps/v1/namespaces/*/deployments/*",
        "/apis/batch/v1/namespaces/*/cronjobs/*",
        "/api/v1/nodes/*",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/*",
        "/api/v1/namespaces/*/pods/*",
        "/apis/networking.k8s.io/v1/namespaces/*/networkpolicies",
        "/apis/networking.k8s.io/v1/namespaces/*/networkpolicies/*",
    ]
    .iter()
    .flat_map(|path| {
        ["GET", "POST", "PATCH", "DELETE"].map(|method| format!("\"{method} {path}\""))
    })
    .collect();
    let allowed = allowed.join(", ");
    let config = |ca: &str| {
        format!(
            "data = \"{path}/data\"\nrules.paths = [\"{path}/rules\"]\nhttp.listen = \"127.0.0.1:0\"\nengine.commit_every = \"20ms\"\n\
             [sinks.file]\ntype = \"file\"\npath = \"{path}/findings.jsonl\"\n\
             [remediation]\nenabled = true\npolicies = [\"{path}/policies\"]\nendpoint = \"http://127.0.0.1:9\"\n\
             [remediation.http.prod]\nurl = \"https://localhost:{port}\"\nprefix = \"Bearer \"\nsecret_file = \"{path}/cluster.token\"\n{ca}\
             allow = [{allowed}]\n"
        )
    };
    let ca = format!("ca_file = \"{}\"\n", authority.file);

    // Nobody vouches for the cluster: nothing is asked of it and nothing is done.
    folder.file("tripline.toml", config(""));
    let before = cluster.lock().expect("is not poisoned").normal();
    let service = Service::start_in(&path, "AKIDEXAMPLE", "secret");
    service.publish(&[event(1, "nodes", "node-7", 200)]);
    service.wait_until("it is told why nothing can be asked of the cluster", || {
        let newest = service.newest("nodes");
        newest.is_some_and(|one| {
            let reason = one["reason"].as_str().unwrap_or_default();
            one["state"] == "proposed" && reason.contains("certificate")
        })
    });
    drop(service);
    assert_eq!(cluster.lock().expect("is not poisoned").normal(), before);

    folder.file("tripline.toml", config(&ca));
    let service = Service::start_in(&path, "AKIDEXAMPLE", "secret");
    // What failed is no state of the cluster.
    service.publish(&[event(2, "pods", "web-1", 403)]);
    let events: Vec<String> = ANSWERS
        .iter()
        .enumerate()
        .map(|(number, (resource, name, _))| event(10 + number, resource, name, 200))
        .collect();
    service.publish(&events);
    let ids: Vec<String> = ANSWERS
        .iter()
        .map(|(resource, ..)| service.wait_for(resource, "succeeded"))
        .collect();
    let after = cluster.lock().expect("is not poisoned").normal();
    let at = |path: &str, pointer: &str| after[path].pointer(pointer).cloned();
    let deployment = "/apis/apps/v1/namespaces/shop/deployments/miner";
    assert_eq!(at(deployment, "/spec/replicas"), Some(json!(0)));
    let job = "/apis/batch/v1/namespaces/shop/cronjobs/beacon";
    assert_eq!(at(job, "/spec/suspend"), Some(json!(true)));
    assert_eq!(
        at("/api/v1/nodes/node-7", "/spec/unschedulable"),
        Some(json!(true))
    );
    let binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/helpers";
    assert!(!after.contains_key(binding));
    let cut_off = json!({ "tripline-quarantine": ids[4] });
    let pod = "/api/v1/namespaces/shop/pods/web-1";
    assert_eq!(at(pod, "/metadata/labels"), Some(cut_off.clone()));
    let policy = format!(
        "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/tripline-{}",
        ids[4]
    );
    assert_eq!(at(&policy, "/spec/podSelector/matchLabels"), Some(cut_off));
    for id in &ids {
        let said = json!({ "by": "ops", "reason": "it was a drill" }).to_string();
        let (status, text) = service
            .post(&format!("/v1/remediation/actions/{id}/revert"), said)
            .expect("it answers");
        assert_eq!(status, 200, "{text}");
        service.wait_state(id, "reverted");
    }
    assert_eq!(cluster.lock().expect("is not poisoned").normal(), before);
}
