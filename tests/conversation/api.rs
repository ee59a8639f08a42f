//! A small API server for conversations that a real one cannot be asked for: objects with resourceVersions, merge
//! patches, JSON Patches, `/scale`, lists, watches that tell nothing, and answers given out of turn.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub content: String,
    pub body: Value,
}

/// An answer out of turn, given once.
struct Turn {
    method: &'static str,
    path: String,
    code: u16,
    body: Value,
}

/// What a path is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub group: String,
    pub namespace: Option<String>,
    /// With its subresource.
    pub resource: String,
    /// None: all of them.
    pub name: Option<String>,
}

impl Place {
    pub fn of(path: &str) -> Option<Place> {
        let mut words = path.trim_matches('/').split('/');
        let group = if words.next()? == "api" { "" } else { words.next()? };
        words.next()?;
        let mut rest: Vec<&str> = words.collect();
        let namespace = (rest.len() > 2 && rest[0] == "namespaces").then(|| rest.drain(..2).nth(1).unwrap().to_owned());
        let resource = match rest.get(2) {
            Some(sub) => format!("{}/{sub}", rest[0]),
            None => rest.first()?.to_string(),
        };
        Some(Place { group: group.into(), namespace, resource, name: rest.get(1).map(|n| n.to_string()) })
    }

    fn holds(&self, other: &Place) -> bool {
        let here = self.namespace.is_none() || self.namespace == other.namespace;
        here && self.group == other.group && self.resource == other.resource
    }
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Value>,
    turns: Vec<Turn>,
    asked: Vec<Asked>,
    version: u64,
}

#[derive(Clone, Default)]
pub struct Api(Arc<Mutex<Inner>>);

impl Api {
    pub async fn start() -> (Api, kube::Client) {
        let (api, address) = Api::listen().await;
        let mut config = kube::Config::new(address.parse().unwrap());
        config.default_retry = false;
        (api, kube::Client::try_from(config).unwrap())
    }

    /// With the address it listens at.
    pub async fn listen() -> (Api, String) {
        let api = Api::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (api, format!("http://{address}"))
    }

    pub fn has(&self, path: &str) -> bool {
        self.0.lock().unwrap().objects.contains_key(path)
    }

    pub fn put(&self, path: &str, mut object: Value) {
        let mut inner = self.0.lock().unwrap();
        inner.version += 1;
        object["metadata"]["resourceVersion"] = json!(inner.version.to_string());
        inner.objects.insert(path.into(), object);
    }

    pub fn object(&self, path: &str) -> Value {
        self.0.lock().unwrap().objects[path].clone()
    }

    /// The next request of this method to this path gets this Status.
    pub fn next(&self, method: &'static str, path: &str, code: u16, reason: &str, message: &str, details: Value) {
        let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message, "details": details });
        self.0.lock().unwrap().turns.push(Turn { method, path: path.into(), code, body });
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap().asked.clone()
    }

    /// Every write so far.
    pub fn writes(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|a| a.method != "GET").collect()
    }
}

async fn answer(State(api): State<Api>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if uri.query().is_some_and(|q| q.contains("watch=true")) {
        return std::future::pending().await;
    }
    let mut inner = api.0.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let path = uri.path().to_string();
    let content = headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
    inner.asked.push(Asked {
        method: method.to_string(),
        path: path.clone(),
        query: uri.query().unwrap_or("").into(),
        content: content.clone(),
        body: body.clone(),
    });
    if let Some(i) = inner.turns.iter().position(|t| t.method == method.as_str() && t.path == path) {
        let turn = inner.turns.remove(i);
        return reply(turn.code, &turn.body);
    }
    let (base, scale) = match path.strip_suffix("/scale") {
        Some(base) => (base.to_string(), true),
        None => (path.clone(), false),
    };
    if method == Method::POST {
        let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
        if inner.objects.contains_key(&path) {
            return status(409, "AlreadyExists", "already there");
        }
        return store(&mut inner, &path, body);
    }
    let Some(object) = inner.objects.get(&base).cloned() else {
        return match Place::of(&path).filter(|p| method == Method::GET && p.name.is_none()) {
            Some(all) => list(&inner, &all),
            None => status(404, "NotFound", "not found"),
        };
    };
    if method == Method::DELETE {
        inner.objects.remove(&base);
        return reply(200, &json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200 }));
    }
    if method == Method::GET {
        return reply(200, &if scale { scale_of(&object) } else { object });
    }
    let wanted = body["metadata"]["resourceVersion"].as_str();
    if wanted.is_some_and(|v| v != object["metadata"]["resourceVersion"]) {
        return status(
            409,
            "Conflict",
            "the object has been modified; please apply your changes to the latest version",
        );
    }
    if method == Method::PUT {
        return store(&mut inner, &base, body);
    }
    let mut next = object;
    match content.as_str() {
        "application/json-patch+json" => {
            let patch: json_patch::Patch = serde_json::from_value(body).unwrap();
            if json_patch::patch(&mut next, &patch).is_err() {
                return status(422, "Invalid", "the server rejected our request due to an error in our request");
            }
        }
        _ => json_patch::merge(&mut next, &body),
    }
    let _ = store(&mut inner, &base, next);
    let stored = &inner.objects[&base];
    reply(200, &if scale { scale_of(stored) } else { stored.clone() })
}

fn list(inner: &Inner, all: &Place) -> Response {
    let items = inner.objects.iter().filter(|(path, _)| Place::of(path).is_some_and(|p| all.holds(&p)));
    let items: Vec<&Value> = items.map(|(_, object)| object).collect();
    reply(200, &json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items }))
}

fn store(inner: &mut Inner, path: &str, mut object: Value) -> Response {
    inner.version += 1;
    object["metadata"]["resourceVersion"] = json!(inner.version.to_string());
    inner.objects.insert(path.into(), object.clone());
    reply(200, &object)
}

fn scale_of(object: &Value) -> Value {
    json!({ "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": { "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "resourceVersion": object["metadata"]["resourceVersion"] },
        "spec": { "replicas": object["spec"]["replicas"] }, "status": { "replicas": object["spec"]["replicas"] } })
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message });
    reply(code, &body)
}

fn reply(code: u16, body: &Value) -> Response {
    (StatusCode::from_u16(code).unwrap(), [("content-type", "application/json")], body.to_string()).into_response()
}
