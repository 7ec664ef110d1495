//! Tests of the demo application as its users run it: the real binary, real sockets, loopback only.
//!
//! [`support`] starts and ends processes; [`sentences`] and [`helpers`] hold the tests.

#[cfg(test)]
mod helpers;
#[cfg(test)]
mod sentences;
#[cfg(test)]
mod support;
