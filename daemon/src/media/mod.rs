//! The two pipelines: convert, process, encode, send; receive, buffer, decode, mix.
