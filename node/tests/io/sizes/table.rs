//! Which limit must fit into which, where they belong to different crates.
