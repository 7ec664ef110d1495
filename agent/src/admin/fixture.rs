//! Facts for tests of the admin pages.
