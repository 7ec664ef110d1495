//! The JSON echo of a request, spelled as httpbin spells it: keys in alphabetical order, header names capitalised.
//!
//! Called by [`crate::httpbin`], which decides which path gets which shape.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HOST, HeaderMap};
use http::{Method, Request};
use serde_json::{Map, Value, json};

/// What is known of a request before its body.
pub struct Echo {
    method: Method,
    args: Value,
    headers: Value,
    content_type: String,
    origin: String,
    url: String,
}

impl Echo {
    /// Takes everything but the body from `request`.
    pub fn head<B>(request: &Request<B>, peer: SocketAddr, scheme: &str) -> Self {
        let headers = request.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(HOST.as_str()).unwrap_or_default();
        let scheme = text("x-forwarded-proto").unwrap_or(scheme);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        Self {
            method: request.method().clone(),
            args: pairs(request.uri().query().unwrap_or_default().as_bytes()),
            headers: capitalised(headers),
            content_type: text(CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase(),
            origin: text("x-forwarded-for").map_or_else(|| peer.ip().to_canonical().to_string(), str::to_owned),
            url: format!("{scheme}://{host}{path}"),
        }
    }

    /// The shape of /get.
    pub fn get(self) -> Value {
        json!({"args": self.args, "headers": self.headers, "origin": self.origin, "url": self.url})
    }

    /// The shape of /headers.
    pub fn headers_only(self) -> Value {
        json!({"headers": self.headers})
    }

    /// The shape of /ip.
    pub fn origin_only(self) -> Value {
        json!({"origin": self.origin})
    }

    /// The shape of /post and its siblings, and of /delay.
    pub fn full(self, body: &[u8]) -> Value {
        let Body { data, form, json } = Body::parse(&self.content_type, body);
        json!({
            "args": self.args, "data": data, "files": {}, "form": form, "headers": self.headers, "json": json,
            "origin": self.origin, "url": self.url,
        })
    }

    /// The shape of /anything.
    pub fn anything(self, body: &[u8]) -> Value {
        let Body { data, form, json } = Body::parse(&self.content_type, body);
        json!({
            "args": self.args, "data": data, "files": {}, "form": form, "headers": self.headers, "json": json,
            "method": self.method.as_str(), "origin": self.origin, "url": self.url,
        })
    }
}

struct Body {
    data: String,
    form: Value,
    json: Value,
}

impl Body {
    fn parse(content_type: &str, body: &[u8]) -> Self {
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return Self { data: String::new(), form: pairs(body), json: Value::Null };
        }
        let data = match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("data:application/octet-stream;base64,{}", STANDARD.encode(body)),
        };
        let json = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self { data, form: Value::Object(Map::new()), json }
    }
}

/// URL-encoded pairs as an object; a key that comes several times gets a list.
fn pairs(encoded: &[u8]) -> Value {
    let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, value) in form_urlencoded::parse(encoded) {
        lists.entry(key.into_owned()).or_default().push(Value::from(value.into_owned()));
    }
    lists
        .into_iter()
        .map(|(key, mut values)| (key, if values.len() == 1 { values.remove(0) } else { Value::Array(values) }))
        .collect()
}

fn capitalised(headers: &HeaderMap) -> Value {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        lines
            .entry(capitalise(name.as_str()))
            .and_modify(|line| {
                line.push(',');
                line.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    lines.into_iter().map(|(name, value)| (name, Value::from(value))).collect()
}

/// `x-request-id` becomes `X-Request-Id`.
fn capitalise(name: &str) -> String {
    let mut at_start = true;
    name.chars()
        .map(|character| {
            let printed = if at_start { character.to_ascii_uppercase() } else { character };
            at_start = character == '-';
            printed
        })
        .collect()
}

#[cfg(test)]
mod tests;
