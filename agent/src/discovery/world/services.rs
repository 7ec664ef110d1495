//! The Services of a world, each assembled anew only when it, its slices or a pod behind it changed.

use std::{collections::HashMap, sync::Arc};

use weft_model::{
    service::{Resolution, Service},
    workload::Named,
};

use super::{
    super::{
        convert::{endpoint_slice::SliceFacts, service::ServiceFacts},
        objects::{Content, Kind},
    },
    Builder, Whereabouts, cluster_ip, endpoints,
    members::{Changed, Members},
};

/// A Service, and what it was made from.
#[derive(Debug)]
pub(super) struct Assembled {
    facts: Arc<ServiceFacts>,
    slices: Vec<Arc<SliceFacts>>,
    service: Arc<Service>,
}

impl Assembled {
    fn new(facts: &Arc<ServiceFacts>, slices: Option<Vec<Arc<SliceFacts>>>, members: &Members) -> Self {
        let mut service = facts.service.clone();
        service.endpoints = match &slices {
            _ if matches!(service.resolution, Resolution::ExternalName(_)) => Vec::new(),
            Some(slices) => endpoints::from_slices(&service, slices, members),
            None => endpoints::from_pods(facts, members),
        };
        Self { facts: facts.clone(), slices: slices.unwrap_or_default(), service: Arc::new(service) }
    }

    fn is_made_from(&self, facts: &Arc<ServiceFacts>, slices: &[Arc<SliceFacts>], changed: &Changed) -> bool {
        let touches = |slice: &Arc<SliceFacts>| {
            slice.endpoints.iter().any(|endpoint| changed.includes(endpoint.pod.as_ref(), endpoint.address))
        };
        Arc::ptr_eq(&self.facts, facts)
            && self.slices.len() == slices.len()
            && self.slices.iter().zip(slices).all(|(before, now)| Arc::ptr_eq(before, now))
            && !slices.iter().any(touches)
    }
}

impl Builder<'_> {
    /// The Services with their endpoints.
    pub(super) fn services(&mut self, members: &Members, changed: &Changed, before: &mut HashMap<Named, Assembled>) {
        let mut slices: HashMap<(&str, &str), Vec<Arc<SliceFacts>>> = HashMap::new();
        for (key, object) in self.of_kind(Kind::EndpointSlice) {
            if let Content::EndpointSlice(slice) = &object.parsed.content {
                match &slice.service {
                    Some(of) => slices.entry((&*key.namespace, &**of)).or_default().push(slice.clone()),
                    None => {
                        let message = "belongs to no Service".to_owned();
                        self.warn(key, object, message, "add the label kubernetes.io/service-name");
                    }
                }
            }
        }
        let mut now = HashMap::with_capacity(before.len());
        for (key, object) in self.of_kind(Kind::Service) {
            let Content::Service(facts) = &object.parsed.content else { continue };
            let mut slices = slices.remove(&(&*key.namespace, &*key.name));
            if let Whereabouts::ApiServer { .. } = self.inputs.whereabouts {
                // Its own controllers write slices: without any there is nobody behind the Service yet.
                slices.get_or_insert_default();
            }
            let name = facts.service.name.clone();
            let service = match (slices, before.remove(&name)) {
                (Some(slices), Some(one)) if one.is_made_from(facts, &slices, changed) => one,
                (slices, _) => Assembled::new(facts, slices, members),
            };
            self.built.world.services.push(service.service.clone());
            now.insert(name, service);
        }
        *before = now;
        if let Whereabouts::Files { .. } = self.inputs.whereabouts {
            cluster_ip::allocate(&mut self.built.world.services);
        }
    }
}
