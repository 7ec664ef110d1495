//! Why something asked of the API server failed, and what follows from it.

use std::{fmt, time::Duration};

use kube::core::Status;

use crate::kubernetes::failure;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The API server answered, and said no.
    Refused {
        /// Status code of HTTP.
        code: u16,
        /// Its words.
        message: String,
    },
    /// It was not reached, or the connection broke.
    Unreachable(String),
    /// It was reached and said nothing for this long.
    Silent(Duration),
    /// It said what cannot be read.
    Unreadable(String),
}

impl Failure {
    /// The position in the stream of changes is too old or of another time: list anew.
    pub fn asks_for_a_list(&self) -> bool {
        // 504 with "Too large resource version": the server knows less than we do, its etcd was set back.
        matches!(self, Self::Refused { code: 410, .. })
            || matches!(self, Self::Refused { code: 504, message } if message.contains("resource version"))
    }

    /// There is no such resource.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// The request cannot be served as it was made.
    pub fn is_misunderstood(&self) -> bool {
        matches!(self, Self::Refused { code: 400 | 422, .. })
    }

    /// Who we are was not accepted: a token may have expired.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { code: 401, .. })
    }

    /// The server answered, and said no.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// We are known, and may not.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { code: 403, .. })
    }

    /// Nobody answered, so that it says nothing about one resource more than about another.
    pub fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Silent(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } if message.is_empty() => write!(f, "refused with status {code}"),
            Self::Refused { code, message } => write!(f, "refused with status {code}: {message}"),
            Self::Unreachable(why) => f.write_str(why),
            Self::Silent(time) => write!(f, "no answer for {} s", time.as_secs()),
            Self::Unreadable(why) => write!(f, "unreadable answer: {why}"),
        }
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        // A proxy's page is no message: one line of it is enough.
        let message = status.message.lines().next().unwrap_or_default().trim().to_owned();
        Self::Refused { code: status.code, message }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => (&**status).into(),
            kube::Error::SerdeError(source) => Self::Unreadable(source.to_string()),
            kube::Error::FromUtf8(source) => Self::Unreadable(source.to_string()),
            _ => Self::Unreachable(failure(&error)),
        }
    }
}
