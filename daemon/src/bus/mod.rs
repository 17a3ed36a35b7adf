//! The D-Bus interface: one file per interface, which converts and checks arguments and nothing else.
