//! The project's folder → the bucket: every save becomes a version.
//!
//! Promise: what is on disk after the last save is the key's current version soon after; the folder is read, never
//! written; a notification lost or doubled changes nothing.
//! Not here: what the environment does with an object (`delivery`, `environment`).
