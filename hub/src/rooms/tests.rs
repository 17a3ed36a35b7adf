//! Tests of the rooms come here.
