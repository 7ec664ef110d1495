//! The decision, case by case.

use super::*;
use crate::control::ca::caller::PodRef;

const DOMAIN: &str = "cluster.local";

fn caller(namespace: &str, account: &str, pod: Option<&str>) -> Caller {
    let pod = pod.map(|name| PodRef { name: name.to_owned(), uid: format!("uid-{name}") });
    Caller { namespace: namespace.to_owned(), account: account.to_owned(), pod }
}

fn agent() -> Caller {
    caller("istio-system", "weft-agent", Some("weft-agent-x"))
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

fn decide(caller: &Caller, impersonated: Option<&str>) -> Result<Grant, Denied> {
    let accounts = "istio-system/weft-agent, istio-system/ztunnel".parse().unwrap();
    super::decide(caller, impersonated, DOMAIN, &accounts)
}

#[test]
fn everybody_gets_their_own_identity() {
    let web = caller("shop", "web", Some("web-1"));
    assert_eq!(decide(&web, None), Ok(Grant::Own(id(WEB))));
    assert_eq!(decide(&web, Some(WEB)), Ok(Grant::Own(id(WEB))), "also by name");
    assert_eq!(decide(&caller("shop", "web", None), None), Ok(Grant::Own(id(WEB))), "sidecars' tokens may be unbound");
    let own = id("spiffe://cluster.local/ns/istio-system/sa/weft-agent");
    assert_eq!(decide(&agent(), None), Ok(Grant::Own(own)));
}

#[test]
fn a_nodes_agent_may_ask_for_what_runs_there() {
    assert_eq!(decide(&agent(), Some(WEB)), Ok(Grant::IfOnNode(id(WEB))));
    let ztunnel = caller("istio-system", "ztunnel", Some("ztunnel-x"));
    assert_eq!(decide(&ztunnel, Some(WEB)), Ok(Grant::IfOnNode(id(WEB))));
    let needed = needed(&id(WEB), "node-a");
    assert_eq!((&*needed.node, &*needed.namespace, &*needed.service_account), ("node-a", "shop", "web"));
}

#[test]
fn nobody_else_may_ask_for_others() {
    for other in [
        caller("shop", "api", Some("api-1")),
        caller("shop", "weft-agent", Some("impostor")),
        caller("istio-system", "weft-control", Some("weft-control-x")),
    ] {
        let denied = decide(&other, Some(WEB)).unwrap_err();
        let message = denied.to_string();
        assert!(matches!(denied, Denied::NotTrusted { .. }), "{message}");
        assert!(message.contains(WEB) && message.contains(&other.to_string()), "{message}");
        assert!(message.contains("istio-system/weft-agent,istio-system/ztunnel"), "{message}");
    }
}

#[test]
fn an_agent_that_could_be_anywhere_gets_nothing() {
    let denied = decide(&caller("istio-system", "weft-agent", None), Some(WEB)).unwrap_err();
    assert!(matches!(denied, Denied::NoNode { .. }), "{denied}");
}

#[test]
fn what_is_no_identity_of_this_mesh_is_refused_by_name() {
    for text in ["web", "spiffe://cluster.local/ns/shop", "spiffe://cluster.local/ns/shop/sa/web/more"] {
        assert_eq!(decide(&agent(), Some(text)), Err(Denied::NoIdentity(text.to_owned())));
    }
    let denied = decide(&agent(), Some("spiffe://elsewhere.org/ns/shop/sa/web")).unwrap_err();
    assert!(matches!(denied, Denied::TrustDomain { .. }), "{denied}");
    assert!(denied.to_string().contains("cluster.local"), "{denied}");
}

#[test]
fn accounts_are_pairs() {
    let accounts: TrustedAccounts = "a/b,c/d,".parse().unwrap();
    assert!(accounts.contains("a", "b") && accounts.contains("c", "d") && !accounts.contains("a", "d"));
    assert_eq!(accounts.namespaces().into_iter().collect::<Vec<_>>(), ["a", "c"]);
    for bad in ["weft-agent", "a/b/c", "/b", "a/"] {
        assert!(bad.parse::<TrustedAccounts>().unwrap_err().to_string().contains("namespace/name"));
    }
}
