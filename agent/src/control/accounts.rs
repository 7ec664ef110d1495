//! Service accounts that may ask for certificates of others: those of the nodes' agents.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// Accounts, each a namespace and a name (istiod's `CA_TRUSTED_NODE_ACCOUNTS`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedAccounts(BTreeSet<(String, String)>);

/// An account that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no service account; write namespace/name, several with commas between them")]
pub struct InvalidAccounts(String);

impl TrustedAccounts {
    /// Is it one of them?
    pub fn contains(&self, namespace: &str, name: &str) -> bool {
        self.0.iter().any(|(space, account)| space == namespace && account == name)
    }

    /// The namespaces that have one.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(namespace, _)| namespace.as_str()).collect()
    }
}

impl FromStr for TrustedAccounts {
    type Err = InvalidAccounts;

    fn from_str(text: &str) -> Result<Self, InvalidAccounts> {
        let accounts = text.split(',').map(str::trim).filter(|account| !account.is_empty());
        let parse = |account: &str| match account.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok((namespace.to_owned(), name.to_owned()))
            }
            _ => Err(InvalidAccounts(account.to_owned())),
        };
        accounts.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for TrustedAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accounts: Vec<_> = self.0.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        f.write_str(&accounts.join(","))
    }
}
