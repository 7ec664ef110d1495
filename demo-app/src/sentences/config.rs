//! The environment of the sentences application, read once and checked.
//!
//! The variables and their defaults are those of the exercises' image; LISTEN, SENTENCE_HTTP10, SENTENCE_FULL_STOP,
//! SENTENCE_SVC_TIMEOUT and SENTENCE_HTTPBIN_URL are ours. An empty variable counts as not set.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::client::{ClientError, Target};

/// A variable that holds something unusable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text does not parse.
    #[error("{name}={value:?} is not {expected}")]
    Value {
        /// The variable.
        name: &'static str,
        /// Its text.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A lower bound above its upper bound.
    #[error("{min} is larger than {max}: swap them or set both")]
    Bounds {
        /// The variable with the lower bound.
        min: &'static str,
        /// The variable with the upper bound.
        max: &'static str,
    },
    /// A URL that cannot be asked.
    #[error("{name}: {source}")]
    Url {
        /// The variable.
        name: &'static str,
        /// What is wrong with the URL.
        source: ClientError,
    },
}

/// What a process of the application does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Asks name and age and makes a sentence of them.
    Sentence,
    /// Gives a name.
    Name,
    /// Gives an age.
    Age,
    /// Gives a number from 0 to 10000, slowly to callers without good credentials.
    Random,
    /// Asks httpbin and gives its text.
    Api,
}

impl Role {
    /// The name as SENTENCE_MODE, the logs and the metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sentence => "sentence",
            Self::Name => "name",
            Self::Age => "age",
            Self::Random => "random",
            Self::Api => "api",
        }
    }

    fn from_mode(mode: &str) -> Option<Self> {
        [Self::Sentence, Self::Name, Self::Age, Self::Random, Self::Api].into_iter().find(|role| role.name() == mode)
    }
}

/// The form of the answers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HTTP/1.1 with Content-Length and reusable connections.
    Http11,
    /// HTTP/1.0, the body ends when the connection does.
    Http10,
}

/// Where age and name get their number from, when not from their own dice.
#[derive(Debug)]
pub struct RandomSource {
    /// The URL asked normally.
    pub url: Target,
    /// The URL asked instead, with this probability per call.
    pub alternative: Option<(Target, f64)>,
}

/// The checked configuration.
#[derive(Debug)]
pub struct Config {
    /// `None`: SENTENCE_MODE names no role.
    pub role: Option<Role>,
    /// Address of both sockets; `None` = all addresses of both families.
    pub listen: Option<IpAddr>,
    /// Port of the API.
    pub port: u16,
    /// Port of the metrics.
    pub metrics_port: u16,
    /// The form of the answers on the wire.
    pub form: Form,
    /// Ages, both ends included.
    pub ages: RangeInclusive<i64>,
    /// The names to choose from, at least one.
    pub names: Vec<String>,
    /// Bounds of the delay before an answer, in seconds.
    pub delay_seconds: (f64, f64),
    /// Limit of the calls to name, age and random.
    pub call_timeout: Duration,
    /// The age service.
    pub age_url: Target,
    /// The name service.
    pub name_url: Target,
    /// The service that gives numbers to age and name.
    pub random: Option<RandomSource>,
    /// How often the sentence role sends the wrong Authorization.
    pub auth_bug_probability: f64,
    /// The api service, when the sentence role shall ask it too.
    pub api_url: Option<Target>,
    /// What the api role asks.
    pub httpbin_url: Target,
    /// Whether sentences end with a full stop (the training edition's image).
    pub full_stop: bool,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable that is not usable.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the variables through `lookup`.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable that is not usable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let env = Env { lookup };
        let (age_min, age_max) = env.bounds("SENTENCE_AGE_MIN", 0, "SENTENCE_AGE_MAX", 100, "a whole number")?;
        let seconds = "a number of seconds";
        let delay_seconds = env.bounds("SENTENCE_SVC_DELAY_MIN", 0.0, "SENTENCE_SVC_DELAY_MAX", 0.0, seconds)?;
        let asks_api = env.text("API_SWITCH").as_deref() == Some("true");
        Ok(Self {
            role: Role::from_mode(env.text("SENTENCE_MODE").as_deref().unwrap_or("age")),
            listen: env
                .text("LISTEN")
                .map(|_| env.parse("LISTEN", IpAddr::from([0; 4]), "an IP address"))
                .transpose()?,
            port: env.parse("SVC_PORT", 5000, "a port number")?,
            metrics_port: env.parse("SVC_METRICS_PORT", 8000, "a port number")?,
            form: if env.parse("SENTENCE_HTTP10", false, "true or false")? { Form::Http10 } else { Form::Http11 },
            ages: age_min..=age_max,
            names: env
                .text("SENTENCE_NAMES")
                .unwrap_or_else(|| "Peter,Ray,Egon".to_owned())
                .split(',')
                .map(str::to_owned)
                .collect(),
            delay_seconds,
            call_timeout: Duration::from_secs(env.parse("SENTENCE_SVC_TIMEOUT", 1, "a whole number of seconds")?),
            age_url: env.url("SENTENCE_AGE_SVC_URL", "http://age:5000")?,
            name_url: env.url("SENTENCE_NAME_SVC_URL", "http://name:5000")?,
            random: env.random_source()?,
            auth_bug_probability: env.probability("SENTENCE_AUTH_BUG_PROBABILITY")?,
            api_url: asks_api.then(|| env.url("SENTENCE_API_SVC_URL", "http://api:5000")).transpose()?,
            httpbin_url: env.url("SENTENCE_HTTPBIN_URL", "http://httpbin.org/delay/1")?,
            full_stop: env.parse("SENTENCE_FULL_STOP", false, "true or false")?,
        })
    }
}

struct Env<L> {
    lookup: L,
}

impl<L: Fn(&str) -> Option<String>> Env<L> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|text| !text.is_empty())
    }

    fn parse<T: FromStr>(&self, name: &'static str, default: T, expected: &'static str) -> Result<T, ConfigError> {
        match self.text(name) {
            None => Ok(default),
            Some(value) => value.trim().parse().map_err(|_| ConfigError::Value { name, value, expected }),
        }
    }

    fn bounds<T: FromStr + PartialOrd>(
        &self,
        min: &'static str,
        min_default: T,
        max: &'static str,
        max_default: T,
        expected: &'static str,
    ) -> Result<(T, T), ConfigError> {
        let bounds = (self.parse(min, min_default, expected)?, self.parse(max, max_default, expected)?);
        // Written so that NaN, which compares with nothing, is refused as well.
        if bounds.0 <= bounds.1 { Ok(bounds) } else { Err(ConfigError::Bounds { min, max }) }
    }

    fn probability(&self, name: &'static str) -> Result<f64, ConfigError> {
        self.parse(name, 0.0, "a probability, such as 0.2")
    }

    fn url(&self, name: &'static str, default: &str) -> Result<Target, ConfigError> {
        let url = self.text(name);
        Target::parse(url.as_deref().unwrap_or(default)).map_err(|source| ConfigError::Url { name, source })
    }

    fn random_source(&self) -> Result<Option<RandomSource>, ConfigError> {
        if self.text("SENTENCE_RANDOM_SVC_URL").is_none() {
            return Ok(None);
        }
        let alternative = match self.text("SENTENCE_RANDOM_SVC_URL2") {
            None => None,
            Some(_) => {
                Some((self.url("SENTENCE_RANDOM_SVC_URL2", "")?, self.probability("SENTENCE_RANDOM_SVC2_PROBABILITY")?))
            }
        };
        Ok(Some(RandomSource { url: self.url("SENTENCE_RANDOM_SVC_URL", "")?, alternative }))
    }
}

#[cfg(test)]
mod tests;
