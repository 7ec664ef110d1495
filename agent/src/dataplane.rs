//! Connections and requests of enrolled pods, from accept to report.

pub mod event;
