//! Parameters of a request's query.

/// Names and values, decoded, in order.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`.
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of that name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All values of that name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The first value of that name, or what to tell the client.
    pub(super) fn needed(&self, name: &str) -> Result<&str, String> {
        self.value(name).ok_or_else(|| format!("the query lacks {name}="))
    }
}
