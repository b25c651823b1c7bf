//! deploy/kubernetes, broken on purpose in one place.
