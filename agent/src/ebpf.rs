//! Capture: what the kernel is told about enrolled pods. The only place that speaks to aya.
//!
