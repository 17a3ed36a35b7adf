//! Where pictures go: shared-memory textures, pipes, nothing.
