//! Label selectors, with the semantics of Kubernetes.

use serde_json::Value;

/// Whether `selector` (a LabelSelector) selects an object with these labels; an empty one selects everything.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.into_iter().all(|(key, value)| label(key) == value.as_str())
        && expressions.into_iter().all(|one| holds(one, label))
}

fn holds<'a>(expression: &Value, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let has = label(expression["key"].as_str().unwrap_or_default());
    let is_listed = || expression["values"].as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == has));
    match expression["operator"].as_str() {
        Some("In") => has.is_some() && is_listed(),
        Some("NotIn") => has.is_none() || !is_listed(),
        Some("Exists") => has.is_some(),
        Some("DoesNotExist") => has.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
