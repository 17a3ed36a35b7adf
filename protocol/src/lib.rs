//! What passes between the programs: names, types, errors, identifiers, tokens.
